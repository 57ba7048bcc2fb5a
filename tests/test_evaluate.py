"""Runs over a benchmark: every sequence once, whole files or none, whoever does the work."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tectum import frames
from tectum.benchmarks.base import Benchmark, Truth
from tectum.errors import BenchmarkError, MissingModalityError, SourceError, TectumError
from tectum.evaluation.engines import Alone, Crew, Death, Processes, _serve
from tectum.evaluation.jobs import Job, plan
from tectum.evaluation.lockstep import Setup, Worker
from tectum.evaluation.passes import Event, Finished
from tectum.evaluation.result_files import find_results
from tectum.evaluation.results import read_run
from tectum.evaluation.run_folder import Config, RunFolder
from tectum.evaluation.running import Evaluation, Standing
from tectum.frames import Frame, Modality
from tectum.tracking.session import Tracker
from tests.brightness import Brightness, lit_frame

LENGTHS = {"bus": 9, "car": 6, "dog": 12, "tram": 4}


@dataclass(frozen=True)
class Walk:
    """A square that walks two pixels a frame, seen in two senses."""

    name: str
    places: tuple[int, ...]
    blind: int | None = None
    fatal: Path | None = None

    senses = frozenset({Modality.RGB, Modality.THERMAL})

    @property
    def length(self) -> int:
        return len(self.places)

    def __iter__(self):
        for index, place in enumerate(self.places):
            if self.fatal is not None and index == 2 and not self.fatal.exists():
                self.fatal.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            frame = lit_frame(40 + 2 * place, 50, place, self.senses)
            yield Frame({**frame.images, Modality.THERMAL: None}, index) if index == self.blind else frame


@dataclass
class Walks(Benchmark):
    """A benchmark without files; some of its sequences have flaws."""

    truths: dict[str, Truth] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    blind: dict[str, int] = field(default_factory=dict)
    fatal: dict[str, Path] = field(default_factory=dict)

    name = "walks"
    title = "Walks"
    senses = (Modality.RGB, Modality.THERMAL)
    convention = "plain"
    source = "these tests"

    @classmethod
    def of(cls, lengths: dict[str, int], **flaws: object) -> Walks:
        return cls({name: Truth(name, boxes(length)) for name, length in lengths.items()}, **flaws)

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        return tuple(self.truths)

    def truth(self, root: Path, name: str) -> Truth:
        return self.truths[name]

    def sequence(self, root: Path, name: str, order: Sequence[int] | None = None) -> frames.Sequence:
        if name in self.broken:
            raise SourceError(f"Folder {name} holds no images.")
        truth = self.truths[name]
        places = tuple(range(truth.length or len(truth.boxes)) if order is None else order)
        return frames.Sequence(Walk(name, places, self.blind.get(name), self.fatal.get(name)), truth.boxes)


def boxes(length: int) -> np.ndarray:
    return np.array([[40 + 2 * place, 50, 16, 16] for place in range(length)], np.float64)


def tracker(missing: str = "copy", passes: list[int] | None = None) -> Tracker:
    system = Brightness()
    system.passes = system.passes if passes is None else passes
    return Tracker(system, missing=missing)


def folder(path: Path, **changed: object) -> RunFolder:
    config = Config("brightness", "0" * 64, "thermal", "copy", "cpu", 1, "walks", "test", 1)
    return RunFolder(path, Config(**{**vars(config), **changed}), {"weights": "none"})


def run(
    path: Path,
    benchmark: Walks,
    crew: Callable[[Setup], Crew] = Alone,
    batch: int = 1,
    make: Callable[[], Tracker] = tracker,
) -> Evaluation:
    """A whole run, from the plan to the record."""
    jobs, problems = plan(benchmark, Path())
    held = folder(path, batch=batch)
    held.enter(jobs)
    evaluation = Evaluation(held, jobs, crew(Setup(make, benchmark, Path(), threads=1)), batch)
    evaluation.problems.extend(problems)
    evaluation.go()
    held.leave(jobs, sorted(evaluation.machines))
    return evaluation


def written(path: Path) -> dict[str, bytes]:
    """Everything in a run's folder that does not tell the time."""
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if not name.endswith(("_time.txt", "json", "lock"))}


@pytest.fixture
def plain_run(tmp_path: Path) -> dict[str, bytes]:
    """What an undisturbed run writes."""
    run(tmp_path / "undisturbed", Walks.of(LENGTHS))
    return written(tmp_path / "undisturbed")


def test_a_run_writes_whole_files_and_says_how_they_came_about(tmp_path: Path) -> None:
    evaluation = run(tmp_path, Walks.of(LENGTHS))
    assert evaluation.problems == []
    assert evaluation.standing() == Standing(complete=4, jobs=4, tracked=31, frames=31, total=31)
    assert set(written(tmp_path)) == {f"{name}{ending}" for name in LENGTHS for ending in (".txt", "_confidence.value")}
    found = np.loadtxt(tmp_path / "dog.txt", delimiter=",")
    assert found.shape == (12, 4)
    assert np.abs(found - boxes(12)).max() < 6
    confidences, seconds = (np.loadtxt(tmp_path / f"dog_{kind}") for kind in ("confidence.value", "time.txt"))
    assert confidences[0] == 1
    assert len(seconds) == 12
    assert (seconds > 0).all()
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["config"]["preset"] == "brightness"
    assert record["complete"] == "4 of 4"
    assert record["starts"][0]["torch"]
    assert record["frames_per_second"]["by_sequence"]["dog"] == pytest.approx(12 / seconds.sum(), rel=0.01)


def test_lockstep_and_processes_write_the_same_bytes(tmp_path: Path, plain_run: dict[str, bytes]) -> None:
    passes: list[int] = []
    run(tmp_path / "lockstep", Walks.of(LENGTHS), batch=3, make=partial(tracker, passes=passes))
    assert written(tmp_path / "lockstep") == plain_run
    assert set(passes) >= {2, 3}
    # The worker is killed while it tracks `bus`; another one takes it up again.
    benchmark = Walks.of(LENGTHS, fatal={"bus": tmp_path / "died"})
    told: list[str] = []
    jobs, _ = plan(benchmark, Path())
    held = folder(tmp_path / "processes")
    held.enter(jobs)
    Evaluation(held, jobs, Processes(Setup(tracker, benchmark, Path(), 1), 1), say=told.append).go()
    assert written(tmp_path / "processes") == plain_run
    assert told == ["A worker died on sequence bus (killed by signal 9): it is begun again by another."]


def test_a_worker_that_is_killed_in_the_middle_of_its_answer_is_a_death() -> None:
    class Torn(Processes):
        """Its worker sends a part of an answer and is gone."""

        def _start(self) -> tuple[multiprocessing.Process, multiprocessing.connection.Connection]:  # type: ignore[override]
            ours, theirs = multiprocessing.Pipe()
            os.write(theirs.fileno(), struct.pack("!i", 100) + b"half of it")
            theirs.close()
            process = multiprocessing.get_context("fork").Process(target=os._exit, args=(9,))
            process.start()
            return process, ours  # type: ignore[return-value]

    crew = Torn(Setup(tracker, Walks.of(LENGTHS), Path(), 1), 1)
    crew.hand(0, ())
    assert crew.wait() == (0, Death("exit code 9"))


def test_a_worker_ends_with_the_process_that_it_works_for() -> None:
    ours, theirs = multiprocessing.Pipe()
    worker = threading.Thread(target=_serve, args=(theirs, Setup(tracker, Walks.of(LENGTHS), Path(), 1)), daemon=True)
    worker.start()
    ours.close()
    worker.join(timeout=10)
    assert not worker.is_alive()


def test_a_sequence_that_kills_two_workers_is_left_out(tmp_path: Path, plain_run: dict[str, bytes]) -> None:
    class Mortal(Alone):
        """Dies of one sequence, and in lockstep takes others with it."""

        size = 1
        deaths = 0

        def wait(self) -> tuple[int, list[Event] | Death]:
            if any(job.key == "car" for job in self._jobs):
                self.deaths += 1
                self._worker.close()
                return 0, Death("exit code 1")
            return super().wait()

    evaluation = run(tmp_path / "run", Walks.of(LENGTHS), crew=Mortal, batch=3)
    sentences = [problem.sentence for problem in evaluation.problems]
    assert sentences == ["Sequence car is left out, for 2 workers died on it (exit code 1)."]
    assert evaluation.crew.deaths == 2
    assert written(tmp_path / "run") == {name: data for name, data in plain_run.items() if not name.startswith("car")}


def test_a_run_continues_with_what_is_not_complete(tmp_path: Path, plain_run: dict[str, bytes]) -> None:
    class Interrupted(Alone):
        """Ctrl-C in the middle of the second sequence."""

        def wait(self) -> tuple[int, list[Event] | Death]:
            if any(job.key == "car" for job in self._jobs):
                super().wait()
                raise KeyboardInterrupt
            return super().wait()

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", Walks.of({"bus": 9, "car": 400, "dog": 12, "tram": 4}), crew=Interrupted)
    assert set(written(tmp_path / "run")) == {"bus.txt", "bus_confidence.value"}
    passes: list[int] = []
    evaluation = run(tmp_path / "run", Walks.of(LENGTHS), make=partial(tracker, passes=passes))
    assert written(tmp_path / "run") == plain_run
    assert len(passes) == (6 - 1) + (12 - 1) + (4 - 1)
    assert evaluation.standing().tracked == 22


def test_two_runs_at_once_share_the_work(tmp_path: Path, plain_run: dict[str, bytes]) -> None:
    passes: tuple[list[int], list[int]] = [], []
    both = threading.Barrier(2)

    def make(mine: list[int]) -> Tracker:
        """Made with the first job, so each of the two has claimed one when it goes on."""
        both.wait(timeout=10)
        return tracker(passes=mine)

    def one(mine: list[int]) -> None:
        run(tmp_path / "run", Walks.of(LENGTHS), make=partial(make, mine))

    threads = [threading.Thread(target=one, args=(mine,)) for mine in passes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written(tmp_path / "run") == plain_run
    assert len(passes[0]) + len(passes[1]) == 31 - 4
    assert all(passes)
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["starts"]) == 2


def test_a_flawed_sequence_is_named_and_the_rest_goes_on(tmp_path: Path, plain_run: dict[str, bytes]) -> None:
    benchmark = Walks.of(LENGTHS, broken=frozenset({"car"}), blind={"bus": 3, "dog": 5})
    benchmark.truths["gone"] = Truth("gone", np.full((5, 4), np.nan))
    evaluation = run(tmp_path / "run", benchmark, batch=4, make=partial(tracker, missing="stop"))
    assert {problem.sequence for problem in evaluation.problems} == {"gone", "car", "bus", "dog"}
    assert any("Frame 3 lacks thermal" in problem.sentence for problem in evaluation.problems)
    assert written(tmp_path / "run") == {name: data for name, data in plain_run.items() if name.startswith("tram")}
    assert evaluation.standing() == Standing(complete=1, jobs=4, tracked=pytest.approx(15, abs=9), frames=4, total=4)
    again = run(tmp_path / "copied", benchmark)
    assert [problem.sequence for problem in again.problems] == ["gone", "car"]
    assert "bus: thermal was missing in 1 of 9 frames (first frame 3)." in again.warnings


def test_the_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    jobs, _ = plan(Walks.of(LENGTHS), Path())
    folder(tmp_path).enter(jobs)
    folder(tmp_path).enter(jobs)
    with pytest.raises(TectumError, match="missing copy instead of zero, batch 1 instead of 4: give another folder"):
        folder(tmp_path, missing="zero", batch=4).enter(jobs)
    for damaged in ("{", "[]", '{"config": 5}'):
        (tmp_path / "run.json").write_text(damaged)
        with pytest.raises(TectumError, match=r"run\.json is damaged"):
            folder(tmp_path).enter(jobs)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "elephant.txt").write_text("1,2,3,4\n")
    with pytest.raises(TectumError, match=r"holds elephant\.txt, but no run\.json says of which run"):
        folder(tmp_path / "theirs").enter(jobs)
    with pytest.raises(TectumError, match="cannot be written"):
        folder(tmp_path / "theirs" / "elephant.txt").enter(jobs)


def test_a_run_keeps_the_threads_that_it_began_with(tmp_path: Path) -> None:
    assert folder(tmp_path).threads(4) == 4
    assert folder(tmp_path).threads(1) == 4


def test_a_mistake_in_the_tracker_ends_the_run(tmp_path: Path) -> None:
    class Threads(Processes):
        """Serves in a thread, which starts sooner."""

        def _start(self) -> tuple[threading.Thread, multiprocessing.connection.Connection]:  # type: ignore[override]
            ours, theirs = multiprocessing.Pipe()
            thread = threading.Thread(target=_serve, args=(theirs, self._setup), daemon=True)
            thread.start()
            return thread, ours

    for crew in (Alone, partial(Threads, size=1)):
        with pytest.raises(TectumError, match="no policy 'guess'"):
            run(tmp_path, Walks.of({"tram": 4}), crew=crew, make=partial(tracker, missing="guess"))


def test_a_run_starts_where_the_target_is_first_seen(tmp_path: Path) -> None:
    benchmark = Walks.of({"late": 8, "sparse": 3})
    benchmark.truths["late"].boxes[:3] = 0
    benchmark.truths["sparse"] = Truth("sparse", boxes(25)[4::10], images=np.array([4, 14, 24]), length=28)
    jobs, _ = plan(benchmark, Path())
    assert [(job.start, job.frames) for job in jobs] == [(3, 8), (4, 28)]
    run(tmp_path, benchmark)
    late, sparse = (np.loadtxt(tmp_path / f"{name}.txt", delimiter=",") for name in ("late", "sparse"))
    assert (late[:4] == [46, 50, 16, 16]).all()
    assert len(late) == 8
    assert (sparse[:5] == [48, 50, 16, 16]).all()
    assert len(sparse) == 28
    assert np.loadtxt(tmp_path / "late_time.txt")[:3].tolist() == [0, 0, 0]


def test_anchored_runs_go_forwards_and_backwards(tmp_path: Path) -> None:
    class Anchored(Walks):
        convention = "vot-anchored"

    benchmark = Anchored({"dog": Truth("dog", boxes(12), anchors=np.array([0, 7, -7 + 1, -11]))})
    jobs, problems = plan(benchmark, Path(), repetitions=3)
    assert problems == []
    assert [(job.key[-2:], job.frames) for job in jobs] == [("00", 12), ("07", 5), ("06", 7), ("11", 12)]
    run(tmp_path, benchmark)
    found = find_results(tmp_path, ["dog"], anchored=True).runs["dog"]
    assert [files.anchor for files in found] == [0, 6, 7, 11]
    forth, back = read_run(found[0]), read_run(found[3])
    assert forth.values.shape == back.values.shape == (12, 4)
    assert np.isnan(forth.values[0]).all()
    assert np.isnan(forth.scores[0])
    assert back.values[-1][:2] == pytest.approx([40, 50], abs=6)
    with pytest.raises(BenchmarkError, match="no box with an area at its anchor 2"):
        plan(Anchored({"dog": Truth("dog", np.full((5, 4), np.nan), anchors=np.array([2]))}), Path())


def test_a_sequence_whose_file_would_be_that_of_times_is_left_out() -> None:
    jobs, problems = plan(Walks.of({"car_time": 5, "car": 5, "bus_time": 5}), Path())
    assert [job.key for job in jobs] == ["car", "bus_time"]
    assert [problem.sequence for problem in problems] == ["car_time"]


def test_repetitions_have_a_file_each() -> None:
    jobs, _ = plan(Walks.of({"dog": 5}), Path(), repetitions=3)
    assert [job.key for job in jobs] == ["dog/dog_001", "dog/dog_002", "dog/dog_003"]


def test_a_worker_tells_how_far_it_is_and_lets_go(tmp_path: Path) -> None:
    benchmark = Walks.of({"dog": 400})
    worker = Worker(Setup(tracker, benchmark, Path(), 1))
    (job,) = plan(benchmark, Path())[0]
    before = threading.active_count()
    told = [worker.work([job]), worker.work([])]
    frames_told = [event.frames for events in told for event in events[-1:] if not isinstance(event, Finished)]
    assert all(count > 1 for count in frames_told)
    worker.close()
    assert threading.active_count() == before


def test_a_sequence_that_ends_before_its_start_is_a_problem(tmp_path: Path) -> None:
    benchmark = Walks.of({"late": 8, "tram": 4})
    benchmark.truths["late"].boxes[:6] = np.nan
    job = plan(benchmark, Path())[0][0]
    worker = Worker(Setup(tracker, benchmark, Path(), 1))
    (failed,) = worker.work([Job(job.sequence, job.key, job.box, start=9, frames=8)])
    assert "ends before image 9" in failed.sentence


def test_stop_is_an_error_of_its_own() -> None:
    held = tracker("stop")
    session = held.start(lit_frame(40, 50, senses=Walk.senses), (40, 50, 16, 16))
    with pytest.raises(MissingModalityError):
        held.check(session, Frame({Modality.RGB: lit_frame(40, 50).images[Modality.RGB], Modality.THERMAL: None}))
