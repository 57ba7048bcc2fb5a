"""`world-bench` as a benchmark like any other: rendered where it is asked for, with one name for every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from trainings import procedural
from typer.testing import CliRunner, Result

from tectum.ablation.places import frames_to_render, open_places
from tectum.ablation.table import Measure
from tectum.benchmarks import find
from tectum.cli.evaluate import evaluate
from tectum.cli.main import Commands
from tectum.cli.score import score
from tectum.cli.validation import validator
from tectum.cli.world import world
from tectum.errors import BenchmarkError, UnknownNameError
from tectum.evaluation.jobs import plan
from tectum.weights import load
from tectum.world import bench

FRAMES = 4
ENTRIES = tuple(replace(bench.ENTRIES[index], number=number) for number, index in enumerate((0, 1, 12, 13), 1))
"""Two sequences of RGB and two of RGB with heat."""

BENCH = find("world-bench")

app = typer.Typer(cls=Commands)
app.command("evaluate")(evaluate)
app.command("score")(score)
app.add_typer(world, name="world")


@pytest.fixture(scope="module", autouse=True)
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bench of four short and small sequences, in the cache of a new home."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        patch.setattr(bench, "ENTRIES", ENTRIES)
        patch.setattr(bench, "SPLITS", {split: bench.SPLITS[split] for split in ("rgb", "rgbt")})
        patch.setattr(bench, "LENGTH", FRAMES)
        patch.setattr(bench, "SIZE", (96, 72))
        yield home


def tectum(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def run(short: Path) -> Path:
    """The folder of a run over all sequences, which renders them."""
    result = tectum("evaluate", "nano", "world-bench", "--out", short / "run", "--attributes")
    assert result.exit_code == 0, result.output
    for word in ("world-bench all: scores", "world-bench all: nano in percent, by attribute", "NPR", "rgbt"):
        assert word in result.stdout
    return short / "run"


def scores(*words: object) -> dict[str, dict[str, dict[str, float]]]:
    result = tectum("score", "world-bench", *words, "--json", "--draws", 0)
    assert result.exit_code == 0, result.output
    (card,) = json.loads(result.stdout)["trackers"].values()
    return dict(card)


def test_a_run_is_scored_as_a_whole_by_pairing_and_by_label(run: Path) -> None:
    card = scores(run)
    held = card["attributes"]
    assert list(held)[:2] == ["rgb", "rgbt"]
    assert card["SR"] == pytest.approx((held["rgb"]["SR"] + held["rgbt"]["SR"]) / 2)
    meta = [json.loads(path.read_text()) for path in bench.bench_folder().glob("*/*/meta.json")]
    assert set(held) - {"rgb", "rgbt"} == {label for each in meta for label in each["attributes"]}
    assert set(held["rgbt"]) >= {"SR", "PR", "NPR"}
    assert scores(run, "--split", "rgbt")["PR"] == pytest.approx(held["rgbt"]["PR"])


def test_results_of_another_version_are_refused(run: Path, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, old = bench.version(), bench.bench_folder()
    assert json.loads((run / "run.json").read_text())["config"]["version"] == before
    monkeypatch.setattr(bench, "RENDERER", bench.RENDERER + 1)
    shutil.copytree(old, bench.bench_folder(), ignore=shutil.ignore_patterns("contents.json"))
    scored = tectum("score", "world-bench", run)
    assert scored.exit_code == 2
    assert f"are of version {before} of world-bench, but they would be scored on" in scored.stderr
    continued = tectum("evaluate", "nano", "world-bench", "--out", run)
    assert continued.exit_code == 2
    assert f"version {before} instead of {bench.version()}" in continued.stderr
    assert scores(run, "--root", old)["SR"] > 0
    with pytest.raises(BenchmarkError, match="another world-bench than version"):
        bench.render_bench(old)


def test_results_of_other_sequences_are_refused_in_one_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bus.txt").write_text("1,2,3,4\n" * FRAMES)
    result = tectum("score", "world-bench", tmp_path)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "holds results of none of the 4 sequences" in result.stderr


def test_sequences_that_a_folder_lacks_are_told(run: Path, tmp_path: Path) -> None:
    bench.render_bench(tmp_path, ("rgbt",))
    assert BENCH.names(tmp_path) == tuple(entry.name for entry in ENTRIES)
    jobs, problems = plan(BENCH, tmp_path)
    assert [len(jobs), len(problems)] == [2, 2]
    with pytest.raises(UnknownNameError, match="no split 'rgbx': use one of rgb, rgbt"):
        BENCH.names(tmp_path, "rgbx")
    with pytest.raises(BenchmarkError, match="name a folder of `tectum world bench`"):
        BENCH.names(tmp_path / "rgbt")


def test_mistakes_are_told_before_anything_is_rendered(short: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        for words, told in (
            (("evaluate", "nano", "world-bench", "--split", "rgbx"), "no split 'rgbx'"),
            (("evaluate", "nano", "lasher"), "name its folder with --root"),
            (("score", "world-bench", tmp_path, "--split", "rgbx"), "no split 'rgbx'"),
            (("world", "bench", "--split", "rgbx"), "no split 'rgbx'"),
        ):
            result = tectum(*words)
            assert result.exit_code == 2, result.output
            assert told in result.stderr
    with pytest.raises(UnknownNameError, match="no split 'rgbx'"):
        validator(procedural("validation.benchmark=world-bench", "validation.split=rgbx"), None, "cpu")
    assert not any(tmp_path.iterdir())


def test_trainings_and_studies_find_it_by_its_name(run: Path) -> None:
    told = validator(procedural("validation.benchmark=world-bench"), None, "cpu")(load("nano"))
    held = scores(run)["attributes"]
    assert {key for key in told if key.endswith("/SR")} == {"world-bench/rgb/SR", "world-bench/rgbt/SR"}
    assert told["world-bench/rgbt/SR"] == pytest.approx(held["rgbt"]["SR"], abs=0.02)
    measures = [Measure("world-bench", "SR", "rgbt"), Measure("World-Bench", "SR")]
    assert frames_to_render(measures) == 0
    assert [(len(place.jobs), place.split) for place in open_places(measures, None)] == [(2, "rgbt"), (4, "all")]
