"""Results files of every form found in the wild, and what is said of broken ones."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tectum.benchmarks.base import Truth
from tectum.errors import ResultError
from tectum.evaluation.boxes import to_xywh
from tectum.evaluation.protocol import Form, Run
from tectum.evaluation.result_files import tracker_name
from tectum.evaluation.results import Results, read_results

NAMES = ("car", "redcar", "Jogging-1", "bus_001", "boy`head")
LENGTH = 6


def truth(name: str, **more: object) -> Truth:
    steps = np.arange(LENGTH)[:, None] * [2.0, 1.0, 0.5, 0.25]
    return Truth(name, np.array([40.0 + 7 * len(name), 90, 20, 31]) + steps, **more)  # type: ignore[arg-type]


TRUTHS = tuple(truth(name) for name in NAMES)
BOXES = {each.name: each.boxes + np.array([0.25, 0, 0, 0.5]) for each in TRUTHS}


def text(rows: np.ndarray, mark: str = ",") -> str:
    return "".join(mark.join(f"{value:g}" for value in row) + "\n" for row in rows)


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def in_files(pattern: Callable[[str], str]) -> dict[str, str]:
    return {pattern(name): text(BOXES[name]) for name in NAMES}


def boxes_of(results: Results, name: str) -> np.ndarray:
    (run,) = results.runs[name]
    return to_xywh(run.values, run.form)


def sentences(results: Results) -> str:
    return "\n".join(problem.sentence for problem in results.problems)


LAYOUTS: dict[str, Callable[[str], str]] = {
    "a file per sequence": lambda name: f"{name}.txt",
    "a prefix": lambda name: f"GTOT_{name}.txt",
    "the prefix of VisEvent": lambda name: f"results{name}.txt",
    "another ending": lambda name: f"{name}.TXT",
    "another case": lambda name: f"{name.upper()}.txt",
    "underscores": lambda name: f"{name.lower().replace('-', '_')}.txt",
    "a folder for results": lambda name: f"mine_tracking_result/{name}.txt",
    "a folder of the benchmark": lambda name: f"LasHeR/{name}.txt",
    "a prefix of the benchmark": lambda name: f"LasHeR_{name}.txt",
    "a folder per sequence": lambda name: f"{name}/{name}_001.txt",
    "a first run": lambda name: f"{name}_001.txt",
    "an experiment of VOT": lambda name: f"rgbd-unsupervised/{name}/{name}_001.txt",
    "packages": lambda name: f"test_ST_00{len(name)}/{name}.txt",
}


@pytest.mark.parametrize("pattern", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_is_found(pattern: Callable[[str], str], tmp_path: Path) -> None:
    write(tmp_path, in_files(pattern))
    results = read_results(tmp_path, TRUTHS, aliases=("lasher", "LasHeR"))
    assert tuple(results.runs) == NAMES
    assert not results.problems
    assert not results.notices
    for name in NAMES:
        assert boxes_of(results, name).tolist() == BOXES[name].tolist()


def test_a_sequence_is_not_taken_for_another_whose_name_it_ends_with(tmp_path: Path) -> None:
    files = in_files(lambda name: f"{name}.txt")
    del files["car.txt"]
    results = read_results(write(tmp_path, files), TRUTHS)
    assert set(results.runs) == set(NAMES) - {"car"}
    (problem,) = results.problems
    assert problem.sequences == ("car",)
    assert "1 sequence has no results" in problem.sentence


def test_the_folder_of_this_benchmark_goes_before_a_fuller_one(tmp_path: Path) -> None:
    write(tmp_path, {f"RGBT210/{name}.txt": "1,1,1,1\n" for name in NAMES})
    write(tmp_path, {"RGBT234/car.txt": text(BOXES["car"])})
    assert set(read_results(tmp_path, TRUTHS, aliases=("rgbt234",)).runs) == {"car"}
    both = read_results(tmp_path, TRUTHS, aliases=("lasher",))
    assert both.folder == tmp_path / "RGBT210"


def test_folders_between_which_there_is_no_choice_are_named(tmp_path: Path) -> None:
    for run in ("baseline_000", "baseline_001"):
        write(tmp_path / run, in_files(lambda name: f"{name}.txt"))
    results = read_results(tmp_path, TRUTHS)
    assert results.folder == tmp_path / "baseline_000"
    assert "not " + str(tmp_path / "baseline_001") in sentences(results)


def test_what_a_mac_leaves_in_an_archive_is_no_result(tmp_path: Path) -> None:
    write(tmp_path / "results", in_files(lambda name: f"{name}.txt"))
    for folder in ("results", "__MACOSX"):
        write(tmp_path / folder, {f"._{name}.txt": b"\x00\x05\x16\x07" for name in NAMES})
    results = read_results(tmp_path, TRUTHS)
    assert (results.folder, len(results.runs)) == (tmp_path / "results", len(NAMES))
    assert not results.problems
    assert not results.notices


@pytest.mark.parametrize("name", ["times", "score", "confidence"])
def test_a_tracker_may_be_called_like_what_lies_beside_boxes(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, in_files(lambda name: f"{name}.txt"))
    assert tuple(read_results(tmp_path / name, TRUTHS).runs) == NAMES


def test_a_link_is_called_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "APFNet").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "APFNet")
    monkeypatch.chdir(tmp_path / "APFNet")
    names = [tracker_name(each) for each in (tmp_path / "mine", "../mine/", ".", "../APFNet/..")]
    assert names == ["mine", "mine", "APFNet", tmp_path.name]


def test_names_in_any_script_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, {"汽车.txt": text(BOXES["car"]), "cafe\u0301.txt": text(BOXES["car"])})
    results = read_results(tmp_path, [truth("行人"), truth("caf\u00e9")])
    assert set(results.runs) == {"caf\u00e9"}


def test_runs_and_times_of_got10k(tmp_path: Path) -> None:
    for run in (1, 2, 3):
        write(tmp_path, {f"car/car_00{run}.txt": text(BOXES["car"] + run)})
    write(tmp_path, {"car/car_time.txt": "0.5,0.5,0.5\n" * LENGTH, "bus_001/bus_001_001.txt": text(BOXES["bus_001"])})
    results = read_results(tmp_path, TRUTHS)
    assert [run.values[0, 0] for run in results.runs["car"]] == [BOXES["car"][0, 0] + run for run in (1, 2, 3)]
    assert len(results.runs["bus_001"]) == 1
    assert results.fps == 2


def test_times_and_confidences_are_not_taken_for_boxes(tmp_path: Path) -> None:
    seconds = "".join(f"{0.1}\n" for _ in range(LENGTH))
    write(tmp_path, in_files(lambda name: f"{name}.txt"))
    write(tmp_path, {"car_time.txt": seconds, "times/redcar_time.txt": seconds, "car_score.txt": "0.5\n" * LENGTH})
    results = read_results(tmp_path, TRUTHS)
    assert tuple(results.runs) == NAMES
    (run,) = results.runs["car"]
    assert run.scores is not None
    assert run.scores.tolist() == [0.5] * LENGTH
    assert results.fps == pytest.approx(10)


@pytest.mark.parametrize("ending", ["txt", "bin"])
def test_trajectories_of_vot_have_codes_and_gaps_in_confidences(ending: str, tmp_path: Path) -> None:
    rows = BOXES["car"].astype(np.float32)
    lines = ["1", "0", "nan,nan,nan,nan", *(text(rows[3:]).splitlines())]
    binary = struct.pack("<hI", 1, LENGTH) + struct.pack("<BI", 0, 1) + 2 * struct.pack("<BI", 0, 0)
    binary += b"".join(struct.pack("<B4f", 1, *row) for row in rows[3:])
    trajectory = {"txt": ("\n".join(lines) + "\n").encode(), "bin": binary}[ending]
    write(tmp_path / "car", {f"car_001.{ending}": trajectory, "car_001_confidence.value": "\n0.25\n0\n1\n1\n1\n"})
    write(tmp_path / "car", {"car_001_time.value": "0.1\n" * LENGTH, "car_001_overlap.value": "a\n"})
    results = read_results(tmp_path, TRUTHS[:1], abstains=True)
    assert not results.problems
    (run,) = results.runs["car"]
    assert np.isnan(run.values[:3]).all()
    assert run.values[3:] == pytest.approx(rows[3:])
    assert run.scores is not None
    assert np.isnan(run.scores[0])
    assert run.scores[1:].tolist() == [0.25, 0, 1, 1, 1]
    assert "3 boxes (the first in row 1) with nan" in sentences(read_results(tmp_path, TRUTHS[:1]))


def test_a_trajectory_of_nothing_but_codes(tmp_path: Path) -> None:
    write(tmp_path, {"car_001.txt": "1\n" + "0\n" * (LENGTH - 1)})
    (run,) = read_results(tmp_path, TRUTHS[:1], abstains=True).runs["car"]
    assert run.values.shape == (LENGTH, 4)
    assert np.isnan(run.values).all()


def test_the_vot_toolkit_writes_what_is_read(tmp_path: Path) -> None:
    io = pytest.importorskip("vot.region.io", reason="vot-toolkit is not installed")
    from vot.region import Rectangle, Special

    regions = [Special(1), Special(0), *(Rectangle(*map(float, box)) for box in BOXES["car"][2:])]
    for ending in ("txt", "bin"):
        folder = tmp_path / ending / "car"
        folder.mkdir(parents=True)
        io.write_trajectory(str(folder / f"car_001.{ending}"), regions)
        (run,) = read_results(folder.parent, TRUTHS[:1], abstains=True).runs["car"]
        assert np.isnan(run.values[:2]).all()
        assert run.values[2:] == pytest.approx(BOXES["car"][2:], abs=1e-3)


def test_anchored_runs_get_the_direction_of_their_anchor(tmp_path: Path) -> None:
    anchored = truth("car", anchors=np.array([0, -4]))
    write(tmp_path / "rgbd-multistart" / "car", {"car_00000000.txt": "1\n" + text(BOXES["car"][1:])})
    write(tmp_path / "rgbd-multistart" / "car", {"car_00000004.txt": "1\n" + text(BOXES["car"][3::-1])})
    write(tmp_path / "rgbd-unsupervised" / "car", {"car_001.txt": text(BOXES["car"])})
    results = read_results(tmp_path, [anchored], abstains=True)
    assert not results.problems
    assert [(run.anchor, len(run.values)) for run in results.runs["car"]] == [(0, 6), (-4, 5)]
    write(tmp_path / "rgbd-multistart" / "car", {"car_00000002.txt": "1\n" + text(BOXES["car"][3:])})
    assert "frame 2, which is no anchor of car" in sentences(read_results(tmp_path, [anchored], abstains=True))


def written(boxes: np.ndarray, form: Form) -> np.ndarray:
    x, y, w, h = boxes.T
    columns = {
        Form.XYWH: (x, y, w, h),
        Form.XYXY: (x, y, x + w, y + h),
        Form.CENTER: (x + w / 2, y + h / 2, w, h),
        Form.CORNERS: (x, y, x + w, y, x + w, y + h, x, y + h),
    }
    return np.stack(columns[form], 1)


@given(
    form=st.sampled_from(list(Form)),
    mark=st.sampled_from([",", ";", "\t", " ", ", "]),
    seed=st.integers(0, 2**32 - 1),
    scored=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_the_form_of_boxes_is_found_out(form: Form, mark: str, seed: int, scored: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    for each in TRUTHS:
        boxes = each.boxes + np.where(np.arange(LENGTH)[:, None] > 0, random.normal(0, 30, (LENGTH, 4)), 0)
        rows = written(np.abs(boxes).round(2), form)
        write(tmp_path, {f"{each.name}.txt": text(np.column_stack([rows, *([np.ones(LENGTH)] * scored)]), mark)})
    results = read_results(tmp_path, TRUTHS)
    assert {run.form for runs in results.runs.values() for run in runs} == {form}
    assert len(results.notices) == (form in (Form.XYXY, Form.CENTER))
    assert all((run.scores is not None) == scored for runs in results.runs.values() for run in runs)
    told = read_results(tmp_path, TRUTHS, form=form)
    assert not told.notices
    assert told.runs["car"][0].form is form


def test_a_form_that_is_told_is_not_doubted(tmp_path: Path) -> None:
    write(tmp_path, {f"{name}.txt": text(written(BOXES[name], Form.XYXY)) for name in NAMES})
    results = read_results(tmp_path, TRUTHS, form=Form.XYWH)
    assert results.runs["car"][0].form is Form.XYWH
    assert "has 4 columns: boxes take 8" in sentences(read_results(tmp_path, TRUTHS, form=Form.CORNERS))


def test_first_boxes_that_fit_in_no_form_are_told(tmp_path: Path) -> None:
    for name in NAMES:
        numbered = np.column_stack([np.arange(LENGTH), BOXES[name]])
        write(tmp_path / "numbered", {f"{name}.txt": text(numbered)})
        write(tmp_path / "shaken", {f"{name}.txt": text(BOXES[name] + 3)})
    (problem,) = read_results(tmp_path / "numbered", TRUTHS).problems
    assert "first boxes of numbered are not those of the truth, in whatever form" in problem.sentence
    assert "frame numbers" in problem.sentence
    told = read_results(tmp_path / "numbered", TRUTHS, form=Form.CENTER).problems
    assert "in the form center" in told[0].sentence
    assert not read_results(tmp_path / "shaken", TRUTHS).problems


def rows_with(place: int, value: float, row: int = 2) -> str:
    rows = BOXES["car"].copy()
    rows[row:, place] = value
    return text(rows)


@pytest.mark.parametrize(
    ("content", "said", "kept"),
    [
        ("", "car.txt is empty", False),
        ("x,y,w,h\n1,2,3,4\n", "'x' in line 1, which is no number", False),
        ("1 2 3\n4 5 6\n", "has 3 columns: boxes take 4 or 8", False),
        (text(BOXES["car"]) + "1,2\n", "has 2 values in line 7, but 4 in line 1", False),
        (text(BOXES["car"][:3]) + ",,,\n" + text(BOXES["car"][4:]), "an empty field in line 4", False),
        (",2,3,4\n" + text(BOXES["car"][1:]), "an empty field in line 1", False),
        ("1;2;;3;4\n" * LENGTH, "an empty field in line 1", False),
        (b"\x01\x00\x05\x00\x00\x00\x01ab", "ends in the middle of a row", False),
        (b"\x01\x00\x01\x00\x00\x00\x02\x04\x00", "a polygon or a mask in row 1", False),
        (rows_with(0, np.nan), "4 boxes (the first in row 3) with nan or infinite", True),
        (rows_with(1, np.inf, row=5), "1 box (row 6) with nan or infinite", True),
        (rows_with(2, -3), "4 boxes (the first in row 3) of negative size", True),
        (text(BOXES["car"][:4]), "has 4 rows for 6 frames of car: 2 are missing", True),
        (text(BOXES["car"][:5]), "has 5 rows for 6 frames of car: 1 is missing", True),
        (text(np.repeat(BOXES["car"], 2, 0)), "has 12 rows for 6 frames of car: surplus rows", True),
    ],
)
def test_what_is_wrong_is_a_sentence_and_the_rest_is_read(
    content: str | bytes, said: str, kept: bool, tmp_path: Path
) -> None:
    write(tmp_path, in_files(lambda name: f"{name}.txt"))
    write(tmp_path, {"car.txt": content})
    results = read_results(tmp_path, TRUTHS, tracker="mine")
    (problem,) = results.problems
    assert said in problem.sentence
    assert (problem.tracker, problem.sequence) == ("mine", "car")
    assert set(results.runs) == (set(NAMES) if kept else set(NAMES) - {"car"})


def test_a_misspelt_file_is_told(tmp_path: Path) -> None:
    files = in_files(lambda name: f"{name}.txt".replace("redcar", "redcaar"))
    (problem,) = read_results(write(tmp_path, files), TRUTHS).problems
    assert "left out of its scores: redcar. Misspelt, it seems: redcaar.txt for redcar." in problem.sentence


def test_many_missing_sequences_are_one_sentence(tmp_path: Path) -> None:
    many = tuple(truth(f"seq{number:03d}") for number in range(120))
    write(tmp_path, {"seq000.txt": text(many[0].boxes)})
    (problem,) = read_results(tmp_path, many).problems
    assert "119 sequences have no results" in problem.sentence
    assert "seq005 and 114 more" in problem.sentence
    assert len(problem.sequences) == 119


def test_many_files_that_belong_nowhere_are_noted(tmp_path: Path) -> None:
    write(tmp_path, in_files(lambda name: f"{name}.txt"))
    write(tmp_path, {f"other{number}.txt": "1,2,3,4\n" for number in range(20)})
    (notice,) = read_results(tmp_path, TRUTHS).notices
    assert "20 files" in notice


def test_results_from_the_first_visible_frame_on_are_put_where_they_belong(tmp_path: Path) -> None:
    late = truth("car", absent=np.arange(LENGTH) < 2)
    write(tmp_path, {"car.txt": text(BOXES["car"][2:])})
    results = read_results(tmp_path, [late])
    assert results.runs["car"][0].values.tolist() == [*[BOXES["car"][2].tolist()] * 2, *BOXES["car"][2:].tolist()]
    assert "no rows for the 2 frames before the target is first seen" in sentences(results)


def test_results_with_a_row_for_every_image_are_whole(tmp_path: Path) -> None:
    sparse = truth("car", images=10 * np.arange(LENGTH), length=57)
    for rows in (LENGTH, 51, 57):
        write(tmp_path, {"car.txt": text(np.tile(BOXES["car"][:1], (rows, 1)))})
        assert not read_results(tmp_path, [sparse]).problems
    write(tmp_path, {"car.txt": text(np.tile(BOXES["car"][:1], (40, 1)))})
    assert "has 40 rows for 51 frames" in sentences(read_results(tmp_path, [sparse]))


def test_a_folder_without_results_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"There is no folder .*nowhere"):
        read_results(tmp_path / "nowhere", TRUTHS)
    write(tmp_path, {"elephant.txt": "1,2,3,4\n"})
    with pytest.raises(ResultError, match=r"elephant\.txt is a file: name the folder"):
        read_results(tmp_path / "elephant.txt", TRUTHS)
    with pytest.raises(ResultError, match=r"none of the 5 sequences .*such as elephant.*PREFIXcar\.txt, car_001\.txt"):
        read_results(tmp_path, TRUTHS)


def test_a_run_knows_its_file(tmp_path: Path) -> None:
    run: Run = read_results(write(tmp_path, {"car.txt": text(BOXES["car"])}), TRUTHS).runs["car"][0]
    assert run.path == tmp_path / "car.txt"


@pytest.mark.parametrize(
    "content",
    [
        b"1,2,3,4\n-5,6,7,8\n",
        b"1,2,3,4\r\n-5,6,7,8\r\n",
        b"1,2,3,4\r-5,6,7,8",
        b"\xef\xbb\xbf1\t2\t3\t4\n\n-5\t6\t7\t8",
        b" 1, 2,  3, 4 \n-5, 6, 7, 8\n\n",
        b"1;2;3;4\n-5.0;6;7;8\n",
        b"1e0 2 3 4\n-5 6 7 8\n",
    ],
)
def test_lines_may_end_and_numbers_be_parted_in_any_way(content: bytes, tmp_path: Path) -> None:
    pair = Truth("car", BOXES["car"][:2])
    (run,) = read_results(write(tmp_path, {"car.txt": content}), [pair]).runs["car"]
    assert run.values.tolist() == [[1, 2, 3, 4], [-5, 6, 7, 8]]
