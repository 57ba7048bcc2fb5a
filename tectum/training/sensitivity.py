"""Modality-sensitive tuning: the more the loss depends on a parameter, the more that keeps of its past.

Source: "Learning Effective Multi-Modal Trackers via Modality-Sensitive Tuning" (MST), section 3.3. A parameter's
sensitivity is its squared gradient. All parameters are ranked by it, and the ranks become coefficients in [low, high],
of which the most sensitive parameter has the highest. With one coefficient for all this is plain momentum, and with 0
the optimiser itself. The paper scales sensitivities by a factor before they are ranked, which changes no rank.

Its equations 4 and 5 leave two readings, which are one but for the place towards which a step is drawn back:

- `update`: where the last movement, gone through once more, would lead. The movement is then a running average of the
  optimiser's own, `v ← m v + (1 - m) u`, `θ ← θ - lr v`.
- `weight`: where the parameter was, `θ ← m θ + (1 - m) θ'`. That is `1 - m` of the optimiser's step.

The latter is the default: in short tunings of `mst-tiny` it kept the overlap on unseen pairs at every learning rate
tried, while `update`, which comes on top of AdamW's own momentum, lost some at all but the lowest.

Beside it stands what it is compared with, sparse tuning: the most sensitive parameters move, all others stay for good.
Source: He et al., "Sensitivity-Aware Visual Parameter-Efficient Fine-Tuning" (SPT), ICCV 2023. SPT sums squared
gradients over a few batches before training, tunes low-rank factors in place of matrices that are sensitive as a whole,
trains the head in any case and the patch embedding never. Here the gradient of the first batch chooses, from all that
trains, single parameters alone.

Ranks are approximate where there are many parameters, for a sort would take longer than the step: the gradients of a
sample are counted by the upper half of their bits, which tells magnitudes apart to one part in 128.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor

from tectum.training.parallel import local

Kind: TypeAlias = Literal["update", "weight"]

Groups: TypeAlias = list[tuple[dict[str, Any], list[Tensor]]]
"""Groups of an optimiser, each with those of its weights that a step has moved."""

LEVELS = 2**15
"""Magnitudes that are told apart."""

SAMPLE = 2**22
"""How many gradients are counted at most, about."""

RUN = 64
"""Gradients of the sample that lie side by side, so that memory is read in whole lines."""

GROUP = 2**21
"""Parameters that are drawn back at a time: few enough to stay in fast memory from one operation to the next."""

CARRIED = "carried"
"""The name of a parameter's last movement in an optimiser's state."""

CARRIED_AT = "carried_at"
"""The name of the learning rate of that movement in a group of the optimiser."""

FIXED = "fixed"
"""The name of which numbers of a parameter stay, 1 for these and 0 for others, in an optimiser's state."""

HIGHEST = 1 - 1e-6
"""The rank of the most sensitive parameter where that of the least is 0: below 1, so that a share of 0 moves none."""


def tune(optimiser: torch.optim.Optimizer, low: float = 0.8, high: float = 0.85, kind: Kind = "weight") -> None:
    """Makes every step of an optimiser sensitive, for as long as the optimiser lives.

    What must outlive it is kept in its own state, one copy of the parameters for `update` and nothing for `weight`:
    whatever stores and loads, shares or scales that, does so here. While a step is done, one more copy is held.

    Args:
        optimiser: any; its gradients are those of the whole batch.
        low: coefficient of the least sensitive parameter, in [0, 1).
        high: that of the most sensitive one.
        kind: towards what a step is drawn back.
    """
    _Tuner(low, high, kind).join(optimiser)


def tune_sparsely(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Lets only the most sensitive parameters move, for as long as the optimiser lives.

    The gradients of its first step choose them; a parameter that has none then is ranked at the first step at which it
    has. The choice is kept in the optimiser's own state, one number for each parameter. What does not move stays as it
    is to the bit: its weight does not decay either.

    Args:
        optimiser: any; its gradients are those of the whole batch.
        share: of the parameters that move, in [0, 1]. Those whose gradients are alike move or stay together, which may
            miss it a little.
    """
    _SparseTuner(share).join(optimiser)


class _Keeper(ABC):
    """What stands around each step: the parameters before it are there after it."""

    def __init__(self) -> None:
        self.past: dict[Tensor, Tensor] = {}

    def join(self, optimiser: torch.optim.Optimizer) -> None:
        """Stands around all steps of an optimiser from now on."""
        optimiser.register_step_pre_hook(self.before)
        optimiser.register_step_post_hook(self.after)

    @torch.no_grad()
    def before(self, optimiser: torch.optim.Optimizer, *_: Any) -> None:
        """Keeps the parameters as they are."""
        weights = [weight for group in optimiser.param_groups for weight in group["params"] if weight.requires_grad]
        self.past = {weight: local(weight).clone() for weight in weights}

    @torch.no_grad()
    def after(self, optimiser: torch.optim.Optimizer, *_: Any) -> None:
        """Draws them back."""
        groups = [
            (group, [weight for weight in group["params"] if weight.grad is not None and weight in self.past])
            for group in optimiser.param_groups
        ]
        if any(weights for _, weights in groups):
            self._draw_all_back(optimiser, groups)
        self.past = {}

    @abstractmethod
    def _draw_all_back(self, optimiser: torch.optim.Optimizer, groups: Groups) -> None:
        """Changes what a step has moved, of which there is some."""


class _SparseTuner(_Keeper):
    """What `tune_sparsely` does around each step."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def _draw_all_back(self, optimiser: torch.optim.Optimizer, groups: Groups) -> None:
        moved = [weight for _, weights in groups for weight in weights]
        self._choose(optimiser, [weight for weight in moved if FIXED not in optimiser.state[weight]])
        for some in _together(moved):
            stepped, past = [local(weight) for weight in some], [self.past[weight] for weight in some]
            torch._foreach_lerp_(stepped, past, [local(optimiser.state[weight][FIXED]) for weight in some])

    def _choose(self, optimiser: torch.optim.Optimizer, weights: list[Tensor]) -> None:
        """Decides once and for all what of these weights moves."""
        if not weights:
            return
        table = (coefficients(_counted(weights), 0.0, HIGHEST) < 1 - self.share).float()
        for some in _together(weights):
            for weight, fixed in zip(some, _looked_up(table, [_gradient(weight) for weight in some]), strict=True):
                local(_kept(optimiser, weight, FIXED)).copy_(fixed)


class _Tuner(_Keeper):
    """What `tune` does around each step."""

    def __init__(self, low: float, high: float, kind: Kind) -> None:
        super().__init__()
        self.low, self.high, self.kind = low, high, kind

    def _draw_all_back(self, optimiser: torch.optim.Optimizer, groups: Groups) -> None:
        moved = [weight for _, weights in groups for weight in weights]
        table = coefficients(_counted(moved), self.low, self.high)
        for group, weights in groups:
            self._draw_back(optimiser, group, weights, table)

    def _draw_back(
        self, optimiser: torch.optim.Optimizer, group: dict[str, Any], weights: list[Tensor], table: Tensor
    ) -> None:
        """The weights of one group of the optimiser."""
        rate = float(group["lr"])
        # A movement is the rate times a direction, and it is the direction that is averaged.
        growth = rate / (group.get(CARRIED_AT) or rate or 1.0)
        for some in _together(weights):
            stepped, past = [local(weight) for weight in some], [self.past[weight] for weight in some]
            shares = _looked_up(table, [_gradient(weight) for weight in some])
            if self.kind == "weight":
                torch._foreach_lerp_(stepped, past, shares)
                continue
            carried = [local(_kept(optimiser, weight, CARRIED)) for weight in some]
            if growth != 1:
                torch._foreach_mul_(carried, growth)
            torch._foreach_add_(carried, past)
            torch._foreach_lerp_(stepped, carried, shares)
            torch._foreach_copy_(carried, stepped)
            torch._foreach_sub_(carried, past)
        if self.kind == "update":
            group[CARRIED_AT] = rate


def coefficients(counts: Tensor, low: float, high: float) -> Tensor:
    """The coefficient of each magnitude, linear in the mean rank of those that have it.

    Args:
        counts: how many have each magnitude, `L`, from the least.
        low: coefficient of the least rank.
        high: that of the highest.
    """
    total = counts.sum()
    rank = counts.cumsum(0) - (counts + 1) / 2
    return low + (high - low) * (rank / (total - 1).clamp(min=1)).clamp(0, 1)


def magnitudes(gradients: Tensor) -> Tensor:
    """Indices below `LEVELS` that grow with the magnitude of gradients; these are overwritten if they are floats."""
    bits = gradients.float().view(torch.int32)
    return bits.bitwise_and_(0x7FFFFFFF).bitwise_right_shift_(16)


def counted(gradients: Sequence[Tensor], sample: int = SAMPLE) -> Tensor:
    """How many gradients have each magnitude.

    Args:
        gradients: of any shapes.
        sample: from how many on not all are counted, but about as many as this.

    Returns:
        `LEVELS` counts; gradients that are no numbers count as large.
    """
    total = sum(gradient.numel() for gradient in gradients)
    some = list(_sampled(gradients, RUN * -(-total // sample))) if total > sample else [*map(torch.flatten, gradients)]
    return torch.histc(magnitudes(torch.cat(some)).float(), LEVELS, 0, LEVELS)


def _sampled(gradients: Iterable[Tensor], period: int) -> Iterator[Tensor]:
    """A run at the start of every period, as if all gradients stood in one row."""
    ahead = 0
    for gradient in gradients:
        row = gradient.flatten()
        if len(row) >= ahead + RUN:
            yield row[ahead:].unfold(0, RUN, period).flatten()
        ahead = (ahead - len(row)) % period


def _counted(weights: Sequence[Tensor]) -> Tensor:
    """`counted` gradients of weights of which each process may keep a part."""
    counts = counted([_gradient(weight) for weight in weights])
    shared = next((weight for weight in weights if isinstance(weight, DTensor)), None)
    if shared is not None:
        distributed.all_reduce(counts, group=shared.device_mesh.get_group())
    return counts


def _gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return local(weight.grad)


def _kept(optimiser: torch.optim.Optimizer, weight: Tensor, name: str) -> Tensor:
    """What an optimiser's state keeps of a weight by a name; it begins at zero."""
    state = optimiser.state[weight]
    if name not in state:
        state[name] = torch.zeros_like(weight)
    kept: Tensor = state[name]
    return kept


def _looked_up(table: Tensor, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The coefficients of gradients, in their shapes."""
    row = torch.cat([gradient.flatten() for gradient in gradients])
    sizes = [gradient.numel() for gradient in gradients]
    parts = torch.split(table.index_select(0, magnitudes(row)), sizes)
    return [part.view(gradient.shape).to(gradient.dtype) for part, gradient in zip(parts, gradients, strict=True)]


def _together(weights: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours that have about `GROUP` numbers together."""
    some: list[Tensor] = []
    for weight in weights:
        some.append(weight)
        if sum(local(each).numel() for each in some) >= GROUP:
            yield some
            some = []
    if some:
        yield some
