"""Shards give the pairs that folders give, here or over the net, and tell when they are damaged."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from tectum.cli.data import data
from tectum.cli.main import Commands
from tectum.errors import TectumError
from tectum.frames import Modality
from tectum.systems.base import Crops
from tectum.training.jpeg import header
from tectum.training.recorded import Recorded
from tectum.training.sharding import write_shards
from tectum.training.shards import Shards
from tectum.training.videos import Clips, FolderClips, Videos
from tests.footage import write_lasher

pytest.importorskip("numba", reason="pip install 'tectum[train]' brings what puts restart markers into JPEGs")
webdataset = pytest.importorskip("webdataset", reason="pip install 'tectum[train]' brings the reader of shards")

BOTH = (Modality.RGB, Modality.THERMAL)

app = typer.Typer(cls=Commands)
app.add_typer(data, name="data")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences in the layout of our own, one with a sentence, one with an image missing in thermal."""
    folder = tmp_path_factory.mktemp("plain")
    for name, frames in (("boy", 9), ("car", 5)):
        made = write_lasher(folder, name, frames, absent=3)
        for old, new in (("visible", "rgb"), ("infrared", "thermal"), ("visible.txt", "groundtruth.txt")):
            (made / old).rename(made / new)
        for sense in ("rgb", "thermal"):
            for path in (made / sense).iterdir():
                path.rename(path.with_name(path.name[1:]))
    (folder / "boy" / "meta.json").write_text(json.dumps({"language": "the white square"}))
    (folder / "car" / "thermal" / "002.jpg").unlink()
    return folder


def shard(root: Path, out: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["data", "shard", "plain", str(root), str(out), "--split", "all", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def shards(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "plain"
    list(write_shards(FolderClips(_plain(), root, None), out, size=20_000))
    return out


def _plain() -> object:
    from tectum.benchmarks import find

    return find("plain")


def assert_equal(one: Clips, other: Clips) -> None:
    first, second = (
        Recorded(Videos(each)).pairs(np.random.default_rng(4), 12, BOTH, Crops(64, 128)) for each in (one, other)
    )
    for sense in BOTH:
        assert torch.equal(first.template[sense], second.template[sense])
        assert torch.equal(first.search[sense], second.search[sense])
    assert torch.equal(first.boxes, second.boxes)
    assert first.text == second.text


def test_shards_give_the_pairs_of_folders(root: Path, shards: Path, tmp_path: Path) -> None:
    folders, read = FolderClips(_plain(), root, None), Shards(shards, tmp_path)
    assert len(read.index.shards) > 1
    assert [clip.name for clip in map(read.__getitem__, range(len(read)))] == ["boy", "car"]
    assert read.senses >= set(BOTH)
    assert read[0].images.keys() == folders[0].images.keys()
    assert read[1].images[Modality.THERMAL].stored(2) is None
    assert_equal(folders, read)
    assert_equal(folders, pickle.loads(pickle.dumps(read)))


def test_jpegs_in_shards_can_be_entered_at_any_row_unless_they_are_to_stay(
    root: Path, shards: Path, tmp_path: Path
) -> None:
    kept = FolderClips(_plain(), root, None)[0].images[Modality.RGB].stored(0)
    assert kept is not None
    written = kept.read()
    for restarts, folder in ((True, shards), (False, tmp_path / "plain")):
        if not restarts:
            shard(root, folder, "--no-restarts")
        stored = Shards(folder, tmp_path)[0].images[Modality.RGB].stored(0)
        assert stored is not None
        data = stored.read()
        head = header(data)
        assert head is not None
        assert (data != written, head.band > 0) == (restarts, restarts)


def test_shards_are_streamed_from_an_address_once(root: Path, shards: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    streamed = Shards(f"file:{shards}", cache)
    assert_equal(FolderClips(_plain(), root, None), streamed)
    kept = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(kept) == len(streamed.index.shards) + 1
    assert_equal(FolderClips(_plain(), root, None), Shards(f"file:{shards}", cache))
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == kept


def test_any_reader_of_webdataset_can_stream_them(shards: Path) -> None:
    files = sorted(str(path) for path in shards.glob("*.tar"))
    samples = list(webdataset.WebDataset(files, shardshuffle=False))
    assert len(samples) == 14
    held = json.loads(samples[0]["json"])
    assert held == {"sequence": "boy", "box": [20.0, 40.0, 24.0, 24.0], "text": "the white square"}
    assert json.loads(samples[3]["json"])["box"] is None
    assert samples[0]["rgb.jpg"].startswith(b"\xff\xd8")
    assert "thermal.jpg" not in samples[11]


def copied(shards: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in shards.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_damaged_shards_are_named(shards: Path, tmp_path: Path) -> None:
    broken = copied(shards, tmp_path / "broken")
    content = bytearray((broken / "000000.tar").read_bytes())
    content[2000] ^= 1
    (broken / "000000.tar").write_bytes(content)
    for location in (str(broken), f"file:{broken}"):
        read = Shards(location, tmp_path / "cache")
        with pytest.raises(TectumError, match=r"000000\.tar is damaged, for its checksum"):
            Recorded(Videos(read)).pairs(np.random.default_rng(0), 20, BOTH, Crops(32, 32))
    (broken / "000000.tar").write_bytes(content[:-512])
    with pytest.raises(TectumError, match=r"000000\.tar has \d+ bytes, but \d+ by its index"):
        Shards(broken)
    (broken / "000000.tar").unlink()
    with pytest.raises(TectumError, match=r"000000\.tar is not there"):
        Shards(broken)
    with pytest.raises(TectumError, match="cannot be fetched"):
        Shards(f"file:{tmp_path}/none")
    with pytest.raises(TectumError, match=r"There is no index\.json in .*none"):
        Shards(tmp_path / "none")
    (broken / "index.json").write_text('{"format": 9}')
    with pytest.raises(TectumError, match="its format is 9"):
        Shards(broken)


def test_the_command_makes_shards_and_never_overwrites_them(root: Path, tmp_path: Path) -> None:
    assert shard(root, tmp_path / "out") == f"2 sequences of plain/all are in {tmp_path / 'out'}\n"
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["000000.tar", "frames.npy", "index.json"]
    shard(root, tmp_path / "again", "--quiet")
    for name in ("000000.tar", "frames.npy", "index.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    again = CliRunner().invoke(app, ["data", "shard", "plain", str(root), str(tmp_path / "out"), "--split", "all"])
    assert again.exit_code == 2
    assert "holds shards already" in again.stderr
