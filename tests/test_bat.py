"""BAT: parity with the published network, what trains, and how it begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tectum.errors import WeightsError
from tectum.frames import Modality, Prompt
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch
from tectum.systems.bat import BAT, Adapter, BATConfig
from tectum.systems.catalogue import build
from tectum.systems.objectives import boxes_at
from tectum.systems.ostrack import BASE_256_CE, OSTrack, OSTrackConfig
from tectum.training.optim import build_optimiser, freeze
from tectum.training.recipe import Optim
from tectum.weights import from_published
from tests.golden import Fixture

SMALL = OSTrackConfig(ViTConfig(template_size=64, search_size=128, width=32, depth=3, heads=2), head=16)


def small(dropout: float = 0.0) -> BAT:
    torch.manual_seed(0)
    bat = BAT(Modality.DEPTH, BATConfig(SMALL, hidden=4, dropout=dropout))
    with torch.no_grad():
        for parameter in bat.trainable()[0].parameters:
            # As after some training: at the start what the senses exchange is hardly to be seen.
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return bat


def batch(count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    senses = (Modality.RGB, Modality.DEPTH)
    return Batch(
        template={sense: torch.randn(count, 3, 64, 64, generator=generator) for sense in senses},
        search={sense: torch.randn(count, 3, 128, 128, generator=generator) for sense in senses},
        boxes=torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1),
        progress=0.5,
    )


def test_bat_equals_the_published_network() -> None:
    fixture = Fixture.named("bat_256")
    bat = from_published("bat-b256", fixture.weights()).eval()
    template, search = (
        dict(zip((Modality.RGB, Modality.THERMAL), fixture.input(name).chunk(2, dim=1), strict=True))
        for name in ("template", "search")
    )
    with torch.inference_mode():
        maps = bat(bat.embed(template, Prompt()), search)
    for name, found in (("score_map", maps.score), ("size_map", maps.size), ("offset_map", maps.offset)):
        np.testing.assert_allclose(found.numpy(), fixture.outputs[name], atol=1e-5, rtol=0, err_msg=name)
    boxes = boxes_at(maps, maps.score.flatten(1).argmax(dim=1))
    np.testing.assert_allclose(boxes.numpy(), fixture.outputs["pred_boxes"][:, 0], atol=1e-5)


def test_as_many_parameters_as_published_are_added_and_train() -> None:
    with torch.device("meta"):
        bat, foundation = build("bat-b256"), build("ostrack-b256")
    total, known = (sum(parameter.numel() for parameter in each.parameters()) for each in (bat, foundation))
    trained = sum(parameter.numel() for group in bat.trainable() for parameter in group.parameters)
    assert total - known == trained == 315_264  # 0.32 M in the paper
    assert total == 92_833_797 - 198 * 768  # as published, less the unused class token and positions


def test_a_step_changes_the_adapters_and_nothing_else() -> None:
    bat = small(dropout=0.1)
    freeze(bat)
    bat.train()
    before = {name: tensor.clone() for name, tensor in bat.state_dict().items()}
    losses = bat.objective(batch())
    assert set(losses.parts) == {"focal", "giou", "l1"}
    losses.total.backward()
    adapters = {name for name, _ in bat.named_parameters() if bat.layout.adds(name)}
    assert {name for name, each in bat.named_parameters() if each.grad is not None and each.grad.any()} == adapters
    optimiser = build_optimiser(bat, Optim(lr=1e-3))
    optimiser.step()
    changed = {name for name, tensor in bat.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == adapters
    assert {name.split(".")[0] for name in adapters} == {"attention_adapters", "perceptron_adapters"}


def foundation_tensors() -> tuple[OSTrack, dict[str, Tensor]]:
    """A tiny foundation of uncommon weights, and its tensors as a training finds them."""
    torch.manual_seed(2)
    foundation = build("ostrack-tiny")
    assert isinstance(foundation, OSTrack)
    return foundation.eval(), dict(foundation.state_dict())


@torch.inference_mode()
def test_it_begins_as_both_senses_of_its_foundation() -> None:
    foundation, tensors = foundation_tensors()
    bat = from_published("bat-tiny", tensors, "event", start=True).eval()
    assert isinstance(bat, BAT)
    own = bat.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in tensors.items())
    generator = torch.Generator().manual_seed(1)
    template, search = (
        {sense: torch.randn(2, 3, size, size, generator=generator) for sense in (Modality.RGB, Modality.EVENT)}
        for size in (64, 128)
    )
    joined = bat.embed(template, Prompt())
    tokens = torch.cat([joined["rgb"], joined["other"]])
    region = bat.backbone.embed_search(torch.cat([search[Modality.RGB], search[Modality.EVENT]]))
    alone = foundation.backbone(tokens, region).search
    prompted = bat.backbone(tokens, region, beside=bat.beside()).search
    assert not torch.equal(prompted, alone)
    assert (prompted - alone).std() < 0.05 * alone.std()
    rgb, other = prompted.chunk(2)
    score, *_ = foundation.head((rgb + other).transpose(1, 2).unflatten(2, (8, 8)))
    torch.testing.assert_close(bat(joined, search).score, score)


def test_tracking_weights_need_the_adapters() -> None:
    with pytest.raises(WeightsError, match=r"adap_t\.adapter_down\.weight"):
        from_published("bat-tiny", foundation_tensors()[1])


@torch.inference_mode()
def test_templates_of_many_targets_join_along_the_batch() -> None:
    bat, pairs = small().eval(), batch(3)
    whole = bat(bat.embed(pairs.template, Prompt()), pairs.search)
    for row in range(3):
        template = bat.embed({sense: view[row : row + 1] for sense, view in pairs.template.items()}, Prompt())
        assert all(len(tensor) == 1 for tensor in template.values())
        one = bat(template, {sense: view[row : row + 1] for sense, view in pairs.search.items()})
        torch.testing.assert_close(one.score[0], whole.score[row], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_both_directions_are_alike() -> None:
    bat, pairs = small().eval(), batch()
    turned = {Modality.RGB: Modality.DEPTH, Modality.DEPTH: Modality.RGB}
    template, search = (
        {turned[sense]: view for sense, view in views.items()} for views in (pairs.template, pairs.search)
    )
    straight = bat(bat.embed(pairs.template, Prompt()), pairs.search)
    torch.testing.assert_close(bat(bat.embed(template, Prompt()), search).score, straight.score, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_an_adapter_gives_each_sense_what_the_other_sees() -> None:
    torch.manual_seed(0)
    adapter = Adapter(width=8, hidden=4, dropout=0.5).eval()
    rgb, other = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    to_rgb, to_other = adapter(torch.cat([rgb, other])).chunk(2)
    torch.testing.assert_close(to_rgb, adapter.up(adapter.middle(adapter.down(other))))
    torch.testing.assert_close(to_other, adapter.up(adapter.middle(adapter.down(rgb))))


def test_a_foundation_that_eliminates_is_refused() -> None:
    with pytest.raises(ValueError, match="leave eliminate_at empty"):
        BATConfig(BASE_256_CE)
