"""Errors that a user can act on: each is one sentence that says what is wrong and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TectumError(Exception):
    """Anything that a user of Tectum can put right; the command line prints it and exits with 2."""


class BoxError(TectumError):
    """A box without area, outside its image, or with values that are no numbers."""


class SourceError(TectumError):
    """A recording that cannot be read: an empty folder, a broken image, a video that ends early."""


class MissingModalityError(TectumError):
    """A sense is missing from a frame and the policy says to stop."""


class WeightsError(TectumError):
    """A checkpoint that is unsafe to open, damaged, or made for another system."""


class RecipeError(TectumError):
    """A training recipe with an unknown or impossible setting."""


class OptionError(TectumError):
    """A system's option that does not exist or cannot have that value.

    Args:
        option: its name, with dots between the names of parts.
        fault: what is wrong with it.
    """

    def __init__(self, option: str, fault: str) -> None:
        super().__init__(f"The option {option} {fault}.")
        self.option, self.fault = option, fault


class UnknownNameError(TectumError):
    """A preset, modality or command option that does not exist."""


class BenchmarkError(TectumError):
    """A sequence of a benchmark that is missing, renamed or damaged."""


class ResultError(TectumError):
    """A tracker's results that cannot be read or do not fit the benchmark."""


def alternatives(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on a name that does not exist: what was probably meant, then all the rest.

    Args:
        name: as it was written; capitals do not matter.
        known: the names that exist.
    """
    names, written = list(known), name.lower()
    meant = [each for each in names if written and each.startswith(written)]
    meant = meant or difflib.get_close_matches(written, names)
    if not meant:
        return f"use one of {', '.join(names)}."
    others = ", ".join(each for each in names if each not in meant)
    return f"did you mean {', '.join(meant)}?" + (f" There are also {others}." if others else "")
