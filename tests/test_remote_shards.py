"""Shards on the net: streamed as they are needed, checked, and one sentence when the connection fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from tectum.benchmarks import find
from tectum.errors import TectumError
from tectum.frames import Modality
from tectum.systems.base import Crops
from tectum.training.material import RawBatch
from tectum.training.recorded import Recorded
from tectum.training.sharding import write_shards
from tectum.training.shards import Shards
from tectum.training.videos import FolderClips, Videos
from tests.footage import write_lasher

pytest.importorskip("webdataset", reason="pip install 'tectum[train]' brings the writer of shards")


@dataclass
class Store:
    """A store of files on the net.

    Attributes:
        folder: what it holds.
        asked: files that were asked for.
        short: bytes that are kept back of every shard before the connection ends.
    """

    folder: Path
    asked: list[str] = field(default_factory=list)
    short: int = 0
    address: str = ""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain")
    for name in ("boy", "car"):
        made = write_lasher(root, name, 6)
        for old, new in (("visible", "rgb"), ("infrared", "thermal"), ("visible.txt", "groundtruth.txt")):
            (made / old).rename(made / new)
        for path in (*(made / "rgb").iterdir(), *(made / "thermal").iterdir()):
            path.rename(path.with_name(path.name[1:]))
    return root


@pytest.fixture(scope="module")
def shards(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "plain"
    list(write_shards(FolderClips(find("plain"), recordings, None), out, size=20_000))
    assert len(list(out.glob("*.tar"))) > 1
    return out


@pytest.fixture
def store(shards: Path) -> Iterator[Store]:
    """A server of the shards."""
    store = Store(shards)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = store.folder / self.path.removeprefix("/plain/")
            store.asked.append(path.name)
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: -store.short] if store.short and path.suffix == ".tar" else content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store.address = f"http://127.0.0.1:{server.server_address[1]}/plain"
        yield store
        server.shutdown()


def drawn(shards: Shards | FolderClips) -> RawBatch:
    senses = (Modality.RGB, Modality.THERMAL)
    return Recorded(Videos(shards)).pairs(np.random.default_rng(4), 12, senses, Crops(64, 128))


def test_shards_stream_from_a_store_once_and_give_the_pairs_of_folders(
    recordings: Path, store: Store, tmp_path: Path
) -> None:
    read = Shards(store.address, tmp_path)
    assert store.asked == ["index.json"]
    streamed, folders = drawn(read), drawn(FolderClips(find("plain"), recordings, None))
    for sense, views in folders.search.items():
        assert torch.equal(views, streamed.search[sense])
    assert torch.equal(folders.boxes, streamed.boxes)
    drawn(Shards(store.address, tmp_path))
    assert sorted(store.asked) == sorted([*(path.name for path in store.folder.iterdir()), "index.json"])


def test_a_broken_connection_is_named_and_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    read = Shards(store.address, tmp_path)
    store.short = 700
    with pytest.raises(TectumError, match=r"127\.0\.0\.1.*000000\.tar"):
        drawn(read)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]
    store.short = 0
    assert len(drawn(read).boxes) == 12


def test_an_address_without_shards_is_one_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(TectumError, match=r"elsewhere/index\.json cannot be fetched \(curl ended with code 22\)"):
        Shards(store.address.replace("/plain", "/elsewhere"), tmp_path)
