"""Settings from the command line for how raw sensors become images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tectum.errors import SourceError
from tectum.sources import DepthRendering, ThermalRendering


@dataclass(frozen=True)
class Renderings:
    """How each raw sensor becomes an image."""

    depth: DepthRendering = field(default_factory=DepthRendering)
    thermal: ThermalRendering = field(default_factory=ThermalRendering)


def read_renderings(settings: Sequence[str]) -> Renderings:
    """Reads settings such as `depth.color_map=gray` or `thermal.low=2`.

    Raises:
        SourceError: if one is unknown or has an impossible value.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Renderings), OmegaConf.from_dotlist(list(settings)))
        renderings = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"--render {' '.join(settings)} cannot be used ({reason}): write depth.color_map=gray or thermal.low=2."
        ) from None
    assert isinstance(renderings, Renderings)
    return renderings
