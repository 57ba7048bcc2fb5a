"""Sessions: following, batching, missing senses, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from tectum.errors import BoxError, MissingModalityError, SourceError, TectumError, UnknownNameError
from tectum.frames import Estimate, Frame, Modality, Prompt
from tectum.systems.base import MEAN, Decoding, normalise
from tectum.tracking.session import Tracker
from tectum.tracking.views import MissingPolicy, look
from tectum.weights import load
from tests.brightness import Brightness, lit_frame

RGB, THERMAL = Modality.RGB, Modality.THERMAL
BOTH = (RGB, THERMAL)
CUNNING = Decoding(window=0.6, change_penalty=0.1, smoothing=0.3, threshold=0.2)


def without(frame: Frame, *senses: Modality) -> Frame:
    images = {sense: None if sense in senses else image for sense, image in frame.images.items()}
    return Frame(images, frame.index, reasons={sense: f"File {sense}.png is broken." for sense in senses})


def close(first: Iterable[Estimate], second: Iterable[Estimate]) -> bool:
    return all(
        np.allclose(a.box, b.box, atol=1e-4) and abs(a.score - b.score) < 1e-4 and a.missing == b.missing
        for a, b in zip(first, second, strict=True)
    )


def test_the_target_is_followed_to_within_a_cell() -> None:
    session = Tracker(Brightness()).start(lit_frame(60, 50), (60, 50, 16, 16))
    for index in range(1, 12):
        estimate = session.update(lit_frame(60 + 4 * index, 50 + 2 * index, index))
        assert estimate.box.center == pytest.approx((68 + 4 * index, 58 + 2 * index), abs=4)
        assert estimate.box[2:] == pytest.approx((16, 16), abs=0.1)
        assert estimate.visible
        assert session.box == estimate.box


def test_a_bare_image_and_a_mapping_do_as_well_as_a_frame() -> None:
    frame = lit_frame(60, 50)
    image = frame.images[RGB]
    assert image is not None
    sessions = [Tracker(Brightness()).start(each, (60, 50, 16, 16)) for each in (frame, image, {RGB: image})]
    assert len({session.update(image).box for session in sessions}) == 1


@pytest.mark.parametrize("preset", ["brightness", "nano"])
def test_one_pass_for_many_equals_many_single_runs(preset: str) -> None:
    system = Brightness(decoding=CUNNING) if preset == "brightness" else load(preset)
    boxes = [(60, 50, 16, 16), (30, 30, 40, 20), (100.5, 70.25, 12, 30)]
    recordings = [[lit_frame(60 + 3 * t, 50 + k, 10 * k + t, BOTH) for t in range(4)] for k in range(3)]
    alone, together = Tracker(system), Tracker(system)
    singles = [alone.start(frames[0], box) for frames, box in zip(recordings, boxes, strict=True)]
    batch = [together.start(frames[0], box) for frames, box in zip(recordings, boxes, strict=True)]
    for t in range(1, 4):
        frames = [recording[t] for recording in recordings]
        found = together.update(batch, frames)
        assert close(found, [session.update(frame) for session, frame in zip(singles, frames, strict=True)])


def test_targets_of_one_video_share_frame_and_pass() -> None:
    system = Brightness()
    tracker = Tracker(system)
    sessions = [tracker.start(lit_frame(60, 50), (60 + k, 50, 16, 16)) for k in range(4)]
    estimates = tracker.update(sessions, lit_frame(62, 50, 1))
    assert system.passes == [4]
    assert len(estimates) == 4


def test_a_changed_set_of_sessions_gets_its_own_templates() -> None:
    tracker = Tracker(Brightness(decoding=CUNNING))
    first, second = (tracker.start(lit_frame(60, 50), box) for box in ((60, 50, 16, 16), (60, 50, 30, 30)))
    tracker.update([first, second], lit_frame(60, 50, 1))
    assert tracker.update([second], lit_frame(60, 50, 2))[0].box.w == pytest.approx(30, abs=0.5)
    swapped = tracker.update([second, first], lit_frame(60, 50, 3))
    assert [round(estimate.box.w) for estimate in swapped] == [30, 16]


def test_sessions_with_different_senses_are_grouped() -> None:
    system = Brightness()
    tracker, alone = Tracker(system), Tracker(Brightness())
    starts = [lit_frame(60, 50, 0, BOTH), lit_frame(60, 50, 0), lit_frame(60, 50, 0, BOTH)]
    nexts = [lit_frame(63, 50, 1, BOTH), lit_frame(64, 52, 1), without(lit_frame(58, 50, 1, BOTH), RGB)]
    sessions = [tracker.start(frame, (60, 50, 16, 16)) for frame in starts]
    singles = [alone.start(frame, (60, 50, 16, 16)) for frame in starts]
    found = tracker.update(sessions, nexts)
    assert sorted(system.passes) == [1, 2]
    assert close(found, [session.update(frame) for session, frame in zip(singles, nexts, strict=True)])


def test_the_same_recording_gives_the_same_boxes() -> None:
    runs = []
    for _ in range(2):
        session = Tracker(Brightness()).start(lit_frame(60, 50), (60, 50, 16, 16))
        runs.append([session.update(lit_frame(60 + t, 50, t)) for t in range(5)])
    assert runs[0] == runs[1]


def test_a_box_stays_in_the_image_with_its_margin() -> None:
    session = Tracker(Brightness()).start(lit_frame(0, 100), (-4, 104, 16, 16))
    estimate = session.update(lit_frame(0, 104, 1))
    assert estimate.box.x >= 0
    assert estimate.box.y <= 110
    assert estimate.box.y + estimate.box.h <= 120
    assert min(estimate.box[2:]) >= 10


def test_crops_are_normalised_by_imagenet() -> None:
    image = np.full((4, 4, 3), np.round(MEAN.numpy() * 255), np.uint8)
    image[0, 1] = (255, 0, 0)
    batch = normalise(torch.from_numpy(np.stack([image, image])))
    assert batch.shape == (2, 3, 4, 4)
    assert batch[1, :, 3, 3].abs().max() < 0.01
    expected = (torch.tensor([1.0, 0, 0]) - MEAN) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(batch[0, :, 0, 1], expected, atol=1e-5)


class Watching(Brightness):
    """Keeps the last views."""

    def forward(self, template, search):  # type: ignore[no-untyped-def]
        self.seen = search
        return super().forward(template, search)


@pytest.mark.parametrize("absent", BOTH)
def test_copy_lets_the_other_sense_stand_in(absent: Modality) -> None:
    system = Watching(required=BOTH)
    session = Tracker(system, missing="copy").start(lit_frame(60, 50, 0, BOTH), (60, 50, 16, 16))
    estimate = session.update(without(lit_frame(62, 50, 1, BOTH), absent))
    assert torch.equal(system.seen[RGB], system.seen[THERMAL])
    assert system.seen[RGB].std() > 0
    assert estimate.missing == {absent}
    assert estimate.visible
    assert session.update(lit_frame(62, 50, 2, BOTH)).missing == frozenset()


def test_copy_prefers_rgb() -> None:
    frame = lit_frame(60, 50, 0, (RGB, THERMAL, Modality.DEPTH))
    frame = Frame({**frame.images, RGB: np.full((120, 160, 3), 7, np.uint8), THERMAL: None})
    from tectum.geometry import Box, Crop

    views = look([frame], [Crop.around(Box(60, 50, 16, 16), 2, 32)], [THERMAL, RGB], MissingPolicy.COPY)
    assert torch.equal(views[THERMAL], views[RGB])


def test_zero_is_zero_after_normalisation_and_only_where_missing() -> None:
    system = Watching()
    tracker = Tracker(system, missing="zero")
    sessions = [tracker.start(lit_frame(60, 50, 0, BOTH), (60, 50, 16, 16)) for _ in range(2)]
    whole = lit_frame(62, 50, 1, BOTH)
    estimates = tracker.update(sessions, [whole, without(whole, THERMAL)])
    assert system.seen[THERMAL][1].abs().max() == 0
    assert system.seen[THERMAL][0].std() > 0
    assert [estimate.missing for estimate in estimates] == [frozenset(), {THERMAL}]


def test_stop_names_frame_and_reason_and_moves_no_session() -> None:
    tracker = Tracker(Brightness(), missing="stop")
    sessions = [tracker.start(lit_frame(60, 50, 0, BOTH), (60, 50, 16, 16)) for _ in range(2)]
    frames = [lit_frame(66, 50, 7, BOTH), without(lit_frame(66, 50, 7, BOTH), THERMAL)]
    with pytest.raises(MissingModalityError, match=r"Frame 7 lacks thermal.*File thermal\.png is broken"):
        tracker.update(sessions, frames)
    assert sessions[0].box == (60, 50, 16, 16)


def test_a_sense_that_the_system_needs_and_the_recording_never_has_is_missing_from_the_start() -> None:
    session = Tracker(Brightness(required=BOTH)).start(lit_frame(60, 50), (60, 50, 16, 16))
    assert session.update(lit_frame(61, 50, 1)).missing == {THERMAL}
    with pytest.raises(MissingModalityError, match="lacks thermal"):
        Tracker(Brightness(required=BOTH), missing="stop").start(lit_frame(60, 50), (60, 50, 16, 16))


def test_another_second_sense_than_the_trackers_is_refused() -> None:
    tracker, depth = Tracker(Brightness(required=BOTH)), lit_frame(60, 50, 0, (RGB, Modality.DEPTH))
    with pytest.raises(SourceError, match=r"shows depth, but .* loaded for thermal: load it with second='depth'"):
        tracker.start(depth, (60, 50, 16, 16))
    every, dropped = lit_frame(60, 50, 0, (RGB, THERMAL, Modality.DEPTH)), without(lit_frame(60, 50, 0, BOTH), THERMAL)
    assert [tracker.start(frame, (60, 50, 16, 16)).senses for frame in (every, dropped)] == [{*BOTH}] * 2
    assert Tracker(Brightness(senses=(RGB,))).start(depth, (60, 50, 16, 16)).senses == {RGB}


def test_a_tracker_says_what_it_is() -> None:
    assert repr(Tracker(Brightness())) == "Tracker(Brightness on rgb+thermal, device='cpu')"


def test_a_blind_moment_keeps_the_box_with_no_score() -> None:
    tracker = Tracker(Brightness())
    sessions = [tracker.start(lit_frame(60, 50, 0, BOTH), (60, 50, 16, 16)) for _ in range(2)]
    seeing, blind = tracker.update(
        sessions, [lit_frame(64, 50, 1, BOTH), without(lit_frame(64, 50, 1, BOTH), RGB, THERMAL)]
    )
    assert seeing.visible
    assert blind == Estimate((60, 50, 16, 16), 0.0, False, frozenset(BOTH))  # type: ignore[arg-type]
    assert sessions[1].update(lit_frame(62, 50, 2, BOTH)).visible


def test_a_track_cannot_start_blind() -> None:
    with pytest.raises(SourceError, match=r"cannot start at frame 0.*broken"):
        Tracker(Brightness()).start(without(lit_frame(60, 50), RGB), (60, 50, 16, 16))
    with pytest.raises(SourceError, match="rgb, thermal"):
        Tracker(Brightness()).start(lit_frame(60, 50, 0, (Modality.DEPTH,)), (60, 50, 16, 16))


@pytest.mark.parametrize(
    ("box", "cause"),
    [
        ((10, 10, 0, 5), "no area"),
        ((10, 10, 5, -2), "no area"),
        ((200, 10, 5, 5), "outside"),
        ((float("nan"), 10, 5, 5), "no numbers"),
        ((1, 2, 3), "four numbers"),
    ],
)
def test_impossible_boxes_are_refused(box: tuple[float, ...], cause: str) -> None:
    with pytest.raises(BoxError, match=cause):
        Tracker(Brightness()).start(lit_frame(60, 50), box)


def test_frames_of_another_size_or_kind_are_refused() -> None:
    session = Tracker(Brightness()).start(lit_frame(60, 50), (60, 50, 16, 16))
    with pytest.raises(SourceError, match=r"frame 5 is 80x60, but the track began with 160x120"):
        session.update(Frame({RGB: np.zeros((60, 80, 3), np.uint8)}, 5))
    with pytest.raises(SourceError, match="8-bit"):
        session.update(np.zeros((120, 160), np.uint8))
    with pytest.raises(SourceError, match="8-bit"):
        session.update(np.zeros((120, 160, 3), np.float32))


def test_counts_and_owners_must_agree() -> None:
    tracker = Tracker(Brightness())
    session = tracker.start(lit_frame(60, 50), (60, 50, 16, 16))
    with pytest.raises(TectumError, match="1 frames, one per session, but 2"):
        tracker.update([session], [lit_frame(60, 50), lit_frame(60, 50)])
    with pytest.raises(TectumError, match="did not start it"):
        Tracker(Brightness()).update([session], lit_frame(60, 50))
    assert tracker.update([], lit_frame(60, 50)) == []


def test_unknown_devices_and_policies_are_named() -> None:
    with pytest.raises(UnknownNameError, match="toaster"):
        Tracker(Brightness(), device="toaster")
    with pytest.raises(UnknownNameError, match="copy, zero, stop"):
        Tracker(Brightness(), missing="guess")


def test_the_system_is_told_where_the_target_is_in_the_template() -> None:
    prompts = []

    class Listening(Brightness):
        def embed(self, template, prompt: Prompt):  # type: ignore[no-untyped-def]
            prompts.append(prompt)
            return super().embed(template, prompt)

    Tracker(Listening()).start(lit_frame(60, 50), (60, 50, 16, 16), text="the lit square")
    assert prompts[0].text == ("the lit square",)
    assert torch.allclose(prompts[0].box, torch.tensor([[0.25, 0.25, 0.5, 0.5]]))
