"""The joint transformer, candidate elimination and the centre head, on small sizes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tectum.networks.elimination import (
    Watch,
    best_candidates,
    box_weights,
    candidate_scores,
    keep_ratio,
    restore,
    select,
    watching_rows,
)
from tectum.networks.heads import CenterHead
from tectum.networks.vit import DropPath, JointViT, ViTConfig, resize_positions

SMALL = ViTConfig(template_size=64, search_size=128, width=32, depth=4, heads=2, eliminate_at=(1, 2))


@pytest.fixture
def vit() -> JointViT:
    torch.manual_seed(0)
    return JointViT(SMALL).eval()


def views(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(batch, 3, 64, 64, generator=generator),
        torch.randn(batch, 3, 128, 128, generator=generator),
    )


@torch.inference_mode()
def test_eliminated_tokens_are_zero_and_each_sample_has_its_own(vit: JointViT) -> None:
    template, search = views()
    joint = vit(vit.embed_template(template), vit.embed_search(search))
    assert [kept.shape[1] for kept in joint.kept] == [math.ceil(0.7 * 64), math.ceil(0.7 * 45)]
    for row, features in enumerate(joint.search):
        alive = features.abs().sum(dim=1).nonzero()[:, 0].tolist()
        assert alive == joint.kept[-1][row].tolist()
        assert set(alive) <= set(joint.kept[0][row].tolist())
    assert len({tuple(row.tolist()) for row in joint.kept[-1]}) == 3


@torch.inference_mode()
def test_a_batch_equals_its_samples_one_by_one(vit: JointViT) -> None:
    template, search = views()
    whole = vit(vit.embed_template(template), vit.embed_search(search)).search
    for row in range(3):
        one = vit(vit.embed_template(template[row : row + 1]), vit.embed_search(search[row : row + 1])).search
        torch.testing.assert_close(one[0], whole[row], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_order_of_search_tokens_does_not_matter(vit: JointViT) -> None:
    template, search = vit.embed_template(views()[0]), vit.embed_search(views()[1])
    order = torch.randperm(64, generator=torch.Generator().manual_seed(2))
    straight, shuffled = vit(template, search), vit(template, search[:, order])
    torch.testing.assert_close(shuffled.search, straight.search[:, order], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_keeping_all_equals_no_elimination(vit: JointViT) -> None:
    plain = JointViT(replace(SMALL, eliminate_at=())).eval()
    plain.load_state_dict(vit.state_dict())
    template, search = vit.embed_template(views()[0]), vit.embed_search(views()[1])
    torch.testing.assert_close(vit(template, search, keep=1.0).search, plain(template, search).search)


@torch.inference_mode()
def test_leaving_the_template_out_of_the_last_block_changes_nothing(vit: JointViT) -> None:
    template, search = vit.embed_template(views()[0]), vit.embed_search(views()[1])
    whole, trimmed = vit(template, search, whole=True), vit(template, search)
    assert trimmed.template is None
    assert whole.template.shape == (3, 16, 32)
    torch.testing.assert_close(whole.search, trimmed.search, atol=1e-5, rtol=0)
    late = JointViT(replace(SMALL, eliminate_at=(3,))).eval()
    assert late(template, search).kept[0].shape == (3, 45)


def test_scores_equal_the_full_attention_matrix() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 20, 8), torch.randn(2, 4, 20, 8)
    full = (query @ key.transpose(-2, -1) / math.sqrt(8)).softmax(dim=-1)[:, :, :, 4:]
    torch.testing.assert_close(candidate_scores(query, key, 4, (1, 3)), full[:, :, [1, 3]].mean(dim=(1, 2)))
    weights = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0, 1.0]])
    scores = candidate_scores(query, key, 4, (0, 1, 2, 3), weights)
    torch.testing.assert_close(scores[0], full[0, :, :2].mean(dim=(0, 1)))
    torch.testing.assert_close(scores[1], full[1, :, 3].mean(dim=0))


@given(st.integers(2, 40), st.floats(0.1, 1.0), st.integers(0, 1000))
def test_the_best_candidates_survive_and_go_back_to_their_places(length: int, keep: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(2, length, generator=generator)
    kept = best_candidates(scores, keep)
    count = math.ceil(keep * length)
    assert kept.shape == (2, count)
    for row in range(2):
        assert set(kept[row].tolist()) == set(scores[row].argsort(descending=True)[:count].tolist())
    tokens = torch.randn(2, length, 3, generator=generator)
    back = restore(select(tokens, kept), kept, length)
    torch.testing.assert_close(select(back, kept), select(tokens, kept))
    assert back.abs().sum(dim=2).count_nonzero() <= 2 * count


def test_watching_rows_as_published() -> None:
    assert watching_rows(Watch.CENTER, 8) == (27,)
    assert watching_rows(Watch.CENTER, 12) == (65,)
    assert watching_rows(Watch.RECTANGLE, 8) == (27, 28, 35, 36)
    assert watching_rows(Watch.CENTER, 7) == watching_rows(Watch.RECTANGLE, 7) == (24,)
    assert watching_rows(Watch.ALL, 8) == watching_rows(Watch.BOX, 8) == tuple(range(64))


def test_box_weights_cover_the_target() -> None:
    weights = box_weights(torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.0, 0.0, 0.01, 0.01]]), 8)
    inside = weights[0].view(8, 8)
    assert inside[2:6, 2:6].eq(1 / 16).all()
    assert inside.sum() == 1
    assert weights[1, 0] == 1
    assert weights[1].sum() == 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_keep_ratio_falls_by_a_cosine(first: float, second: float) -> None:
    early, late = sorted((first, second))
    assert 0.7 <= keep_ratio(late, 0.2, 0.6, 0.7) <= keep_ratio(early, 0.2, 0.6, 0.7) <= 1
    assert keep_ratio(0.1, 0.2, 0.6, 0.7) == 1
    assert keep_ratio(0.4, 0.2, 0.6, 0.7) == pytest.approx(0.85)
    assert keep_ratio(0.6, 0.2, 0.6, 0.7) == 0.7


def test_drop_path_keeps_the_expectation_and_rests_in_evaluation() -> None:
    torch.manual_seed(0)
    path = DropPath(0.25)
    branch = torch.ones(4000, 2, 2)
    dropped = path(branch)
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert (dropped.flatten(1).amin(dim=1) == dropped.flatten(1).amax(dim=1)).all()
    assert path.eval()(branch) is branch


def test_resized_positions_keep_constants_and_refuse_what_is_no_grid() -> None:
    torch.testing.assert_close(resize_positions(torch.ones(1, 144, 4), 64), torch.ones(1, 64, 4))
    ramp = torch.arange(24.0).view(1, 1, 24, 1).expand(1, 24, 24, 1).reshape(1, 576, 1)
    smaller = resize_positions(ramp, 144).view(12, 12)
    torch.testing.assert_close(smaller[3, 2:-2], torch.arange(12.0)[2:-2] * 2 + 0.5)
    odd = torch.ones(1, 197, 4)
    assert resize_positions(odd, 64) is odd


def test_center_head_bounds_probabilities_and_leaves_offsets_free() -> None:
    torch.manual_seed(0)
    score, size, offset = CenterHead(16, 32).eval()(1e4 * torch.randn(2, 16, 8, 8))
    assert (score.shape, size.shape, offset.shape) == ((2, 1, 8, 8), (2, 2, 8, 8), (2, 2, 8, 8))
    for probability in (score, size):
        assert probability.min() >= 1e-4
        assert probability.max() <= 1 - 1e-4
    assert offset.abs().max() > 1


@torch.inference_mode()
def test_attention_that_begins_alike_finds_like_tokens() -> None:
    torch.manual_seed(0)
    attention = JointViT(replace(SMALL, alike=True)).blocks[0].attn
    tokens = torch.randn(2, 6, 32)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    query, key, _ = attention.project(tokens)
    likeness = query @ key[:, :, order].transpose(2, 3)
    assert torch.equal(order[likeness.argmax(dim=-1)], torch.arange(6).expand(2, 2, 6))
    # A token of norm √width meets itself with a logit of SHARPNESS times its projection's square.
    logit = (query**2).sum(dim=-1).mean() / 16**0.5
    assert logit.item() == pytest.approx(0.7 * 16, rel=0.3)


@torch.inference_mode()
def test_a_rare_head_begins_with_few_targets_in_the_middle_of_cells() -> None:
    torch.manual_seed(0)
    score, size, offset = CenterHead(32, 16, rare=True).eval()(torch.randn(2, 32, 8, 8))
    assert score.max() < 0.06
    assert (size - 0.27).abs().max() < 0.02
    assert (offset - 0.5).abs().max() < 0.05
