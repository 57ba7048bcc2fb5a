"""Words of which a user chooses one."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from tectum.errors import UnknownNameError


class Choice(StrEnum):
    """One of a few words; capitals do not matter where users write them."""

    @classmethod
    def what(cls) -> str:
        """What is chosen, for messages."""
        return cls.__name__.lower()

    @classmethod
    def of(cls, name: str) -> Self:
        """Reads a choice.

        Raises:
            UnknownNameError: if it is none.
        """
        try:
            return cls(str(name).lower())
        except ValueError:
            raise UnknownNameError(f"There is no {cls.what()} '{name}': use one of {', '.join(cls)}.") from None
