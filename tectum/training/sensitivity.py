"""Modality-sensitive tuning: the more the loss depends on a parameter, the more that keeps of its past.

Source: "Learning Effective Multi-Modal Trackers via Modality-Sensitive Tuning" (MST), section 3.3. A parameter's
sensitivity is its squared gradient. All parameters are ranked by it, and the ranks become coefficients in [low, high],
of which the most sensitive parameter has the highest. With one coefficient for all this is plain momentum, and with 0
the optimiser itself. The paper scales sensitivities by a factor before they are ranked, which changes no rank.

Its equations 4 and 5 leave two readings, which are one but for the place towards which a step is drawn back:

- `update`: where the last movement, gone through once more, would lead. The movement is then a running average of the
  optimiser's own, `v ← m v + (1 - m) u`, `θ ← θ - lr v`.
- `weight`: where the parameter was, `θ ← m θ + (1 - m) θ'`. That is `1 - m` of the optimiser's step.

The latter is the default: in `tectum ablate mst-readings`, short tunings of `mst-tiny`, it came out above `update` and
above plain tuning at both learning rates, in overlap on unseen pairs as in tracking. `update` is nearer to the words of
the paper's Algorithm 1, but comes on top of AdamW's own momentum. A third reading, in which a running average of the
weights is what is evaluated, is the recipe's `optim.ema`, with one coefficient for all.

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

from tectum.errors import RecipeError
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
"""The name of the direction of a parameter's last movement in an optimiser's state."""

FIXED = "fixed"
"""The name of which numbers of a parameter stay, 1 for these and 0 for others, in an optimiser's state."""


def tune(optimiser: torch.optim.Optimizer, low: float = 0.8, high: float = 0.85, kind: Kind = "weight") -> None:
    """Makes every step of an optimiser sensitive, for as long as the optimiser lives.

    What must outlive it is kept in its own state, one copy of the parameters for `update` and nothing for `weight`:
    whatever stores and loads, shares or scales that, does so here. While a step is done, one more copy is held.

    Args:
        optimiser: of first order, with dense gradients, which are those of the whole batch, and a rate in each group.
        low: coefficient of the least sensitive parameter, in [0, 1).
        high: that of the most sensitive one, not below `low`.
        kind: towards what a step is drawn back.

    Raises:
        RecipeError: if the optimiser is of second order, weights are in half precision, or the range makes no sense.
    """
    if kind not in TUNERS or not 0 <= low <= high < 1:
        raise RecipeError(
            f"Steps cannot be tuned by {kind} from {low} to {high}: choose {' or '.join(TUNERS)}, and a range that "
            "rises within 0 and 1."
        )
    TUNERS[kind](low, high).join(optimiser)


def tune_sparsely(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Lets only the most sensitive parameters move, for as long as the optimiser lives.

    The gradients of its first step choose them, by lot among those that are alike. A tensor that has none then, or only
    zeros, stays until the first step at which it has some, and is ranked among such alone: so does what stands behind
    weights that begin at zero. The choice is kept in the optimiser's own state, one number for each parameter. What
    does not move stays as it is to the bit: its weight does not decay either.

    Args:
        optimiser: of first order, with dense gradients, which are those of the whole batch.
        share: of the parameters that move, in [0, 1].

    Raises:
        RecipeError: if the optimiser is of second order, or weights are in half precision.
    """
    _SparseTuner(share).join(optimiser)


class _Keeper(ABC):
    """What stands around each step: the parameters before it are there after it."""

    def __init__(self) -> None:
        self.past: dict[Tensor, Tensor] = {}

    def join(self, optimiser: torch.optim.Optimizer) -> None:
        """Stands around all steps of an optimiser from now on."""
        if isinstance(optimiser, torch.optim.LBFGS):
            raise RecipeError("LBFGS builds on the steps that it took and cannot be tuned: use AdamW or SGD.")
        weights = [weight for group in optimiser.param_groups for weight in group["params"]]
        if any(weight.dtype in (torch.float16, torch.bfloat16) for weight in weights):
            raise RecipeError(
                "Small steps vanish in half precision: keep weights in float32 and compute in bfloat16 by autocast, as "
                "precision: bf16 does."
            )
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
        # A fused optimiser leaves a step out by itself where a scaler of gradients has found infinities.
        left_out = bool(getattr(optimiser, "found_inf", None))
        if not left_out and any(weights for _, weights in groups):
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
        self._choose(optimiser, _not_zero([weight for weight in moved if FIXED not in optimiser.state[weight]]))
        for weight in moved:
            stepped, past, fixed = local(weight), self.past[weight], optimiser.state[weight].get(FIXED)
            stepped.copy_(past if fixed is None else torch.where(local(fixed) > 0, past, stepped))

    def _choose(self, optimiser: torch.optim.Optimizer, weights: list[Tensor]) -> None:
        """Decides once and for all what of these weights moves."""
        if not weights:
            return
        table = moving(_counted(weights), self.share)
        lot = torch.Generator(table.device).manual_seed(0)
        for some in _together(weights):
            for weight, chances in zip(some, _looked_up(table, [_gradient(weight) for weight in some]), strict=True):
                drawn = torch.rand(chances.shape, generator=lot, device=chances.device)
                local(_kept(optimiser, weight, FIXED)).copy_(drawn >= chances)


class _Tuner(_Keeper):
    """What `tune` does around each step."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def _draw_all_back(self, optimiser: torch.optim.Optimizer, groups: Groups) -> None:
        if not self.high:
            return
        table = coefficients(_counted([weight for _, weights in groups for weight in weights]), self.low, self.high)
        for group, weights in groups:
            for some in _together(weights):
                shares = _looked_up(table, [_gradient(weight) for weight in some])
                self._draw_back(optimiser, float(group["lr"]), some, shares)

    @abstractmethod
    def _draw_back(
        self, optimiser: torch.optim.Optimizer, rate: float, weights: list[Tensor], shares: list[Tensor]
    ) -> None:
        """Changes weights of one learning rate, by the coefficients of their parameters."""


class _WeightTuner(_Tuner):
    """Draws a step back towards where the parameters were."""

    def _draw_back(
        self, optimiser: torch.optim.Optimizer, rate: float, weights: list[Tensor], shares: list[Tensor]
    ) -> None:
        torch._foreach_lerp_([local(weight) for weight in weights], [self.past[weight] for weight in weights], shares)


class _UpdateTuner(_Tuner):
    """Draws a step back towards where the last movement, gone through once more, would lead."""

    def _draw_back(
        self, optimiser: torch.optim.Optimizer, rate: float, weights: list[Tensor], shares: list[Tensor]
    ) -> None:
        if not rate:
            return
        stepped, past = [local(weight) for weight in weights], [self.past[weight] for weight in weights]
        # A movement is the rate times a direction, and it is the direction that is averaged.
        torch._foreach_sub_(stepped, past)
        torch._foreach_div_(stepped, rate)
        carried = [local(_kept(optimiser, weight, CARRIED)) for weight in weights]
        torch._foreach_lerp_(stepped, carried, shares)
        torch._foreach_copy_(carried, stepped)
        torch._foreach_mul_(stepped, rate)
        torch._foreach_add_(stepped, past)


TUNERS: dict[str, type[_Tuner]] = {"update": _UpdateTuner, "weight": _WeightTuner}
"""By the name of the reading."""


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


def moving(counts: Tensor, share: float) -> Tensor:
    """The part of those of each magnitude that is among the most sensitive.

    Args:
        counts: how many have each magnitude, `L`, from the least.
        share: of all, in [0, 1].
    """
    total = counts.sum()
    above = total - counts.cumsum(0)
    return (((share * total).round() - above) / counts.clamp(min=1)).clamp(0, 1)


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
    some = (
        list(_sampled(gradients, RUN * -(-total // sample) + 1)) if total > sample else [*map(torch.flatten, gradients)]
    )
    return torch.histc(magnitudes(torch.cat(some)).float(), LEVELS, 0, LEVELS)


def _sampled(gradients: Iterable[Tensor], period: int) -> Iterator[Tensor]:
    """A run at the start of every period, as if all gradients stood in one row.

    An odd period goes through the columns of matrices, the widths of which are even.
    """
    ahead = 0
    for gradient in gradients:
        row = gradient.flatten()
        if len(row) >= ahead + RUN:
            yield row[ahead:].unfold(0, RUN, period).flatten()
        elif len(row) > ahead:
            yield row[ahead:]
        ahead = (ahead - len(row)) % period


def _counted(weights: Sequence[Tensor]) -> Tensor:
    """`counted` gradients of weights of which each process may keep a part."""
    return _added_up(counted([_gradient(weight) for weight in weights]), weights)


def _not_zero(weights: Sequence[Tensor]) -> list[Tensor]:
    """Those whose gradient is anything but zeros, in any process."""
    if not weights:
        return []
    flags = _added_up(torch.stack([_gradient(weight).any() for weight in weights]).float(), weights)
    return [weight for weight, flag in zip(weights, flags.tolist(), strict=True) if flag]


def _added_up(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The sum over processes of which each keeps a part of the weights, if they do."""
    shared = next((weight for weight in weights if isinstance(weight, DTensor)), None)
    if shared is not None:
        distributed.all_reduce(values, group=shared.device_mesh.get_group())
    return values


def _gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    if weight.grad.layout != torch.strided:
        raise RecipeError("Sparse gradients cannot be ranked: build the embedding with sparse=False.")
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
