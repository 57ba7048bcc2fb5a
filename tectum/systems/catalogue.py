"""Every system, by preset. Adding a system is one new file and one line here."""

from __future__ import annotations

from tectum.errors import UnknownNameError, alternatives
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
        UnknownNameError: if there is no such preset or sense.
        OptionError: if there is no such option, or it cannot have that value.
    """
    known = known_presets()
    if preset not in known:
        raise UnknownNameError(f"There is no preset '{preset}': {alternatives(preset, known)}")
    return known[preset](read_second(second), options)


def read_second(name: Modality | str) -> Modality:
    """Reads the sense beside RGB; RGB itself is for the systems to refuse that take another.

    Raises:
        UnknownNameError: if there is no such sense.
    """
    try:
        return Modality.of(name)
    except UnknownNameError:
        others = ", ".join(sense for sense in Modality if sense is not Modality.RGB)
        raise UnknownNameError(f"There is no second sense '{name}': use one of {others}.") from None


def known_presets() -> dict[str, Preset]:
    """Every preset by name."""
    return {name: preset for system in SYSTEMS for name, preset in system.presets().items()}
