"""Scores from files and from memory: what is left out, what is named, who is first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tectum.benchmarks.base import Benchmark, Lists, Truth
from tectum.errors import BenchmarkError, ResultError, UnknownNameError
from tectum.evaluation.conventions import convention
from tectum.evaluation.report import Scores
from tectum.evaluation.scoring import score, score_boxes
from tectum.frames import Sequence
from tests.test_results import text, write

LENGTH = 20
SHIFT = np.array([6.0, 0, 0, 0])


def made(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.column_stack([random.uniform(50, 200, (LENGTH, 2)), random.uniform(20, 60, (LENGTH, 2))]).round()


TRUTHS = {name: made(seed) for seed, name in enumerate(("ant", "bee", "cat"))}


class Tiny(Benchmark):
    """Three sequences, of which two have an attribute."""

    name = "tiny"
    title = "Tiny"
    senses = ()
    convention = "plain"
    source = "this test"

    def __init__(self, **truths: Truth | None) -> None:
        self.truths: Mapping[str, Truth | None] = {name: Truth(name, boxes) for name, boxes in TRUTHS.items()} | truths

    @property
    def lists(self) -> Lists:  # type: ignore[override]
        return Lists(
            {"test": tuple(self.truths)}, {"fast": frozenset({"ant", "bee", "elk"}), "dark": frozenset({"elk"})}
        )

    def truth(self, root: Path, name: str) -> Truth:
        held = self.truths[name]
        if held is None:
            raise BenchmarkError(f"Sequence {name} is not there.")
        return held

    def sequence(self, root: Path, name: str, order: object = None) -> Sequence:
        raise NotImplementedError


def results(folder: Path, offset: float = 0.0, names: tuple[str, ...] = tuple(TRUTHS)) -> Path:
    shift = np.array([offset, 0, 0, 0])
    return write(folder, {f"{name}.txt": text(TRUTHS[name] + shift) for name in names})


def test_scores_are_those_of_the_arrays(tmp_path: Path) -> None:
    board = score(Tiny(), tmp_path, {"mine": results(tmp_path / "mine", 6)})
    (card,) = board.cards
    alone = [Scores.of(boxes + SHIFT, boxes) for boxes in TRUTHS.values()]
    assert card.scores["SR"] == pytest.approx(np.mean([each.success_auc for each in alone]), abs=1e-12)
    assert card.scores == score_boxes({n: b + SHIFT for n, b in TRUTHS.items()}, Tiny().truths.values())  # type: ignore[arg-type]
    assert (board.benchmark, board.split, board.protocol.name) == ("Tiny", "test", "plain")
    assert board.attributes == {"fast": {"ant", "bee"}}
    assert not board.problems


def test_the_best_tracker_comes_first(tmp_path: Path) -> None:
    folders = {f"off by {gap}": results(tmp_path / str(gap), gap) for gap in (9, 0, 4)}
    board = score(Tiny(), tmp_path, folders)
    assert [card.tracker for card in board.cards] == ["off by 0", "off by 4", "off by 9"]


def test_a_truth_that_cannot_be_used_is_named_once_and_the_rest_is_scored(tmp_path: Path) -> None:
    never = Truth("elk", np.full((LENGTH, 4), np.nan))
    hidden = Truth("fox", made(9), absent=np.ones(LENGTH, bool))
    tiny = Tiny(dog=None, elk=never, fox=hidden)
    board = score(tiny, tmp_path, {name: results(tmp_path / name) for name in ("one", "two")})
    assert board.names == ("ant", "bee", "cat")
    assert [(problem.tracker, problem.sequence) for problem in board.problems] == [
        (None, "dog"),
        (None, "elk"),
        (None, "fox"),
    ]
    assert "is not there" in board.problems[0].sentence
    assert "absent throughout" in board.problems[1].sentence
    assert all(len(card.tally.names) == 3 for card in board.cards)


def test_a_tracker_without_some_sequences_is_scored_on_the_others(tmp_path: Path) -> None:
    board = score(Tiny(), tmp_path, {"half": results(tmp_path / "half", 0, ("ant", "cat")), "gone": tmp_path / "gone"})
    (card,) = board.cards
    assert card.tally.names == ("ant", "cat")
    assert card.scores["SR"] == pytest.approx(20 / 21)
    missing, gone = board.problems
    assert missing.sequences == ("bee",)
    assert (gone.tracker, "There is no folder" in gone.sentence) == ("gone", True)


def test_a_sequence_that_the_convention_refuses_is_left_out(tmp_path: Path) -> None:
    truths = {name: Truth(name, boxes, anchors=np.array([0, -(LENGTH - 1)])) for name, boxes in TRUTHS.items()}
    folder = tmp_path / "mine"
    for name, boxes in TRUTHS.items():
        runs = {f"{name}/{name}_00000000.txt": text(boxes), f"{name}/{name}_00000019.txt": text(boxes[::-1])}
        write(folder, dict(list(runs.items())[: 1 if name == "bee" else 2]))
    board = score(Tiny(**truths), tmp_path, {"mine": folder}, convention="vot-anchored")
    assert board.cards[0].tally.names == ("ant", "cat")
    (problem,) = board.problems
    assert (problem.tracker, problem.sequence) == ("mine", "bee")
    assert "bee" in problem.sentence


def test_rules_that_are_not_the_benchmarks_own_are_told(tmp_path: Path) -> None:
    folders = {"mine": results(tmp_path / "mine")}
    assert not score(Tiny(), tmp_path, folders).notices
    (notice,) = score(Tiny(), tmp_path, folders, convention="rgbt234").notices
    assert "published under the convention plain" in notice
    many = Tiny(**{f"seq{number}": Truth(f"seq{number}", made(number)) for number in range(30)})
    results(tmp_path / "mine", names=())
    write(tmp_path / "mine", {f"seq{number}.txt": text(made(number)) for number in range(30)})
    with pytest.raises(ResultError, match=r"ant has no anchors.* and 29 more of this kind\.$"):
        score(many, tmp_path, folders, convention="vot-anchored")


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="There is no folder"):
        score(Tiny(), tmp_path, {"mine": tmp_path / "mine"})
    with pytest.raises(ResultError, match=r"ant\.txt is empty.*None of the results of mine"):
        score(Tiny(), tmp_path, {"mine": write(tmp_path / "mine", {"ant.txt": ""})})
    with pytest.raises(BenchmarkError, match=r"None of the 3 sequences of Tiny .* Sequence ant is not there"):
        score(Tiny(ant=None, bee=None, cat=None), tmp_path, {})
    with pytest.raises(UnknownNameError, match="no benchmark 'tinny'"):
        score("tinny", tmp_path, {})
    with pytest.raises(UnknownNameError, match="no split 'train'"):
        score(Tiny(), tmp_path, {}, split="train")


def test_boxes_in_memory_must_be_boxes() -> None:
    with pytest.raises(ResultError, match=r"ant have the shape \(20, 3\)"):
        score_boxes({"ant": TRUTHS["ant"][:, :3]}, [Truth("ant", TRUTHS["ant"])])
    with pytest.raises(ResultError, match="nothing to score"):
        score_boxes({"ant": TRUTHS["ant"]}, [Truth("bee", TRUTHS["bee"])], convention("plain"))


def test_a_sequence_with_the_given_box_alone_is_left_out(tmp_path: Path) -> None:
    lone = Truth("dog", TRUTHS["ant"][:1], length=LENGTH)
    write(results(tmp_path / "mine"), {"dog.txt": text(TRUTHS["ant"])})
    board = score(Tiny(dog=lone), tmp_path, {"mine": tmp_path / "mine"})
    assert set(board.names) == set(TRUTHS)
    assert "Sequence dog of Tiny has no box but the given one" in board.problems[0].sentence
    with pytest.raises(BenchmarkError, match="no box but the given one"):
        score(Tiny(**{name: Truth(name, boxes[:1]) for name, boxes in TRUTHS.items()}), tmp_path, {"mine": tmp_path})
