"""`tectum evaluate` on recordings on disk: killed, resumed, in processes, on Ray; the files are always the same."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from tectum.benchmarks import find
from tectum.cli.evaluate import evaluate
from tectum.cli.main import Commands
from tectum.evaluation.engines import RayActors
from tectum.evaluation.jobs import plan
from tectum.evaluation.lockstep import Setup
from tectum.evaluation.run_folder import Config, RunFolder
from tectum.evaluation.running import Evaluation
from tectum.face import load
from tests.test_evaluate import written

FRAMES = 20
COMMAND = """
import typer
from tectum.cli.evaluate import evaluate
from tectum.cli.main import Commands
app = typer.Typer(cls=Commands)
app.command("evaluate")(evaluate)
app.callback()(lambda: None)
app()
"""

app = typer.Typer(cls=Commands)
app.command("evaluate")(evaluate)
app.callback()(lambda: None)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of a bright square that walks over a textured ground."""
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(6):
        drawn = np.random.default_rng(seed)
        ground = cv2.resize(drawn.integers(0, 120, (12, 16, 3), np.uint8), (128, 96))
        places = 30 + np.cumsum(drawn.integers(-2, 3, (FRAMES, 2)), axis=0)
        images = root / f"walk{seed}" / "rgb"
        images.mkdir(parents=True)
        for index, (x, y) in enumerate(places):
            image = ground.copy()
            image[y : y + 20, x : x + 20] = (40, 220, 240)
            cv2.imwrite(str(images / f"{index:04d}.png"), image)
        rows = "".join(f"{x},{y},20,20\n" for x, y in places)
        (root / f"walk{seed}" / "groundtruth.txt").write_text(rows)
    return root


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For workers, which share this machine's threads, would otherwise have fewer of them than a run in one process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run from beginning to end writes."""
    out = tmp_path_factory.mktemp("undisturbed")
    result = tectum_evaluate("nano", "plain", "--root", root, "--out", out)
    assert result.exit_code == 0, result.output
    assert "6 of 6 sequences are in" in result.stdout
    assert "nano" in result.stdout
    return written(out)


def tectum_evaluate(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param([(signal.SIGKILL, 1)], id="once"),
        pytest.param(
            [(signal.SIGKILL, 1), (signal.SIGINT, 2), (signal.SIGKILL, 2), (signal.SIGINT, 1)],
            id="often",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_that_was_ended_continues_and_writes_the_same_bytes(
    root: Path, undisturbed: dict[str, bytes], tmp_path: Path, ends: list[tuple[signal.Signals, int]]
) -> None:
    words = ["nano", "plain", "--root", root, "--out", tmp_path, "--no-score"]
    moments = random.Random(3)
    for end, workers in ends:
        with Group("evaluate", *words, "--workers", workers) as group:
            group.wait_for_more(tmp_path)
            time.sleep(moments.uniform(0, 0.3))
            group.end(end)
        left = {name: data for name, data in written(tmp_path).items() if not name.endswith(".part")}
        assert {name.replace(".txt", "_confidence.value") for name in left if name.endswith(".txt")} <= left.keys()
        assert left.items() <= undisturbed.items()
    result = tectum_evaluate(*words)
    assert result.exit_code == 0, result.output
    assert written(tmp_path) == undisturbed


def test_ctrl_c_ends_a_run_where_nothing_is_half_done(
    root: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    words = ["nano", "plain", "--root", root, "--out", tmp_path, "--no-score"]
    done = threading.Event()

    def interrupt() -> None:
        wait_for(lambda: done.is_set() or any(tmp_path.glob("walk?.txt")))
        if not done.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    impatient = threading.Thread(target=interrupt)
    impatient.start()
    try:
        result = tectum_evaluate(*words)
    finally:
        done.set()
        impatient.join()
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")
    assert 0 < len(list(tmp_path.glob("walk?.txt"))) < 6
    assert written(tmp_path).items() <= undisturbed.items()
    assert json.loads((tmp_path / "run.json").read_text())["ended"] is None
    assert tectum_evaluate(*words).exit_code == 0
    assert written(tmp_path) == undisturbed


class Group:
    """The command in a process group of its own, as a terminal would have it."""

    def __init__(self, *words: object) -> None:
        command = [sys.executable, "-c", COMMAND, *map(str, words)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
        )

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def wait_for_more(self, out: Path) -> None:
        """Until another sequence is complete, or all are."""
        before = len(list(out.glob("walk?.txt")))
        wait_for(lambda: len(list(out.glob("walk?.txt"))) > before or self.process.poll() is not None)

    def end(self, by: signal.Signals) -> None:
        """Kills the command alone, or interrupts all its processes as a terminal does; none of them stays."""
        if by is signal.SIGINT and self.process.poll() is None:
            os.killpg(self.process.pid, by)
        else:
            self.process.send_signal(by)
        _, said = self.process.communicate(timeout=30)
        # It may have been done before, or be on its way out.
        assert self.process.returncode in ((130, -by, 0) if by is signal.SIGINT else (-by, 0))
        assert "Traceback" not in said
        wait_for(lambda: not is_alive(self.process.pid))


def wait_for(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'tectum[cluster]'"
)
@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_ray_cluster_writes_the_same_bytes(
    root: Path, undisturbed: dict[str, bytes], tmp_path: Path, size: int
) -> None:
    import torch

    jobs, _ = plan(find("plain"), root)
    config = Config("nano", "0" * 64, "", "copy", "cpu", 1, "plain", "all", 1)
    folder = RunFolder(tmp_path, config, {})
    folder.enter(jobs)
    crew = RayActors(Setup(partial(load, "nano"), find("plain"), root, torch.get_num_threads()), size)
    evaluation = Evaluation(folder, jobs, crew)
    evaluation.go()
    assert evaluation.problems == []
    assert written(tmp_path) == undisturbed


def test_an_address_without_a_cluster_is_told_at_once(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="pip install 'tectum[cluster]' brings Ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = ("nano", "plain", "--root", root, "--out", tmp_path, "--engine", "ray", "--address", address)
        result = tectum_evaluate(*words)
    assert result.exit_code == 2
    assert f"No Ray cluster answers at '{address}' (Connection refused)" in result.stderr


def test_mistakes_are_told_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, told in (
        (("nano", "plain", "--missing", "guess"), "no policy 'guess'"),
        (("nano", "plain", "--device", "tpu"), "no device 'tpu'"),
        (("nano", "plain", "--engine", "slurm"), "no engine 'slurm'"),
        (("nano", "plain", "--address", "auto"), "add --engine ray"),
        (("nano", "plain", "--split", "train"), "no split 'train'"),
        (("nano", "plain", "--convention", "mine"), "no convention 'mine'"),
        (("nano", "nowhere"), "no benchmark 'nowhere'"),
        (("micro", "plain"), "no preset 'micro'"),
        (("nano", "lasher"), "No sequence of LasHeR"),
    ):
        result = tectum_evaluate(*words, "--root", root, "--out", out)
        assert result.exit_code == 2, result.output
        assert told in result.stderr
        assert "Traceback" not in result.output
    assert not out.exists()


def test_a_broken_sequence_is_told_once_and_strict_minds_it(root: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    (some / "walk0").symlink_to(root / "walk0")
    (some / "broken" / "rgb").mkdir(parents=True)
    (some / "broken" / "rgb" / "0.png").write_bytes(b"no image")
    (some / "broken" / "groundtruth.txt").write_text("1,2,3,4\n")
    words = ("nano", "plain", "--root", some, "--out", tmp_path / "out")
    result = tectum_evaluate(*words)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("broken") >= 1
    assert result.stderr.count("warning") == 1
    assert "1 of 2 sequences are in" in result.stdout
    assert tectum_evaluate(*words, "--strict").exit_code == 2
    other = tectum_evaluate(*words, "--batch", 2)
    assert other.exit_code == 2
    assert "batch 1 instead of 2" in other.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["ended"] is None
    assert len(record["starts"]) == 2


def test_each_split_has_a_folder_of_its_own(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ((), ("--split", "all")):
        assert tectum_evaluate("nano", "plain", "--root", root / "walk0", "--no-score", *words).exit_code == 0
    assert {folder.name for folder in Path("evaluations").iterdir()} == {"nano-plain", "nano-plain-all"}
