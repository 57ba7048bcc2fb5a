"""Every system, by preset. Adding a system is one new file and one line here."""

from __future__ import annotations

from tectum.errors import UnknownNameError
from tectum.frames import Modality
from tectum.systems.base import System
from tectum.systems.bat import BAT
from tectum.systems.ckd import CKD
from tectum.systems.duo import Duo
from tectum.systems.mst import MST
from tectum.systems.nano import Nano
from tectum.systems.ostrack import OSTrack
from tectum.systems.patrack import PATrack
from tectum.systems.sdstrack import SDSTrack
from tectum.systems.tbsi import TBSI
from tectum.systems.vipt import ViPT

SYSTEMS: tuple[type[System], ...] = (Nano, OSTrack, Duo, CKD, ViPT, TBSI, SDSTrack, BAT, PATrack, MST)


def build(preset: str, second: Modality | str = Modality.THERMAL) -> System:
    """Builds an untrained system.

    Args:
        preset: a name such as `ostrack-b256`.
        second: the sense beside RGB, for systems that take one.

    Raises:
        UnknownNameError: if there is no such preset or modality.
    """
    for system in SYSTEMS:
        if preset in system.presets():
            return system.presets()[preset](Modality.of(second))
    known = ", ".join(name for system in SYSTEMS for name in system.presets())
    raise UnknownNameError(f"There is no preset '{preset}': use one of {known}.")
