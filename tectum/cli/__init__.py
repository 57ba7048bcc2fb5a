"""The command line."""

from __future__ import annotations


def run() -> None:
    """The entry point of the console script; Ctrl-C while modules are still loading ends it like at any other time."""
    import sys

    try:
        from tectum.cli.main import app
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    app()
