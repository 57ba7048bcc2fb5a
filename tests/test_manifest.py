"""One's own recordings, from folders and videos, by a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tectum.errors import RecipeError
from tectum.frames import Modality
from tectum.systems.base import Crops
from tectum.training.manifest import ManifestClips
from tectum.training.materials import data_hash, open_mixture
from tectum.training.recipe_file import read_recipe

FRAMES = 5


def frame(index: int, size: tuple[int, int] = (160, 96)) -> np.ndarray:
    """A white square of 24 pixels that moves 12 a frame on grey."""
    image = np.full((size[1], size[0], 3), 80, np.uint8)
    image[30:54, 20 + 12 * index : 44 + 12 * index] = 255
    return image


def write_boxes(path: Path, count: int = FRAMES) -> None:
    path.write_text("".join(f"{20 + 12 * index},30,24,24\n" for index in range(count)))


def write_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for index in range(FRAMES):
        cv2.imwrite(str(folder / f"{index}.png"), frame(index))
    return folder


def write_video(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (160, 96))
    for index in range(FRAMES):
        writer.write(frame(index))
    writer.release()
    return path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    write_folder(tmp_path / "one" / "rgb")
    write_folder(tmp_path / "one" / "thermal")
    write_video(tmp_path / "two.avi")
    write_boxes(tmp_path / "boxes.txt")
    (tmp_path / "manifest.yaml").write_text(
        "- {name: one, rgb: one/rgb, thermal: one/thermal, boxes: boxes.txt, sentence: the white square}\n"
        "- {name: two, thermal: two.avi, boxes: boxes.txt}\n"
    )
    return tmp_path


def test_pairs_show_the_target_where_their_box_says(recordings: Path) -> None:
    settings = "kind: manifest, path: manifest.yaml, photometry: {brightness: 0, grey: 0}"
    (recordings / "recipe.yaml").write_text(f"data: {{mine: {{{settings}}}}}")
    recipe = read_recipe(recordings / "recipe.yaml")
    mixture = open_mixture(recipe, recordings, torch.device("cpu"))
    senses = (Modality.RGB, Modality.THERMAL)
    made = mixture.pairs(np.random.default_rng(0), 12, senses, Crops(64, 128, 2.0, 4.0))
    assert set(made.text or ()) == {"the white square", ""}
    for sense in senses:
        for image, box in zip(made.search[sense].numpy(), made.boxes.numpy() * 128, strict=True):
            rows, columns = np.nonzero(image[..., 0] > 170)
            x, y, w, h = box
            shown = np.clip([x, y, x + w, y + h], 0, 128)
            np.testing.assert_allclose([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], shown, atol=3)


def test_all_forms_of_a_manifest_say_the_same(recordings: Path) -> None:
    entries = [{"name": "one", "rgb": "one/rgb", "boxes": "boxes.txt", "sentence": "a, b"}]
    (recordings / "list.json").write_text(json.dumps(entries))
    (recordings / "list.csv").write_text('name,rgb,thermal,boxes,sentence\none,one/rgb,,boxes.txt,"a, b"\n')
    (recordings / "list.yaml").write_text("- {name: one, rgb: one/rgb, boxes: boxes.txt, sentence: 'a, b'}\n")
    read = [ManifestClips(recordings / f"list.{form}").entries for form in ("json", "csv", "yaml")]
    assert read[0] == read[1] == read[2]


def test_a_video_is_unpacked_once_and_a_lone_sense_stands_for_colours(recordings: Path) -> None:
    clip = ManifestClips(recordings / "manifest.yaml")[1]
    unpacked = sorted((recordings / ".frames" / "two-thermal").iterdir())
    assert len(unpacked) == FRAMES
    assert not list((recordings / ".frames").glob("*.part"))
    assert clip.shot(2).images[Modality.RGB].path == unpacked[2]
    assert clip.shot(2).images[Modality.THERMAL].path == unpacked[2]
    before = unpacked[0].stat().st_mtime_ns
    _ = ManifestClips(recordings / "manifest.yaml")[1]
    assert unpacked[0].stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {name: one, rgb: one/rgb, boxes: short.txt}", r"entry 'one': .* 5 frames .* 3 boxes"),
        ("- {name: one, rgb: one/rgb, boxes: none.txt}", r"entry 'one' names .*none\.txt"),
        ("- {name: one, rgb: nowhere, boxes: boxes.txt}", r"entry 'one' names .*nowhere"),
        ("- {name: one, rgb: one/rgb, boxs: boxes.txt}", r"entry 'one' says 'boxs'"),
        ("- {rgb: one/rgb}", r"entry 1 lacks boxes"),
        ("- {name: one, boxes: boxes.txt}", r"entry 'one' lacks images"),
        ("- just words", r"entry 1 is no entry"),
        ("name: one", r"holds no list"),
        ("[]", r"lists no recordings"),
        ("- {name: a, rgb: one/rgb, boxes: boxes.txt}\n- {name: a, rgb: two.avi, boxes: boxes.txt}", r"two .* 'a'"),
        ("- {", r"cannot be read"),
    ],
)
def test_what_is_wrong_in_an_entry_is_named(recordings: Path, text: str, words: str) -> None:
    write_boxes(recordings / "short.txt", 3)
    path = recordings / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words):
        list(ManifestClips(path).lines())


def test_the_data_hash_heeds_boxes(recordings: Path) -> None:
    (recordings / "recipe.yaml").write_text("data: {mine: {kind: manifest, path: manifest.yaml}}")
    recipe = read_recipe(recordings / "recipe.yaml")
    before = data_hash(recipe, recordings)
    assert before == data_hash(recipe, recordings)
    (recordings / "boxes.txt").write_text((recordings / "boxes.txt").read_text().replace("20,30", "21.5,30"))
    assert data_hash(recipe, recordings) != before
