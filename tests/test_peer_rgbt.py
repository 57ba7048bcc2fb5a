"""RGBT_toolkit (`rgbt` on PyPI), the field's referee for RGB-T, and ours on the same files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tectum.benchmarks.base import Truth
from tectum.benchmarks.numbers import read_rows
from tectum.evaluation.conventions import convention
from tectum.evaluation.protocol import Form, Run
from tests.test_results import written as in_form

rgbt = pytest.importorskip("rgbt", reason="the peer's toolkit is not installed: pip install rgbt")
REFEREES = Path(rgbt.__file__).parent / "gt_file"
ANCHORS = Path(__file__).resolve().parents[1].parent / "shared" / "golden" / "metrics" / "reference_numbers.json"
NAMES = {Form.XYWH: "ltwh", Form.XYXY: "ltrb", Form.CENTER: "xywh", Form.CORNERS: "corner"}
Array = npt.NDArray[np.float64]

# Short sequences; those of LasHeR have boxes at the border and absent targets, one in frame 1.
SEQUENCES = {
    "lasher": ["ab_pingpongball3", "whitecarturnleft", "whitecarturn2", "truck"],
    "rgbt210": ["dog", "night2", "basketball2"],
    "rgbt234": ["dog", "night2", "basketball2"],
    "gtot": ["fastCar2", "RainyCar1", "FastMotorNig"],
}


def truth_of(benchmark: str, name: str) -> Truth:
    if benchmark == "lasher":
        return Truth(name, read_rows(REFEREES / "LasHeR" / "lasher_gt" / f"{name}.txt"))
    if benchmark == "rgbt210":
        return Truth(name, read_rows(REFEREES / "RGBT210" / "groundtruth" / name / "init.txt"))
    if benchmark == "rgbt234":
        folder = REFEREES / "RGBT234" / "rgbt234_gt" / name
        return Truth(name, read_rows(folder / "visible.txt"), read_rows(folder / "infrared.txt"))
    folder = REFEREES / "GTOT" / "groundtruth" / name
    visible, infrared = (read_rows(folder / f"groundTruth_{sense}.txt") for sense in "vi")
    visible[:, 2:] -= visible[:, :2]
    infrared[:, 2:] -= infrared[:, :2]
    return Truth(name, visible, infrared)


def tracked(truth: Array, rng: np.random.Generator) -> Array:
    """What a tracker could have said: half pixels, lost now and then, now and then no box at all."""
    boxes = np.round(2 * (truth + rng.normal(0, 4, truth.shape))) / 2
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1.5)
    boxes[rng.random(len(boxes)) < 0.15, :2] += 30
    boxes[rng.random(len(boxes)) < 0.1, 2:] = 0
    return boxes


@pytest.fixture
def switched_off() -> Iterator[None]:
    """The toolkit's process-wide switch as GTOT wants it."""
    from rgbt.utils import RGBT_end, RGBT_start

    RGBT_start()
    yield
    RGBT_end()


def referee(benchmark: str, list_file: Path, results: Path, form: Form) -> dict[str, float]:
    import rgbt

    kinds: dict[str, Callable[..., Any]] = {
        "lasher": rgbt.LasHeR, "rgbt210": rgbt.RGBT210, "rgbt234": rgbt.RGBT234, "gtot": rgbt.GTOT
    }  # fmt: skip
    names = SEQUENCES[benchmark]
    dataset = kinds[benchmark](seq_name_path=str(list_file))
    dataset(tracker_name="x", result_path=str(results), seqs=names, bbox_type=NAMES[form])
    keys = {"lasher": ["PR", "NPR", "SR"], "rgbt210": ["PR", "SR"]}.get(benchmark, ["MPR", "MSR"])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {key: float(getattr(dataset, key)("x", seqs=names)[0]) for key in keys}


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("benchmark", ["lasher", "rgbt210", "rgbt234"])
def test_scores_are_the_toolkits(benchmark: str, form: Form, tmp_path: Path) -> None:
    agree(benchmark, form, tmp_path)


@pytest.mark.usefixtures("switched_off")
@pytest.mark.parametrize("form", Form)
def test_scores_are_the_toolkits_on_gtot(form: Form, tmp_path: Path) -> None:
    agree("gtot", form, tmp_path)


def agree(benchmark: str, form: Form, folder: Path) -> None:
    truths = [truth_of(benchmark, name) for name in SEQUENCES[benchmark]]
    rng = np.random.default_rng(5)
    for truth in truths:
        values = in_form(tracked(truth.boxes, rng), form)
        np.savetxt(folder / f"{truth.name}.txt", values, "%.3f", ",")
    (folder / "list").write_text("\n".join(SEQUENCES[benchmark]))
    expected = referee(benchmark, folder / "list", folder, form)
    protocol = convention(benchmark)
    runs = [[Run(read_rows(folder / f"{truth.name}.txt"), form)] for truth in truths]
    ours = protocol.scores(protocol.tally(truths, runs))
    for key, value in expected.items():
        assert 0.2 < value < 0.98
        assert ours[key] == pytest.approx(value, abs=1e-12), key


@pytest.mark.parametrize(("length", "surplus"), [(30, 0), (45, 12)])
def test_results_of_another_length_are_cut_as_in_the_toolkit(length: int, surplus: int, tmp_path: Path) -> None:
    truths = [truth_of("rgbt234", name) for name in SEQUENCES["rgbt234"]]
    rng = np.random.default_rng(6)
    for truth in truths:
        boxes = tracked(truth.boxes, rng)
        boxes = boxes[:length] if truth.name == "dog" and not surplus else np.concatenate([boxes, boxes[:surplus]])
        np.savetxt(tmp_path / f"{truth.name}.txt", boxes, "%.1f", " ")
    (tmp_path / "list").write_text("\n".join(SEQUENCES["rgbt234"]))
    expected = referee("rgbt234", tmp_path / "list", tmp_path, Form.XYWH)
    protocol = convention("rgbt234")
    runs = [[Run(read_rows(tmp_path / f"{truth.name}.txt"))] for truth in truths]
    ours = protocol.scores(protocol.tally(truths, runs))
    assert {key: float(ours[key]) for key in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("benchmark", "folder", "anchor"),
    [("rgbt234", "RGBT234/rgbt234_gt", "RGBT234_gt_visible"), ("gtot", "GTOT/groundtruth", "GTOT_gt_visible")],
)
def test_the_truth_itself_scores_as_the_toolkit_says(benchmark: str, folder: str, anchor: str) -> None:
    if not ANCHORS.is_file():
        pytest.skip("the reference numbers are not here: put the shared folder beside the repository")
    numbers = json.loads(ANCHORS.read_text())["d_synthetic_toolkit_anchors"]["toolkit"]
    names = sorted(path.name for path in (REFEREES / folder).iterdir() if path.is_dir())
    truths = [truth_of(benchmark, name) for name in names]
    for key, shift in ((anchor, [0, 0, 0, 0]), (f"{anchor}_shift_3_4", [3, 4, 0, 0])):
        protocol = convention(benchmark)
        scores = protocol.scores(protocol.tally(truths, [[Run(truth.boxes + shift)] for truth in truths]))
        assert {score: float(value) for score, value in scores.items()} == pytest.approx(numbers[key], abs=1e-12)
