"""The parts of a recipe's data, as values: what pairs are made from, and in which shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tectum.training.jitter import Jitter
from tectum.training.photometry import Photometry
from tectum.training.sampling import Sampling
from tectum.world.pairs import Lens, Ranges


@dataclass(frozen=True)
class Part:
    """One material of a mixture.

    Attributes:
        kind: which; one of `KINDS`.
        share: of the pairs; the shares of all parts need not sum to 1, and a part with none is not opened.
    """

    kind: str
    share: float = 1.0


@dataclass(frozen=True)
class WorldPart(Part):
    """Pairs of the procedural world.

    Attributes:
        seed: of its stock.
        plates: backgrounds in its stock.
        things: things in its stock.
        pictures: folders with `rgb/`, and `thermal/` where there is any, for backgrounds and surfaces; relative to the
            data folder. With none of them all is procedural.
        cutouts: folders with `rgb/` and `mask/`, whose targets become things.
        ranges: how pairs vary.
        lens: how strongly light and lens change pictures.
    """

    kind: str = "world"
    seed: int = 1
    plates: int = 256
    things: int = 1024
    pictures: list[str] = field(default_factory=list)
    cutouts: list[str] = field(default_factory=list)
    ranges: Ranges = field(default_factory=Ranges)
    lens: Lens = field(default_factory=Lens)


@dataclass(frozen=True)
class RecordedPart(Part):
    """Pairs cut out of recorded images.

    Attributes:
        jitter: where the target lies in a search crop.
        photometry: how light and lens change pictures.
    """

    jitter: Jitter = field(default_factory=Jitter)
    photometry: Photometry = field(default_factory=Photometry)


@dataclass(frozen=True)
class VideosPart(RecordedPart):
    """Two moments of an annotated sequence of a benchmark.

    Attributes:
        benchmark: its name, such as `lasher`, or `plain`.
        root: folder of its download, relative to the data folder.
        split: which sequences; those of the benchmark's own split if not said.
        least_side: pixels that width and height of a visible target exceed; the field's own if not said.
        sampling: how sequences and moments are drawn.
    """

    kind: str = "videos"
    benchmark: str = "plain"
    root: str = "."
    split: str | None = "train"
    least_side: float | None = None
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True)
class ShardsPart(RecordedPart):
    """Two moments of a sequence out of shards, as `tectum data shard` writes them.

    Attributes:
        location: folder of the shards, relative to the data folder, or its address with a scheme such as `https://`.
        cache: folder for shards of the net; `~/.cache/tectum/shards` if not said.
        sampling: how sequences and moments are drawn.
    """

    kind: str = "shards"
    location: str = "shards"
    cache: str | None = None
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True)
class StillsPart(RecordedPart):
    """A still picture and itself, cut in another way.

    Attributes:
        collection: `folders`, `coco` or `imagenetdet`.
        root: folder of the collection, or that the folders are in; relative to the data folder.
        folders: with pictures, or with `rgb/` and other senses; regions that stand out are their targets.
        split: of the collection; its usual one if not said.
    """

    kind: str = "stills"
    collection: Literal["folders", "coco", "imagenetdet"] = "folders"
    root: str = "."
    folders: list[str] = field(default_factory=list)
    split: str | None = None


@dataclass(frozen=True)
class ManifestPart(RecordedPart):
    """Two moments of one's own recordings.

    Attributes:
        path: of the manifest, relative to the data folder.
        sampling: how sequences and moments are drawn.
    """

    kind: str = "manifest"
    path: str = "manifest.yaml"
    sampling: Sampling = field(default_factory=Sampling)


KINDS: dict[str, type[Part]] = {
    "world": WorldPart,
    "videos": VideosPart,
    "stills": StillsPart,
    "shards": ShardsPart,
    "manifest": ManifestPart,
}
"""What a part can be, by the name of its kind."""
