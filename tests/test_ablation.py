"""`tectum ablate` on rendered scenes: stopped, resumed, shared, in processes, on Ray; the tables stay the same."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from filelock import FileLock
from safetensors.torch import load_file
from trainings import WORLD
from typer.testing import CliRunner, Result

from tectum.ablation.engines import Engine, Processes, RayTasks
from tectum.ablation.findings import Findings, gather
from tectum.ablation.folder import write_findings
from tectum.ablation.grid import Run, lay_out
from tectum.ablation.places import open_places
from tectum.ablation.record import check_folders, lock_of, standing
from tectum.ablation.report import long_sheet, sheets
from tectum.ablation.running import State, Study
from tectum.ablation.table import Table
from tectum.ablation.table_file import read_table
from tectum.ablation.work import Order, Outcome, carry_out
from tectum.cli.ablate import ablate, hooks
from tectum.cli.main import Commands
from tectum.errors import RecipeError
from tectum.frames import Modality
from tectum.systems.base import System
from tectum.training.loop import Hooks
from tectum.training.recipe import Recipe
from tectum.weights import bundled
from tectum.world import Scene
from tectum.world.layouts import write_scene

SMALL = [
    *("data.world.plates=2", "data.world.things=4", "schedule.epochs=1", "schedule.samples=16", "schedule.warmup=0"),
    *(
        "crops.template_size=64",
        "crops.search_size=64",
        "batch.size=4",
        "workers=0",
        "precision=fp32",
        "validation.pairs=4",
    ),
]

TABLE = f"""\
title: A small table
recipe: nano
seeds: [1, 2]
budget: 8
set: {json.dumps([*WORLD, *SMALL])}
variants:
  baseline: []
  + rate: [optim.lr=1e-4]
  no window:
    weights_of: baseline
    evaluate: [decoding.window=0]
measure:
  - {{benchmark: plain, root: scenes, key: SR}}
  - {{benchmark: plain, root: scenes, key: AO}}
baseline: baseline
"""

COMMAND = """
import typer
from tectum.cli.ablate import ablate
from tectum.cli.main import Commands
app = typer.Typer(cls=Commands)
app.command("ablate")(ablate)
app.callback()(lambda: None)
if __name__ == "__main__":
    app()
"""

app = typer.Typer(cls=Commands)
app.command("ablate")(ablate)
app.callback()(lambda: None)


class Here(Engine):
    """Does the work of a run in this process, as soon as it is waited for."""

    def __init__(self) -> None:
        self.devices = ("cpu",)
        self.orders: list[Order] = []
        self.begun: list[str] = []

    def start(self, slot: int, order: Order) -> None:
        order.run.folder.mkdir(parents=True, exist_ok=True)
        self.orders.append(order)
        self.begun.append(order.run.name)

    def wait(self, seconds: float) -> list[tuple[int, Outcome]]:
        return [(0, carry_out(self.orders.pop()))] if self.orders else []

    def close(self) -> None:
        self.orders.clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, and three scenes to track through."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "table.yaml").write_text(TABLE)
    for seed in range(3):
        write_scene(folder / "scenes", Scene.random(seed, 5, (96, 72), frozenset({Modality.RGB})))
    return folder


def begin(data: Path, out: Path, engine: Engine, prepare: Callable[[Recipe, Path | None], Hooks] = hooks) -> Study:
    table = read_table(data / "table.yaml")
    runs, places = lay_out(table, out), open_places(table.measures, data)
    check_folders(runs)

    def order(run: Run, device: str) -> Order:
        return Order(run, lock_of(run, out), places, data, device, 1, prepare)

    return Study(runs, places, out, engine, order)


def table_of(data: Path) -> Table:
    return read_table(data / "table.yaml")


def found(data: Path, study: Study) -> Findings:
    done = {folder for folder, state in study.states.items() if state is State.DONE}
    return gather(table_of(data), study.runs, done, study.places)


def written(data: Path, study: Study) -> bytes:
    """What is found, as `table.csv` has it."""
    return long_sheet(found(data, study)).csv().encode()


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study from beginning to end."""
    study = begin(data, tmp_path_factory.mktemp("undisturbed"), Here())
    study.go()
    assert set(study.states.values()) == {State.DONE}
    assert study.problems == dict.fromkeys(study.states, ())
    write_findings(study.out, found(data, study))
    return study.out


def test_every_output_says_what_was_found_and_at_which_budget(undisturbed: Path) -> None:
    label = "Reduced budget: 8 of 16 samples per run."
    for name in ("table.md", "table.tex"):
        assert label in (undisturbed / name).read_text()
    held = json.loads((undisturbed / "table.json").read_text())
    assert held["budget"] == label
    rate = held["measures"][0]["variants"]["+ rate"]
    assert rate["mean"] == pytest.approx(sum(rate["seeds"].values()) / 2)
    baseline = held["measures"][0]["variants"]["baseline"]
    assert rate["difference"]["value"] == pytest.approx(rate["mean"] - baseline["mean"])
    assert baseline["difference"] is None
    assert baseline["runs"]["1"]["samples"] == 8
    assert baseline["runs"]["1"]["parameters"] == baseline["runs"]["1"]["trained"] > 300_000
    rows = list(csv.DictReader((undisturbed / "table.csv").open()))
    assert {(row["samples"], row["recipe_samples"]) for row in rows} == {("8", "16")}
    assert (undisturbed / "table.png").read_bytes().startswith(b"\x89PNG")


def test_settings_matter_and_borrowed_weights_are_the_same(undisturbed: Path) -> None:
    record, other, borrowed = (
        json.loads((undisturbed / name / "1" / "run.json").read_text()) for name in ("baseline", "rate", "no-window")
    )
    assert record["weights"] != other["weights"]
    assert record["weights"] == borrowed["weights"]
    assert record["digest"] != borrowed["digest"]
    assert not (undisturbed / "no-window" / "1" / "last.safetensors").exists()


def test_what_is_done_is_not_done_again(data: Path, undisturbed: Path) -> None:
    engine = Here()
    study = begin(data, undisturbed, engine)
    study.go()
    assert engine.begun == []
    assert standing(study.runs[0], study.places).done


def test_a_stopped_study_goes_on_and_a_failed_run_stops_no_other(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    def disturbed(recipe: Recipe, folder: Path | None) -> Hooks:
        """One run fails, and another one is stopped in its first batch."""
        if recipe.seed == 2 and recipe.optim.lr == 1e-4:
            raise RecipeError("The disk is full.")

        def build(recipe: Recipe) -> System:
            system = given.build(recipe)
            if recipe.seed == 1 and recipe.optim.lr == 1e-4:
                system.register_forward_hook(stop)
            return system

        def stop(*_: object) -> None:
            if "stopped" not in told:
                told.add("stopped")
                os.kill(os.getpid(), signal.SIGTERM)

        given = hooks(recipe, folder)
        return replace(given, build=build)

    told: set[str] = set()
    first = begin(data, tmp_path, Here(), disturbed)
    first.go()
    states = {run.name: first.states[run.folder] for run in first.runs}
    assert {name for name, state in states.items() if state is State.FAILED} == {"+ rate, seed 1", "+ rate, seed 2"}
    assert set(first.faults.values()) >= {"The disk is full."}
    assert "was stopped by a signal" in " ".join(first.faults.values())
    assert "+ rate has 0 of 2 seeds on plain scenes." in sheets(found(data, first))[0].markdown()

    engine = Here()
    second = begin(data, tmp_path, engine)
    lock = FileLock(lock_of(second.runs[4], tmp_path))
    lock.acquire()

    def watch(study: Study) -> None:
        if study.states[study.runs[4].folder] is State.ELSEWHERE:
            lock.release()

    second.watch = watch
    second.go()
    assert engine.begun == ["+ rate, seed 1", "+ rate, seed 2"]
    assert written(data, second) == (undisturbed / "table.csv").read_bytes()


def test_finished_trainings_and_weights_that_ship_are_taken_as_they_are(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    def frozen(recipe: Recipe, folder: Path | None) -> Hooks:
        def build(recipe: Recipe) -> System:
            system = given.build(recipe)
            system.register_forward_pre_hook(lambda *_: pytest.fail("It is trained again."))
            return system

        given = hooks(recipe, folder)
        return replace(given, build=build)

    kept, variants = TABLE[: TABLE.index("  + rate")], "  as it is: {weights: nano}\nmeasure:\n"
    measure = "  - {benchmark: plain, root: scenes, key: SR}\nbaseline: baseline\n"
    (tmp_path / "table.yaml").write_text(f"{kept.replace('[1, 2]', '[1]')}{variants}{measure}")
    table = read_table(tmp_path / "table.yaml")
    runs, places = lay_out(table, tmp_path), open_places(table.measures, data)
    # What is left is a folder of `tectum train`.
    own = shutil.ignore_patterns("run.json", "on-*")
    before = shutil.copytree(undisturbed / "baseline" / "1", runs[0].folder, ignore=own) / "last.safetensors"
    tensors = load_file(before)

    def order(run: Run, device: str) -> Order:
        return Order(run, lock_of(run, tmp_path), places, data, device, 1, frozen)

    study = Study(runs, places, tmp_path, Here(), order)
    study.go()
    assert study.faults == {}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(before).items())
    record = json.loads((tmp_path / "as-it-is" / "1" / "run.json").read_text())
    assert record["weights"] == hashlib.sha256(bundled("nano").read_bytes()).hexdigest()
    assert (record["trained"], record["samples"]) == (0, 0)
    assert record["parameters"] > 300_000
    (held,) = gather(table, runs, {run.folder for run in runs}, places).by_measure.values()
    scores = {finding.variant.name: finding.spread.mean for finding in held}
    assert scores["baseline"] == pytest.approx(score_of(undisturbed, "baseline", 1))
    assert scores["as it is"] != scores["baseline"]


def score_of(out: Path, variant: str, seed: int) -> float:
    """What a study has found on its first measure."""
    held = json.loads((out / "table.json").read_text())
    return float(held["measures"][0]["variants"][variant]["seeds"][str(seed)])


def test_folders_of_other_recipes_are_refused(data: Path, undisturbed: Path) -> None:
    runs = lay_out(replace(table_of(data), budget=16), undisturbed)
    with pytest.raises(
        RecipeError, match="holds a run of another recipe, budget or way to evaluate than baseline, seed 1"
    ):
        check_folders(runs)


def test_weights_that_nobody_trains_are_told(data: Path, tmp_path: Path) -> None:
    def broken(recipe: Recipe, folder: Path | None) -> Hooks:
        raise ValueError("no memory")

    study = begin(data, tmp_path, Here(), broken)
    study.go()
    assert set(study.states.values()) == {State.FAILED}
    assert study.faults[study.runs[0].folder].startswith("ValueError: no memory (see ")
    assert study.faults[study.runs[2].folder] == "The weights of baseline that it tries could not be trained."


def tectum_ablate(*words: object) -> Result:
    return CliRunner().invoke(app, ["ablate", *map(str, words)])


def test_the_command_prints_the_grid_and_the_tables_of_what_is_done(data: Path, undisturbed: Path) -> None:
    words = (data / "table.yaml", "--data", data, "--out", undisturbed)
    preview = tectum_ablate(*words, "--dry-run")
    assert preview.exit_code == 0, preview.output
    assert "+ rate     seed 2  8 samples, trained, 3 of 3 sequences tracked" in preview.stdout
    assert "left to train: 0 samples" in preview.stdout
    more = tectum_ablate(*words, "--dry-run", "--seeds", "1,5")
    assert "seed 5  8 samples, not begun" in more.stdout
    assert "left to train: 16 samples" in more.stdout
    done = tectum_ablate(*words)
    assert done.exit_code == 0, done.output
    assert "6 of 6 runs are done already." in done.stderr
    assert "A small table: SR on plain scenes (percent)" in done.stdout
    study = json.loads((undisturbed / "study.json").read_text())
    assert len({run["recipe"] for run in study["runs"]}) == 6
    assert study["packages"]["torch"]


def test_mistakes_are_told_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    table = data / "table.yaml"
    for words, told in (
        ((table, "--seeds", ""), "names no seed"),
        ((table, "--seeds", "1,b"), "write whole numbers"),
        ((table, "--budget", 0), "--budget is 0"),
        ((table, "--budget", 3), "error: --budget: a budget of 3 is less than a batch of 4 in each epoch"),
        ((table, "--devices", "tpu"), "no device 'tpu'"),
        ((table, "--engine", "slurm"), "no engine 'slurm'"),
        ((table, "--address", "auto"), "add --engine ray"),
        ((table, "optim.rl=3"), "'optim.rl=3' on the command line"),
        (("nothing",), "no table 'nothing'"),
    ):
        result = tectum_ablate(*words, "--data", data, "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert told in result.stderr
    assert "no folder" in tectum_ablate(table, "--data", tmp_path, "--out", tmp_path / "out").stderr
    assert not (tmp_path / "out").exists()


def test_ctrl_c_says_that_the_same_command_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(study: Study) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "go", interrupt)
    result = tectum_ablate(data / "table.yaml", "--data", data, "--out", tmp_path)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == f"stopped; the same command goes on from {tmp_path}"


@pytest.mark.slow
def test_killed_and_shared_studies_end_the_same(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(tmp_path / "ablate.py"), "ablate", data / "table.yaml", "--data", data]
    command += ["--out", tmp_path / "out", "--quiet"]
    (tmp_path / "ablate.py").write_text(COMMAND)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, start_new_session=True)

    for end in (signal.SIGKILL, signal.SIGINT):
        before = len(list(tmp_path.glob("out/*/*/run.json")))
        study = start()
        wait_for(lambda before=before: len(list(tmp_path.glob("out/*/*/run.json"))) > before)
        os.killpg(study.pid, end) if end is signal.SIGINT else study.send_signal(end)
        _, said = study.communicate(timeout=60)
        assert study.returncode in (-signal.SIGKILL, 130)
        assert "Traceback" not in said
        wait_for(lambda study=study: not is_alive(study.pid))
    both = [start(), start()]
    assert [study.wait(300) for study in both] == [0, 0]
    assert (tmp_path / "out" / "table.csv").read_bytes() == (undisturbed / "table.csv").read_bytes()


def wait_for(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_engines_find_the_same(data: Path, undisturbed: Path, tmp_path: Path, engine: str) -> None:
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'tectum[cluster]'")
    study = begin(data, tmp_path, RayTasks(("cpu", "cpu")) if engine == "ray" else Processes(("cpu", "cpu")))
    study.go()
    assert study.faults == {}
    assert written(data, study) == (undisturbed / "table.csv").read_bytes()
