"""Fits a published state dict onto a system, name by name and shape by shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from torch import Tensor

from tectum.errors import WeightsError
from tectum.frames import Modality
from tectum.systems.base import System
from tectum.systems.catalogue import build
from tectum.systems.options import Options

LISTED = 6
"""How many names an error message spells out."""


def from_published(
    preset: str,
    state_dict: Mapping[str, Tensor],
    second: Modality | str = Modality.THERMAL,
    origin: str = "The state dict",
    start: bool = False,
    options: Options | None = None,
) -> System:
    """Builds a system from a published state dict.

    Args:
        preset: a name such as `ostrack-b256-ce`.
        state_dict: published tensors by name, without a `module.` in front.
        second: the sense beside RGB, for systems that take one.
        origin: where the tensors are from, for messages.
        start: whether a training starts from these weights; they may then be the foundation's, and what the system
            adds to it keeps its initial values.
        options: changes of what the system is made of.

    Returns:
        The system, in training mode as every new module.

    Raises:
        WeightsError: if names are missing or unknown, or shapes do not fit; the message lists them.
        UnknownNameError: if there is no such preset or modality.
        OptionError: if there is no such option, or it cannot have that value.
    """
    system = build(preset, second, options)
    fitted = system.layout.apply(system, state_dict)
    own = system.state_dict()
    added = {name: tensor for name, tensor in own.items() if start and system.layout.adds(name)}
    if not fitted.keys() & added.keys():
        fitted = {**added, **fitted}
    names = _published_names(system, state_dict)
    missing = dict.fromkeys(system.layout.original(name) for name in own if name not in fitted)
    unknown = dict.fromkeys(names.get(name, name) for name in fitted if name not in own)
    misshapen = dict.fromkeys(
        f"{names.get(name, system.layout.original(name))} is {_shape(tensor)}, not {_shape(own[name])}"
        for name, tensor in fitted.items()
        if name in own and tensor.shape != own[name].shape
    )
    faults = [
        _listed("it lacks {} of the names needed", missing),
        _listed("it has names unknown here, {} in all", unknown),
        _listed("{} shapes differ", misshapen),
    ]
    if any(faults):
        raise WeightsError(
            f"{origin} does not fit '{preset}': {'; '.join(filter(None, faults))}. "
            "Give a checkpoint of this very system, or the preset that it was trained as."
        )
    system.load_state_dict(fitted)
    return system


def _published_names(system: System, state_dict: Mapping[str, Tensor]) -> dict[str, str]:
    """The published name behind each renamed one."""
    naming = replace(system.layout, prepare=None)
    return {own: name for name, tensor in state_dict.items() for own in naming.apply(system, {name: tensor})}


def _listed(fault: str, names: Iterable[str]) -> str:
    """A fault with its count and the first few names, or nothing where there are none."""
    listed = list(names)
    if not listed:
        return ""
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return f"{fault.format(len(listed))} ({', '.join(listed[:LISTED])}{more})"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
