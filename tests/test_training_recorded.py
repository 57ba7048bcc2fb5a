"""Pairs of videos and stills show the target where their box says, and nothing but chance decides which."""

from __future__ import annotations

import logging
import math
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from tectum.benchmarks import find
from tectum.benchmarks.lasher import LasHeR
from tectum.errors import RecipeError, SourceError
from tectum.frames import Modality
from tectum.geometry import Box, Crop
from tectum.systems.base import Crops
from tectum.training import videos
from tectum.training.decoding import Stored
from tectum.training.jitter import Jitter
from tectum.training.material import RawBatch
from tectum.training.photometry import Photometry
from tectum.training.recorded import Recorded
from tectum.training.sampling import Sampling
from tectum.training.stills import PictureFolder, Stills
from tectum.training.videos import FolderClips, Videos
from tests.footage import found, write_lasher

BOTH = (Modality.RGB, Modality.THERMAL)
PLAIN = Photometry(brightness=0, grey=0)
STRONG = Photometry(light=0.25, colour=0.3, grey=0.2, coarse=0.45, blur=0.25, grain=0.3)


class Few(LasHeR):
    """LasHeR with the sequences that are there."""

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in root.iterdir()))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lasher")
    write_lasher(folder, "boy", 8, absent=3)
    write_lasher(folder, "car", 3, ending="png")
    return folder


def drawn(
    root: Path, seed: int = 0, count: int = 24, senses: tuple[Modality, ...] = BOTH, **settings: object
) -> RawBatch:
    sampling = settings.pop("sampling", Sampling())
    material = Recorded(Videos(FolderClips(Few(), root), sampling), **settings)  # type: ignore[arg-type]
    return material.pairs(np.random.default_rng(seed), count, senses, Crops())


def told(box: torch.Tensor, side: int) -> np.ndarray:
    x, y, w, h = (box * side).tolist()
    return np.clip([x, y, x + w, y + h], 0, side)


def test_the_target_is_where_the_box_says_in_both_senses(root: Path) -> None:
    batch = drawn(root, photometry=PLAIN)
    for images, boxes in ((batch.template, batch.template_boxes), (batch.search, batch.boxes)):
        for index, box in enumerate(boxes):
            for sense in BOTH:
                image = images[sense][index].numpy()
                np.testing.assert_allclose(found(image), told(box, len(image)), atol=3.5)
    middle = batch.template_boxes[:, :2] + batch.template_boxes[:, 2:] / 2
    torch.testing.assert_close(middle, torch.full_like(middle, 0.5), atol=0.02, rtol=0)
    assert batch.text is None
    assert len({tuple(box.tolist()) for box in batch.boxes}) == len(batch)


def test_the_same_draw_gives_the_same_pairs(root: Path) -> None:
    first, again, other = (drawn(root, seed, 6, photometry=STRONG) for seed in (5, 5, 6))
    for sense in BOTH:
        assert torch.equal(first.search[sense], again.search[sense])
        assert torch.equal(first.template[sense], again.template[sense])
    assert torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.boxes, other.boxes)


def test_a_mirrored_pair_is_the_mirror_of_the_pair(root: Path) -> None:
    plain, flipped = (drawn(root, 1, 5, photometry=PLAIN, jitter=Jitter(flip=flip)) for flip in (0.0, 1.0))
    for sense in BOTH:
        assert torch.equal(plain.search[sense].flip(2), flipped.search[sense])
        assert torch.equal(plain.template[sense].flip(2), flipped.template[sense])
    x, y, w, h = plain.boxes.T
    torch.testing.assert_close(flipped.boxes, torch.stack([1 - x - w, y, w, h], dim=1))


def test_left_stays_left() -> None:
    rng, always = np.random.default_rng(0), Jitter(flip=1)
    assert always.flips(rng, "the dog beside a car")
    assert not always.flips(rng, "the dog on the Left")


@given(seed=some.integers(0, 2**32), w=some.floats(2, 300), h=some.floats(2, 300))
def test_jitter_keeps_the_target_in_the_search_crop(seed: int, w: float, h: float) -> None:
    box = Box(100, 50, w, h)
    around = Jitter().moved(np.random.default_rng(seed), box)
    reach = 1.5 * math.sqrt(around.area) + 1e-6
    assert all(abs(a - b) <= reach for a, b in zip(around.center, box.center, strict=True))
    window = Crop.around(around, 4, 256)
    x, y = window.into(box).center
    assert 0 <= x <= 256
    assert 0 <= y <= 256


def test_jitter_scales_as_the_field_says() -> None:
    rng, box = np.random.default_rng(0), Box(0, 0, 40, 10)
    sizes = np.log([[moved.w / 40, moved.h / 10] for moved in (Jitter(0, 0.25).moved(rng, box) for _ in range(4000))])
    np.testing.assert_allclose(sizes.std(axis=0), 0.25, atol=0.01)
    assert abs(np.corrcoef(sizes.T)[0, 1]) < 0.05
    still = Jitter(0, 0).moved(rng, box)
    assert still == box


@given(
    seed=some.integers(0, 2**32),
    visible=some.sets(some.integers(0, 500), min_size=1, max_size=40),
    gap=some.integers(1, 300),
    causal=some.booleans(),
)
def test_moments_are_visible_within_the_gap_and_in_order(seed: int, visible: set[int], gap: int, causal: bool) -> None:
    moments = np.array(sorted(visible))
    template, search = Sampling(gap=gap, causal=causal).moments(np.random.default_rng(seed), moments)
    assert {template, search} <= visible
    assert abs(search - template) <= gap
    if bool((np.diff(moments) <= gap).any()):
        assert search > template if causal else search != template
    else:
        assert search == template


def test_any_order_goes_both_ways_and_by_length_prefers_long_sequences(root: Path) -> None:
    rng, moments = np.random.default_rng(0), np.arange(30)
    later = [
        search > template for template, search in (Sampling(causal=False).moments(rng, moments) for _ in range(300))
    ]
    assert 100 < sum(later) < 200
    for by_length, share in ((False, 0.5), (True, 0.7)):
        source = Videos(FolderClips(Few(), root), Sampling(by_length=by_length))
        names = [next(iter(source.draw(rng).template.images.values())).path.parent.parent.name for _ in range(400)]
        assert abs(names.count("boy") / 400 - share) < 0.08


def test_frames_without_the_target_are_never_drawn_and_absent_pairs_show_another(root: Path) -> None:
    clips = FolderClips(Few(), root)
    assert clips[0].visible.tolist() == [0, 1, 2, 4, 5, 6, 7]
    batch = drawn(root, sampling=Sampling(absent=1.0))
    assert bool(batch.boxes.isnan().all())
    assert bool(batch.template_boxes.isfinite().all())
    with pytest.raises(RecipeError, match="1 frame or more"):
        Sampling(gap=0)


def test_small_targets_count_by_the_sets_own_rule(root: Path) -> None:
    assert len(FolderClips(Few(), root, least_side=24)[0].visible) == 0
    with pytest.raises(SourceError, match="Hardly a sequence of lasher/train"):
        Videos(FolderClips(Few(), root, least_side=24)).draw(np.random.default_rng(0))
    renamed = type("Renamed", (Few,), {"name": "depthtrack"})()
    assert FolderClips(renamed, root).least_side == 10


def test_a_sense_that_a_set_lacks_is_a_copy_of_rgb(root: Path) -> None:
    batch = drawn(root, senses=(Modality.RGB, Modality.DEPTH), photometry=PLAIN)
    assert torch.equal(batch.search[Modality.RGB], batch.search[Modality.DEPTH])
    alone = drawn(root, senses=(Modality.THERMAL,), photometry=PLAIN)
    assert list(alone.search) == [Modality.THERMAL]
    assert torch.equal(alone.search[Modality.THERMAL], drawn(root, photometry=PLAIN).search[Modality.THERMAL])


def test_photometry_is_the_fields_and_greys_colours_only() -> None:
    rng, image = np.random.default_rng(0), np.full((8, 8, 3), (100, 150, 50), np.uint8)
    gains = [Photometry(grey=0).changed(rng, Modality.RGB, image, image)[1].max() / 150 for _ in range(300)]
    assert 0.78 < min(gains) < 0.83
    assert 1.17 < max(gains) < 1.21
    for sense in (Modality.RGB, Modality.DEPTH):
        changed = Photometry(brightness=0, grey=1).changed(rng, sense, image, image)[0]
        assert (np.ptp(changed, axis=2).max() == 0) == (sense == Modality.RGB)
    for _ in range(20):
        template, search = STRONG.changed(rng, Modality.RGB, image, image)
        assert template.shape == search.shape == image.shape


def test_sequences_are_forgotten_beyond_a_budget_and_not_sent_to_workers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "HELD", 9)
    clips = FolderClips(Few(), root)
    first, sent = clips[0], len(pickle.dumps(clips))
    assert clips[0] is first
    assert len(clips[1].boxes) == 3
    assert clips[0] is not first
    assert len(pickle.dumps(clips)) == sent
    material = Recorded(Videos(clips))
    copy = pickle.loads(pickle.dumps(material))
    one, other = (each.pairs(np.random.default_rng(3), 2, BOTH, Crops()) for each in (material, copy))
    assert torch.equal(one.search[Modality.RGB], other.search[Modality.RGB])


def test_a_broken_image_is_named_once_and_replaced_alike(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_lasher(tmp_path, "boy", 40)
    (folder / "infrared" / "i007.jpg").write_bytes(b"\xff\xd8\xff")
    with caplog.at_level(logging.WARNING):
        first, again = (drawn(tmp_path, 3, 40, sampling=Sampling(gap=40)) for _ in range(2))
    assert torch.equal(first.search[Modality.THERMAL], again.search[Modality.THERMAL])
    assert all("i007.jpg" in record.message for record in caplog.records)
    assert len(caplog.records) == 2
    whole = drawn(tmp_path, 3, 40, senses=(Modality.RGB,), sampling=Sampling(gap=40))
    same = [bool(torch.equal(a, b)) for a, b in zip(first.boxes, whole.boxes, strict=True)]
    assert 30 <= sum(same) < 40


def test_too_many_broken_images_stop_the_run_with_their_names(tmp_path: Path) -> None:
    folder = write_lasher(tmp_path, "boy", 60)
    for index in range(30):
        (folder / "visible" / f"v{index:03d}.jpg").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="More than 1% of the images of lasher/train are broken") as caught:
        drawn(tmp_path, 0, 60)
    named = [line for line in str(caught.value).splitlines() if line.startswith("- Image ")]
    assert 5 < len(named) <= 20
    assert len(set(named)) == len(named)


def test_a_few_broken_images_do_not_stop_the_run(tmp_path: Path) -> None:
    folder = write_lasher(tmp_path, "boy", 200)
    (folder / "visible" / "v100.jpg").write_bytes(b"nothing")
    material = Recorded(Videos(FolderClips(Few(), tmp_path)))
    for seed in range(4):
        material.pairs(np.random.default_rng(seed), 100, (Modality.RGB,), Crops(32, 32))
    assert 0 < material.breakage.broken < 0.015 * material.breakage.read


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no folder .*none with LasHeR"):
        FolderClips(Few(), tmp_path / "none")
    with pytest.raises(RecipeError, match="no sequence of lasher/train"):
        FolderClips(Few(), tmp_path)
    with pytest.raises(SourceError, match=r"Sequence .* of LasHeR: There is no folder"):
        Recorded(Videos(FolderClips(LasHeR(), tmp_path))).pairs(np.random.default_rng(0), 40, BOTH, Crops())


def test_stills_show_the_same_region_in_both_senses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("rgb", "thermal"):
        (tmp_path / kind).mkdir()
    for index in range(3):
        image = np.full((200, 260, 3), 60, np.uint8)
        x, y = 40 + 30 * index, 50
        image[y : y + 90, x : x + 90] = rng.integers(90, 255, (9, 9, 3), np.uint8).repeat(10, 0).repeat(10, 1)
        cv2.imwrite(str(tmp_path / "rgb" / f"{index}.png"), image)
        cv2.imwrite(str(tmp_path / "thermal" / f"{index}.png"), 255 - image[..., 1])
    pictures = PictureFolder(tmp_path)
    assert pictures.senses == {Modality.RGB, Modality.THERMAL}
    material = Recorded(Stills(pictures), photometry=PLAIN, jitter=Jitter(center=1, scale=0, flip=0.5))
    batch = material.pairs(rng, 16, BOTH, Crops(64, 128))
    for images in (batch.template, batch.search):
        green, warm = images[Modality.RGB][..., 1].int(), images[Modality.THERMAL][..., 0].int()
        inside = green > 0
        assert (green + warm)[inside].sub(255).abs().float().mean() < 3
    assert bool(batch.boxes.isfinite().all())
    assert bool((batch.boxes[:, 2:] > 0).all())


def test_the_region_that_stands_out_is_chosen(tmp_path: Path) -> None:
    image = np.full((400, 400), 90, np.uint8)
    image[:, 200:] = np.random.default_rng(0).integers(0, 255, (400, 200), np.uint8)
    cv2.imwrite(str(tmp_path / "half.png"), cv2.blur(image, (9, 9)))
    source, rng = Stills(PictureFolder(tmp_path)), np.random.default_rng(1)
    boxes = [source.draw(rng).template.box for _ in range(60)]
    assert sum(box.x + box.w > 200 for box in boxes) > 50
    with pytest.raises(RecipeError, match="no folder"):
        PictureFolder(tmp_path / "none")


def test_a_depth_set_is_rendered_by_its_own_rule(tmp_path: Path) -> None:
    folder = tmp_path / "cup"
    for kind in ("color", "depth"):
        (folder / kind).mkdir(parents=True)
    for frame in range(1, 4):
        cv2.imwrite(str(folder / "color" / f"{frame:08d}.jpg"), np.full((90, 120, 3), 200, np.uint8))
        depth = np.full((90, 120), 3000, np.uint16)
        depth[30:60, 40:70] = 1000
        cv2.imwrite(str(folder / "depth" / f"{frame:08d}.png"), depth)
    (folder / "groundtruth.txt").write_text("40,30,30,30\n40,30,30,30\nnan,nan,nan,nan\n")

    class One(type(find("depthtrack"))):  # type: ignore[misc]
        def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
            return ("cup",)

    material = Recorded(Videos(FolderClips(One(), tmp_path)), photometry=PLAIN, jitter=Jitter(0, 0, 0))
    batch = material.pairs(np.random.default_rng(0), 3, (Modality.RGB, Modality.DEPTH), Crops(64, 128))
    image = batch.search[Modality.DEPTH][0].numpy()
    # JET: near is blue, far is red.
    assert image[64, 64].argmax() == 2
    assert image[10, 64].argmax() == 0
    assert replace(FolderClips(One(), tmp_path)[0].shot(0), box=Box(0, 0, 1, 1)).images[Modality.DEPTH] == Stored(
        folder / "depth" / "00000001.png"
    )
