"""The command `tectum`: one file per subcommand, and what happens when something goes wrong."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tectum import __version__
from tectum.cli.ablate import ablate
from tectum.cli.data import data
from tectum.cli.demo import demo
from tectum.cli.evaluate import evaluate
from tectum.cli.inspect import inspect
from tectum.cli.report import report
from tectum.cli.score import score
from tectum.cli.submit import submit
from tectum.cli.track import track
from tectum.cli.train import train
from tectum.cli.weights import weights
from tectum.cli.world import world
from tectum.errors import TectumError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""

UNHEARD = 141
"""Exit code when whoever reads the output has stopped, such as `head`, as shells expect it."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What disks say that take no more."""

MISTAKEN = 2
"""Exit code for anything that the user can put right."""


class Commands(TyperGroup):
    """Turns errors that a user can act on into one sentence and an exit code, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except TectumError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(MISTAKEN) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _leave_output()
            raise typer.Exit(UNHEARD) from None
        except OSError as error:
            if error.errno not in FULL:
                raise
            _leave_output()
            typer.echo(f"error: Nothing more can be written ({error.strerror}): free some space.", err=True)
            raise typer.Exit(MISTAKEN) from None


def _leave_output() -> None:
    """Sends what is still to be printed nowhere, or Python would try once more at its end and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Follow a target through video in which colour is joined by thermal, depth or event images.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tectum {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Takes the options that stand before the command."""


app.command("demo")(demo)
app.command("track")(track)
app.command("score")(score)
app.command("evaluate")(evaluate)
app.command("submit")(submit)
app.add_typer(report, name="report")
app.add_typer(data, name="data")
app.add_typer(world, name="world")
app.command("train")(train)
app.command("ablate")(ablate)
app.add_typer(weights, name="weights")
app.add_typer(inspect, name="inspect")


def run() -> None:
    """The entry point of the console script."""
    app()


if __name__ == "__main__":
    run()
