"""Options: changes of what a system is made of, by the names of its config's fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from tectum.errors import OptionError
from tectum.frames import Modality

if TYPE_CHECKING:
    from tectum.systems.base import System

Options = Mapping[str, Any]
"""Values by field, such as `masked: 0.5`; a field with fields of its own takes a mapping."""


@dataclass(frozen=True)
class Preset:
    """A network that has a name.

    Attributes:
        make: builds it on a second sense, which RGB-only systems ignore.
        config: what it is made of, a frozen dataclass.
    """

    make: Callable[[Modality, Any], System]
    config: Any

    def __call__(self, second: Modality, options: Options | None = None) -> System:
        """Builds it, with some of what it is made of changed.

        Raises:
            OptionError: if there is no such option, or it cannot have that value.
            UnknownNameError: if the second sense is RGB, for systems that take one.
        """
        return self.make(second, changed(self.config, options) if options else self.config)


def changed(config: Any, options: Options) -> Any:
    """A config with some values changed.

    Args:
        config: a frozen dataclass.
        options: new values; lists may stand for tuples, and names for members of enumerations.

    Raises:
        OptionError: if there is no such field, or its new value makes no sense.
    """
    kinds, values = get_type_hints(type(config)), {}
    known = [field.name for field in fields(config)]
    for name, value in options.items():
        if name not in known:
            raise OptionError(name, f"is unknown: use one of {', '.join(known)}")
        here = getattr(config, name)
        try:
            if is_dataclass(here) and isinstance(value, Mapping):
                values[name] = changed(here, value)
            else:
                values[name] = _fitted(kinds[name], value)
        except OptionError as error:
            raise OptionError(f"{name}.{error.option}", error.fault) from None
        except ValueError as error:
            raise OptionError(name, f"cannot be {value!r}: {error}") from None
    try:
        return replace(config, **values)
    except ValueError as error:
        raise OptionError(next(iter(options)), f"does not suit the rest: {str(error).rstrip('.')}") from None


def _fitted(kind: Any, value: Any) -> Any:
    """A value as a field of some kind takes it.

    Raises:
        ValueError: if it does not; the message says what it takes.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        return _fitted(next(part for part in parts if part is not NoneType), value)
    if origin is Literal:
        return _chosen(value, {part: part for part in parts})
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError("it takes a list, such as [1, 2]")
        each = parts[:1] * len(value) if parts[1:] == (...,) else parts
        if len(each) != len(value):
            raise ValueError(f"it takes {len(each)} values")
        return tuple(_fitted(part, entry) for part, entry in zip(each, value, strict=True))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _chosen(value, {member.value: member for member in kind})
    return _plain(kind, value)


def _chosen(value: Any, known: Mapping[Any, Any]) -> Any:
    if value not in known:
        raise ValueError(f"it takes one of {', '.join(map(str, known))}")
    return known[value]


def _plain(kind: Any, value: Any) -> Any:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    if kind is float and type(value) is int:
        return float(value)
    if kind in names and type(value) is kind:
        return value
    raise ValueError(f"it takes {names.get(kind, 'options of its own, as NAME: VALUE')}")
