"""`tectum inspect`: what is noted of a system is what happened in it, and all of it can be drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from tectum.cli.main import app
from tectum.errors import SourceError
from tectum.frames import Frame, Modality
from tectum.geometry import Box
from tectum.inspection.features import as_points, colours, gap, principal, salience, similarity
from tectum.inspection.inspection import Inspection, inspect
from tectum.inspection.observation import Observation
from tectum.inspection.sheets import MOST_BLOCKS, spread_blocks
from tectum.inspection.sighting import sightings
from tectum.networks import elimination
from tectum.networks.elimination import Watch
from tectum.systems.base import System
from tectum.systems.catalogue import build
from tectum.systems.ckd import CKD, CKDConfig
from tectum.systems.duo import Duo, DuoConfig
from tectum.systems.ostrack import TINY, OSTrack, OSTrackConfig
from tectum.systems.patrack import PATrack, PATrackConfig
from tectum.systems.sdstrack import SDSTrack, SDSTrackConfig
from tectum.systems.vipt import ViPT, ViPTConfig
from tectum.tracking.session import Tracker
from tests.footage import SIDE, ground, place, write_lasher

BOX = Box(*place(0), SIDE, SIDE)
PRUNED = replace(TINY, vit=replace(TINY.vit, eliminate_at=(1, 3)))
"""Eliminates twice: of 64 places 45 are left, then 32."""


def frames(count: int = 3) -> list[Frame]:
    """Both senses of a moving square."""
    made = []
    for index in range(count):
        images = {}
        for sense, value in ((Modality.RGB, 255), (Modality.THERMAL, 200)):
            image = ground(index, (160, 120))
            x, y = place(index)
            image[y : y + SIDE, x : x + SIDE] = value
            images[sense] = cv2.merge([image] * 3)
        made.append(Frame(images, index))
    return made


def observed(system: System) -> Observation:
    """What a system did in frame 1."""
    torch.manual_seed(0)
    session = Tracker(system).start(frames()[0], BOX)
    sighting = next(sightings([session], frames()[1:], [1]))
    assert sighting is not None
    return sighting.observations[0]


@pytest.mark.parametrize(
    "preset",
    [
        *("ostrack-tiny", "duo-tiny", "ckd-tiny-mce", "vipt-tiny", "tbsi-tiny"),
        *("sdstrack-tiny", "bat-tiny", "patrack-tiny", "mst-tiny"),
    ],
)
def test_every_transformer_is_seen_stream_by_stream(preset: str) -> None:
    torch.manual_seed(0)
    system = build(preset)
    seen = observed(system)
    apart = {"ostrack-tiny": ("rgb",), "vipt-tiny": ("rgb + thermal",)}
    assert seen.streams == apart.get(preset, ("rgb", "thermal"))
    count = len(seen.streams)
    assert seen.attention.shape == (5, count, 8, 8)
    assert seen.layers.shape == (5, count, 160, 8, 8)
    assert seen.features.shape == (count, 160, 8, 8)
    assert len(seen.kept) == (1 if preset.endswith("mce") else 0)
    assert np.isfinite(seen.layers[0]).all()
    assert seen.score.shape == (8, 8)
    if count == 2:
        assert not np.allclose(seen.features[0], seen.features[1], equal_nan=True)


def hooks_of(system: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in system.modules())


def test_watching_changes_nothing_and_leaves_nothing() -> None:
    torch.manual_seed(0)
    system = CKD(config=build("ckd-tiny-mce").config)  # type: ignore[arg-type]
    watched, alone = (Tracker(system).start(frames()[0], BOX) for _ in range(2))
    sighting = next(sightings([watched], frames()[1:], [1]))
    estimate = alone.update(frames()[1])
    assert sighting is not None
    assert sighting.score == estimate.score
    assert watched.box == alone.box
    assert hooks_of(system) == 0


KINDS: dict[str, Callable[[OSTrackConfig], System]] = {
    "OSTrack": OSTrack,
    "Duo": lambda config: Duo(config=DuoConfig(config)),
    "CKD": lambda config: CKD(config=CKDConfig(config, head_alone=True)),
    "CKD by itself": lambda config: CKD(config=CKDConfig(config, judged_together=False, head_alone=True)),
    "ViPT": lambda config: ViPT(config=ViPTConfig(config)),
    "SDSTrack": lambda config: SDSTrack(config=SDSTrackConfig(config, fused_after=(1, 4))),
    "PATrack": lambda config: PATrack(config=PATrackConfig(config, entangled_at=(1,), entangled_width=40)),
}


@pytest.mark.parametrize("watch", [Watch.CENTER, Watch.BOX])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_what_the_system_kept(kind: str, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[int, list[Tensor]] = {45: [], 32: []}

    def narrow(tokens: Tensor, length: int, survivors: Tensor) -> Tensor:
        kept[survivors.shape[1]] += survivors.split(1)
        return elimination.narrow(tokens, length, survivors)

    for module in ("vit", "lockstep"):
        monkeypatch.setattr(f"tectum.networks.{module}.narrow", narrow)
    torch.manual_seed(0)
    seen = observed(KINDS[kind](replace(PRUNED, vit=replace(PRUNED.vit, watch=watch))))
    assert seen.eliminated_after == (1, 3)
    assert seen.kept.shape[:2] == (2, len(seen.streams))
    for stream, (first, second) in enumerate(zip(kept[45], kept[32], strict=True)):
        assert np.flatnonzero(seen.kept[0, stream]).tolist() == first[0].tolist()
        assert np.flatnonzero(seen.kept[1, stream]).tolist() == first.gather(1, second)[0].tolist()
        assert (np.isfinite(seen.layers[2, stream]) == seen.kept[0, stream]).all()
        assert (np.isfinite(seen.features[stream]) == seen.kept[1, stream]).all()


def test_attention_and_features_are_those_of_the_network() -> None:
    torch.manual_seed(0)
    system = Duo(config=DuoConfig(TINY))
    seen = observed(system)
    session = Tracker(system).start(frames()[0], BOX)
    with torch.inference_mode():
        view = torch.from_numpy(seen.views[Modality.THERMAL]).permute(2, 0, 1)[None] / 255
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        view = (view - mean[:, None, None]) / deviation[:, None, None]
        branch = system.branches[Modality.THERMAL]
        template = session.template["other.tokens"]
        tokens = torch.cat([template, branch.embed_search(view)], dim=1)
        block = branch.blocks[0]
        query, key, _ = block.attn.project(block.norm1(tokens))  # type: ignore[operator, union-attr]
        attention = (query @ key.transpose(2, 3) / 40**0.5).softmax(dim=3).mean(dim=1)[0, :16, 16:]
        # The square is half as wide as the template: its box has the middle four of 4x4 tokens.
        expected = attention[[5, 6, 9, 10]].mean(dim=0).view(8, 8)
        features = branch(template, branch.embed_search(view)).search[0].T.view(160, 8, 8)
    np.testing.assert_allclose(seen.attention[0, 1], expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(seen.features[1], features, rtol=1e-3, atol=1e-3)


def test_another_system_looks_where_the_first_one_does() -> None:
    torch.manual_seed(0)
    first, other = Tracker(build("duo-tiny")), Tracker(build("duo-tiny"))
    recording = Made(frames(4))
    seen = inspect([first, other], ["a", "b"], recording, BOX, [1, 3]).sightings
    assert [sighting.frame for sighting in seen] == [1, 3]
    for sighting in seen:
        ours, theirs = sighting.observations
        for sense, view in ours.views.items():
            assert (view == theirs.views[sense]).all()
        assert not np.allclose(ours.score, theirs.score)


class Made:
    """A recording in memory."""

    name = "made"
    senses = frozenset((Modality.RGB, Modality.THERMAL))

    def __init__(self, moments: list[Frame]) -> None:
        self.moments = moments

    @property
    def length(self) -> int:
        return len(self.moments)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.moments)


def test_a_frame_beyond_the_end_or_without_an_image_is_refused() -> None:
    with pytest.raises(SourceError, match="ends with frame 2, and frame 7 was asked for"):
        inspect([Tracker(build("nano"))], ["nano"], Made(frames()), BOX, [1, 7])
    blind = Frame({Modality.RGB: None, Modality.THERMAL: None}, 1)
    with pytest.raises(SourceError, match="Frame 1 has no image"):
        inspect([Tracker(build("nano"))], ["nano"], Made([frames()[0], blind]), BOX, [1])


def sheets(*presets: str) -> tuple[set[str], Inspection]:
    torch.manual_seed(0)
    inspection = inspect([Tracker(build(preset)) for preset in presets], presets, Made(frames()), BOX, [1])
    return {name for name, _ in inspection.sheets()}, inspection


def test_each_system_gets_the_sheets_that_it_has() -> None:
    names, inspection = sheets("ckd-tiny-mce", "ckd-tiny")
    assert names == {
        *("score", "attention", "elimination", "features", "against_attention", "against_features"),
        *("similarity", "similarity_by_block", "components"),
    }
    assert inspection.left_out == ("ckd-tiny: There is no elimination: the system keeps all candidates.",)
    names, inspection = sheets("nano", "duo-tiny")
    assert names == {
        *("score", "features", "against_attention", "against_features"),
        *("similarity", "similarity_by_block", "components"),
    }
    assert any("not compared between the systems" in each for each in inspection.left_out)
    first, other = (inspection.sightings[0].box_in(system) for system in (0, 1))
    assert first.w == pytest.approx(2 * other.w)
    assert sheets("ostrack-tiny")[0] == {"score", "attention", "features", "components"}


def test_features_are_compared_as_by_hand() -> None:
    one, other = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    one[:, 0, 0], other[:, 0, 0] = (3, 4), (4, 3)
    one[:, 0, 1], other[:, 0, 1] = (1, 0), (-2, 0)
    one[:, 1, 1] = np.nan
    np.testing.assert_allclose(similarity(one, other), [[0.96, -1], [0, np.nan]], atol=1e-6)
    middle = (4 / 3, 4 / 3)
    np.testing.assert_allclose(salience(one)[1, 0], np.hypot(*middle), rtol=1e-6)
    assert as_points(one).tolist() == [[3, 4], [1, 0], [0, 0]]
    cloud = np.float32([[-1, 0], [1, 0]])
    assert gap(cloud, cloud + np.float32([0, 2])) == pytest.approx(2)


def test_principal_components_are_those_of_the_covariance() -> None:
    points = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32) * np.float32([1, 5, 2, 0.5])
    mean, directions, shares = principal(points, 2)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    np.testing.assert_allclose(shares, (values[::-1] / values.sum())[:2], rtol=1e-4)
    np.testing.assert_allclose(np.abs(vectors[:, ::-1][:, :2].T @ directions), np.eye(2), atol=1e-3)
    np.testing.assert_allclose(mean, points.mean(axis=0), rtol=1e-4)
    shown = colours(points.T.reshape(1, 4, 10, 20))
    assert shown.shape == (1, 10, 20, 3)
    assert shown.min() == 0
    assert shown.max() == 1


def test_few_blocks_are_chosen_of_many() -> None:
    assert spread_blocks(5) == [0, 1, 2, 3, 4]
    chosen = spread_blocks(12)
    assert len(chosen) == MOST_BLOCKS
    assert chosen[0] == 0
    assert chosen[-1] == 11


def tectum_inspect(*words: object) -> Result:
    return CliRunner().invoke(app, ["inspect", *map(str, words)])


def test_the_command_writes_pictures_and_arrays(tmp_path: Path) -> None:
    source = write_lasher(tmp_path, "walk", frames=4)
    box = ",".join(map(str, BOX))
    result = tectum_inspect(source, "--box", box, "--preset", "duo-tiny", "--frame", 2, "--out", tmp_path / "seen")
    assert result.exit_code == 0, result.output
    assert "duo-tiny: There is no elimination" in result.stderr
    files = {path.name for path in (tmp_path / "seen").iterdir()}
    pictures = {"score", "attention", "features", "similarity", "similarity_by_block", "components"}
    assert files == {f"{name}.png" for name in pictures} | {"frame_000002.npz"}
    image = cv2.imread(str(tmp_path / "seen" / "attention.png"))
    assert image is not None
    assert image.std() > 10
    held = np.load(tmp_path / "seen" / "frame_000002.npz")
    assert held["streams"].tolist() == ["rgb", "thermal"]
    assert held["layers"].shape == (5, 2, 160, 8, 8)
    assert held["frame"] == 2
    assert held["view_thermal"].shape == (128, 128, 3)


def test_frames_are_spread_over_the_recording(tmp_path: Path) -> None:
    source = write_lasher(tmp_path, "walk", frames=6)
    words = ("--box", ",".join(map(str, BOX)), "--quiet", "--out", tmp_path / "seen", "--frames", 2)
    result = tectum_inspect("recording", source, *words)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "seen").glob("*.npz")) == ["frame_000001.npz", "frame_000005.npz"]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--frame", 99), "frame 99 was asked for"),
        (("--against", "nona"), "There is no preset 'nona'"),
        (("--against", "gone.safetensors"), "gone.safetensors"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, words: tuple[object, ...], says: str) -> None:
    source = write_lasher(tmp_path, "walk", frames=3)
    result = tectum_inspect(source, "--box", ",".join(map(str, BOX)), "--out", tmp_path / "seen", *words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "seen").exists()
