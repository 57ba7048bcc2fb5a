"""MST: what it costs, what trains, how it begins, and that both senses count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tectum.errors import WeightsError
from tectum.frames import Modality, Prompt
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch
from tectum.systems.catalogue import build
from tectum.systems.mst import MST, MSTConfig
from tectum.systems.ostrack import BASE_256_CE, OSTrackConfig
from tectum.training.optim import build_optimiser, freeze
from tectum.training.recipe import Optim, Tuning
from tectum.weights import from_published
from tectum.weights.cost import cost

SMALL = OSTrackConfig(ViTConfig(64, 128, width=32, depth=3, heads=2), head=16)


def small(**settings: object) -> MST:
    torch.manual_seed(0)
    return MST(Modality.DEPTH, MSTConfig(SMALL, crossed_after=(0, 2), **settings))  # type: ignore[arg-type]


def batch(count: int = 2, senses: tuple[Modality, ...] = (Modality.RGB, Modality.DEPTH)) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        template={sense: torch.randn(count, 3, 64, 64, generator=generator) for sense in senses},
        search={sense: torch.randn(count, 3, 128, 128, generator=generator) for sense in senses},
        boxes=torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1),
    )


@pytest.mark.parametrize(("preset", "gflops"), [("mst-b256", 149.0), ("mst-b384", 335.3)])
def test_a_pass_costs_what_is_published(preset: str, gflops: float) -> None:
    found = cost(preset)
    assert 2e-9 * found.joint.layers == pytest.approx(gflops, rel=0.001)
    assert found.frozen == 6_474_117  # the head
    positions = 2 * {"mst-b256": 64 + 256, "mst-b384": 144 + 576}[preset] * 768
    assert found.parameters - positions == 206_118_789  # 202.0 M in the paper


def foundation_tensors() -> dict[str, Tensor]:
    """A tiny foundation's tensors, as a training finds them."""
    torch.manual_seed(2)
    return dict(build("ostrack-tiny").state_dict())


def test_it_begins_as_its_foundation_in_both_streams_and_between_them() -> None:
    tensors = foundation_tensors()
    mst = from_published("mst-tiny", tensors, "event", start=True)
    own = mst.state_dict()
    assert {name.partition(".")[0] for name in own} == {"rgb", "other", "cross", "head"}
    for name, tensor in own.items():
        part, _, rest = name.partition(".")
        original = {"head": name, "cross": f"backbone.blocks.{rest}"}.get(part, f"backbone.{rest}")
        assert torch.equal(tensor, tensors[original]), name
    assert isinstance(mst, MST)
    assert set(mst.cross) == {"1", "4"}


def test_a_foundation_without_a_block_is_refused_by_its_published_name() -> None:
    lacking = {name: tensor for name, tensor in foundation_tensors().items() if name != "backbone.blocks.4.norm1.bias"}
    with pytest.raises(WeightsError, match=r"1 of the names needed \(backbone\.blocks\.4\.norm1\.bias\)"):
        from_published("mst-tiny", lacking, start=True)


@pytest.mark.parametrize("kind", ["none", "update", "weight"])
def test_a_step_changes_streams_and_cross_blocks_and_nothing_else(kind: str) -> None:
    mst = small()
    freeze(mst)
    mst.train()
    before = {name: tensor.clone() for name, tensor in mst.state_dict().items()}
    losses = mst.objective(batch())
    assert set(losses.parts) == {"focal", "giou", "l1"}
    losses.total.backward()
    trained = {name for name, _ in mst.named_parameters() if not name.startswith("head.")}
    assert {name for name, each in mst.named_parameters() if each.grad is not None and each.grad.any()} == trained
    assert [group.rate for group in mst.trainable()] == [1.0, 0.5]
    build_optimiser(mst, Optim(tuning=Tuning(kind))).step()  # type: ignore[arg-type]
    assert {name for name, tensor in mst.state_dict().items() if not torch.equal(tensor, before[name])} == trained


@torch.inference_mode()
def test_cross_blocks_alone_join_the_senses() -> None:
    pairs = batch()
    changed = replace(pairs, search={**pairs.search, Modality.DEPTH: -pairs.search[Modality.DEPTH]})
    apart = MST(Modality.DEPTH, MSTConfig(SMALL, crossed_after=())).eval()

    def rgb_tokens(mst: MST, given: Batch) -> Tensor:
        template = mst.embed(given.template, Prompt())
        rgb = torch.cat([template["rgb"], mst.rgb.embed_search(given.search[Modality.RGB])], dim=1)
        other = torch.cat([template["other"], mst.other.embed_search(given.search[Modality.DEPTH])], dim=1)
        return mst.read(rgb, other)[0]

    assert torch.equal(rgb_tokens(apart, pairs), rgb_tokens(apart, changed))
    alone = apart.rgb(
        apart.rgb.embed_template(pairs.template[Modality.RGB]), apart.rgb.embed_search(pairs.search[Modality.RGB])
    )
    torch.testing.assert_close(rgb_tokens(apart, pairs), alone.search)
    joined = small().eval()
    assert not torch.allclose(rgb_tokens(joined, pairs), rgb_tokens(joined, changed))


@torch.inference_mode()
def test_the_head_reads_the_mean_or_the_sum_of_both_senses() -> None:
    mst, pairs = small().eval(), batch()
    read: list[Tensor] = []
    mst.head.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    mst(mst.embed(pairs.template, Prompt()), pairs.search)
    mst.config = replace(mst.config, fusion="sum")
    mst(mst.embed(pairs.template, Prompt()), pairs.search)
    torch.testing.assert_close(read[1], 2 * read[0])


@torch.inference_mode()
def test_templates_of_many_targets_join_along_the_batch() -> None:
    mst, pairs = small().eval(), batch(3)
    whole = mst(mst.embed(pairs.template, Prompt()), pairs.search)
    for row in range(3):
        template = mst.embed({sense: view[row : row + 1] for sense, view in pairs.template.items()}, Prompt())
        one = mst(template, {sense: view[row : row + 1] for sense, view in pairs.search.items()})
        torch.testing.assert_close(one.score[0], whole.score[row], atol=1e-5, rtol=0)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="leave eliminate_at empty"):
        MSTConfig(BASE_256_CE)
    with pytest.raises(ValueError, match="choose from blocks 0 to 11"):
        MSTConfig(crossed_after=(12,))
