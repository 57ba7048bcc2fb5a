"""The benchmarks of the field: how each lies on disk, what is annotated, and by which convention it is scored."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tectum.benchmarks.base import Benchmark
from tectum.benchmarks.cdtb import CDTB
from tectum.benchmarks.coesot import COESOT
from tectum.benchmarks.depthtrack import DepthTrack
from tectum.benchmarks.fe108 import FE108
from tectum.benchmarks.got10k import GOT10k
from tectum.benchmarks.gtot import GTOT
from tectum.benchmarks.imagenetvid import ImageNetVID
from tectum.benchmarks.lasher import LasHeR
from tectum.benchmarks.lasot import LaSOT
from tectum.benchmarks.lasot_ext import LaSOTExt
from tectum.benchmarks.otb99lang import OTB99Lang
from tectum.benchmarks.plain import Plain
from tectum.benchmarks.rgbd1k import RGBD1K
from tectum.benchmarks.rgbt210 import RGBT210
from tectum.benchmarks.rgbt234 import RGBT234
from tectum.benchmarks.tnl2k import TNL2K
from tectum.benchmarks.trackingnet import TrackingNet
from tectum.benchmarks.visevent import VisEvent
from tectum.benchmarks.votrgbd2022 import VOTRGBD2022
from tectum.benchmarks.vtuav import VTUAV
from tectum.benchmarks.worldbench import WorldBench
from tectum.benchmarks.youtubebb import YouTubeBB
from tectum.errors import UnknownNameError

_KNOWN: tuple[Benchmark, ...] = (
    LasHeR(),
    RGBT234(),
    RGBT210(),
    GTOT(),
    VTUAV(),
    VisEvent(),
    COESOT(),
    FE108(),
    DepthTrack(),
    CDTB(),
    RGBD1K(),
    VOTRGBD2022(),
    TNL2K(),
    LaSOT(),
    LaSOTExt(),
    OTB99Lang(),
    GOT10k(),
    TrackingNet(),
    ImageNetVID(),
    YouTubeBB(),
    WorldBench(),
    Plain(),
)

BENCHMARKS: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in _KNOWN}
"""All benchmarks by name."""


def find(name: str) -> Benchmark:
    """The benchmark of a name or title; case, hyphens and underscores do not matter.

    Raises:
        UnknownNameError: if there is none.
    """
    for benchmark in BENCHMARKS.values():
        if _letters(name) in (_letters(benchmark.name), _letters(benchmark.title)):
            return benchmark
    raise UnknownNameError(f"There is no benchmark '{name}': use one of {', '.join(BENCHMARKS)}.")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
