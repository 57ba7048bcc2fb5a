"""Opens the parts of a recipe's data as materials, and tells by a hash which data they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from tectum.benchmarks import find
from tectum.errors import RecipeError
from tectum.training.manifest import ManifestClips
from tectum.training.material import Material, Mixture
from tectum.training.material import Part as Portion
from tectum.training.parts import ManifestPart, Part, ShardsPart, StillsPart, VideosPart, WorldPart
from tectum.training.pictures import existing, read_cutouts, read_pictures
from tectum.training.recipe import Recipe
from tectum.training.recorded import Recorded
from tectum.training.rendered import Rendered
from tectum.training.shards import Shards
from tectum.training.stills import COCO, ImageNetDET, PictureFolder, Pictures, Stills
from tectum.training.videos import FolderClips, Videos
from tectum.world.pairs import build_stock


def open_mixture(recipe: Recipe, root: Path | None, device: torch.device) -> Mixture:
    """Opens all parts of the data that have a share.

    Args:
        recipe: what to open.
        root: the data folder that the parts' paths are relative to.
        device: where training computes; a world's stock is put there if that is a GPU.

    Raises:
        RecipeError: if a folder is needed that is not given or not there, or no part has a share.
    """
    places = _Places(root)
    return Mixture([Portion(_opened(part, places, device), part.share) for part in _used(recipe)])


def data_hash(recipe: Recipe, root: Path | None) -> str:
    """SHA-256 over what the data of a recipe is: settings of its parts, names of files or sequences, and sizes.

    No image is read, so that it takes seconds even for millions of them.
    """
    total, places = hashlib.sha256(), _Places(root)
    for part in _used(recipe):
        for line in _lines(part, places):
            total.update(line.encode() + b"\n")
    return total.hexdigest()


def made_on_gpu(material: Material) -> bool:
    """Whether a material's pairs are rendered on a GPU, and so in the process that trains."""
    return isinstance(material, Rendered) and material.stock.plates.device.type != "cpu"


def made_on_cpu(material: Material) -> bool:
    """Whether a material's pairs may be made in another process."""
    return not made_on_gpu(material)


class _Places:
    """The data folder.

    Args:
        root: where it is, if it was given.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def of(self, name: str) -> Path:
        """A path that a recipe names."""
        path = Path(name)
        if not path.is_absolute() and self.root is None:
            raise RecipeError(f"The recipe trains on real data in '{name}': say where that lies with --data DIR.")
        return path if self.root is None else self.root / path

    def all(self, names: Iterable[str]) -> list[Path]:
        """Paths that a recipe names."""
        return [self.of(name) for name in names]


def _used(recipe: Recipe) -> list[Part]:
    return [part for part in recipe.data.values() if part.share > 0]


def _opened(part: Part, places: _Places, device: torch.device) -> Material:
    return OPENERS[type(part)](part, places, device)


def _open_world(part: WorldPart, places: _Places, device: torch.device) -> Material:
    stock = build_stock(
        part.seed,
        read_pictures(places.all(part.pictures)),
        read_cutouts(places.all(part.cutouts)),
        part.plates,
        part.things,
    )
    return Rendered(stock if device.type == "cpu" else stock.to(device), part.ranges, part.lens)


def _open_videos(part: VideosPart, places: _Places, device: torch.device) -> Material:
    clips = FolderClips(find(part.benchmark), places.of(part.root), part.split, part.least_side)
    return Recorded(Videos(clips, part.sampling), part.jitter, part.photometry)


def _open_shards(part: ShardsPart, places: _Places, device: torch.device) -> Material:
    return Recorded(Videos(_shards(part, places), part.sampling), part.jitter, part.photometry)


def _shards(part: ShardsPart, places: _Places) -> Shards:
    remote = "://" in part.location
    return Shards(part.location if remote else places.of(part.location), Path(part.cache) if part.cache else None)


def _open_stills(part: StillsPart, places: _Places, device: torch.device) -> Material:
    materials = [(Recorded(Stills(each), part.jitter, part.photometry), len(each)) for each in _pictures(part, places)]
    return Mixture([Portion(material, share) for material, share in materials])


def _pictures(part: StillsPart, places: _Places) -> list[Pictures]:
    """The collections of a part: one, or a folder each."""
    root = places.of(part.root)
    if part.collection == "coco":
        return [COCO.read(root, part.split or "train2017")]
    if part.collection == "imagenetdet":
        return [ImageNetDET(root, part.split or "train")]
    return [PictureFolder(root / folder) for folder in part.folders]


def _open_manifest(part: ManifestPart, places: _Places, device: torch.device) -> Material:
    clips = ManifestClips(places.of(part.path))
    return Recorded(Videos(clips, part.sampling), part.jitter, part.photometry)


OPENERS: dict[type[Part], Callable[[Any, _Places, torch.device], Material]] = {
    WorldPart: _open_world,
    VideosPart: _open_videos,
    StillsPart: _open_stills,
    ShardsPart: _open_shards,
    ManifestPart: _open_manifest,
}
"""How each kind of part is opened."""


def _lines(part: Part, places: _Places) -> list[str]:
    """What tells a part's data from other data."""
    match part:
        case WorldPart():
            folders = [existing(places.of(name)) for name in (*part.pictures, *part.cutouts)]
            return [part.kind, *(line for folder in folders for line in _listing(folder))]
        case VideosPart():
            clips = FolderClips(find(part.benchmark), places.of(part.root), part.split)
            return [part.kind, clips.name, *clips.names]
        case StillsPart():
            return [part.kind, *(f"{each.name} {len(each)}" for each in _pictures(part, places))]
        case ShardsPart():
            index = _shards(part, places).index
            return [part.kind, *(f"{each.file} {each.digest}" for each in (*index.shards, index.table))]
        case ManifestPart():
            return [part.kind, *ManifestClips(places.of(part.path)).lines()]
    return [part.kind]


def _listing(folder: Path) -> list[str]:
    """Every file under a folder with its size, in order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in files]
