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
from tectum.systems.options import Options, Preset
from tectum.systems.ostrack import OSTrack
from tectum.systems.patrack import PATrack
from tectum.systems.sdstrack import SDSTrack
from tectum.systems.tbsi import TBSI
from tectum.systems.vipt import ViPT

SYSTEMS: tuple[type[System], ...] = (Nano, OSTrack, Duo, CKD, ViPT, TBSI, SDSTrack, BAT, PATrack, MST)


def build(preset: str, second: Modality | str = Modality.THERMAL, options: Options | None = None) -> System:
    """Builds an untrained system.

    Args:
        preset: a name such as `ostrack-b256`.
        second: the sense beside RGB, for systems that take one.
        options: changes of what it is made of, such as `{"masked": 0.5}`.

    Raises:
        UnknownNameError: if there is no such preset or modality.
        OptionError: if there is no such option, or it cannot have that value.
    """
    known = known_presets()
    if preset not in known:
        raise UnknownNameError(f"There is no preset '{preset}': use one of {', '.join(known)}.")
    return known[preset](Modality.of(second), options)


def known_presets() -> dict[str, Preset]:
    """Every preset by name."""
    return {name: preset for system in SYSTEMS for name, preset in system.presets().items()}
