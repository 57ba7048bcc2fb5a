"""Training recipes: everything that a run depends on, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from omegaconf import OmegaConf

from tectum.frames import Modality
from tectum.systems.base import Crops
from tectum.training.parts import Part

Precision = Literal["fp32", "bf16"]
Sharing = Literal["ddp", "fsdp"]


@dataclass(frozen=True)
class Initial:
    """The weights that training starts from; random ones if none are named.

    Attributes:
        weights: a file, relative to the data folder unless it is absolute, or the preset whose bundled weights to take.
        sha256: of the file, which is checked; a run without it stores what it found.
    """

    weights: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class CropSizes:
    """The windows that pairs are cut with; what is not said is as the system wants it.

    Attributes:
        template_size: side of the template crop in pixels.
        search_size: side of the search crop in pixels.
        template_factor: side of the template window over the square root of the target's area.
        search_factor: the same for the search window.
    """

    template_size: int | None = None
    search_size: int | None = None
    template_factor: float | None = None
    search_factor: float | None = None

    def over(self, wanted: Crops) -> Crops:
        """A system's own windows with what is said here in their place."""
        return Crops(
            self.template_size or wanted.template_size,
            self.search_size or wanted.search_size,
            self.template_factor or wanted.template_factor,
            self.search_factor or wanted.search_factor,
        )


@dataclass(frozen=True)
class BatchSizes:
    """How many pairs are seen at once.

    Attributes:
        size: pairs between two changes of the weights, over all processes: the effective batch size.
        micro: the most pairs in one forward pass of a process; its whole share of the batch if not said.
        group: pairs that are drawn together from one stream of random numbers; processes and forward passes share a
            batch by whole groups, so that how many there are changes no pair.
    """

    size: int = 32
    micro: int | None = None
    group: int = 8


@dataclass(frozen=True)
class Tuning:
    """Modality-sensitive tuning: the more the loss depends on a parameter, the more that keeps of its past.

    Attributes:
        kind: `none`; `update`, where the optimiser's steps gain momentum; `weight`, where each step is drawn back to
            the weights before it; or `sparse`, where the most sensitive parameters move and all others stay.
            `tectum.training.sensitivity` has the formulas.
        low: coefficient of the least sensitive parameter.
        high: that of the most sensitive one; equal to `low` for one coefficient for all.
        share: of the parameters that move where tuning is sparse, as the first batch ranks them.
    """

    kind: Literal["none", "update", "weight", "sparse"] = "none"
    low: float = 0.8
    high: float = 0.85
    share: float = 0.5


@dataclass(frozen=True)
class Optim:
    """AdamW (Loshchilov & Hutter, ICLR 2019), and what is done to gradients and weights around it.

    Attributes:
        lr: highest learning rate; a system's parameter groups have their own multiples of it.
        weight_decay: of AdamW.
        clip: largest norm of the gradient; 0 for any.
        ema: share of the averaged weights kept at each batch, less in the first ones; 0 for no averaging.
        settle: share of the run, at its end, in which batch normalisation uses fixed statistics, as in tracking.
        tuning: of the steps, by the sensitivity of each parameter.
        rates: multiples of the learning rate by parts of the system, such as `backbone: 0.1`, in place of its own: a
            part that the system freezes then trains, and one with 0 is frozen.
    """

    lr: float = 1e-3
    weight_decay: float = 1e-4
    clip: float = 0.1
    ema: float = 0.0
    settle: float = 0.0
    tuning: Tuning = field(default_factory=Tuning)
    rates: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """How long training lasts, in epochs of a fixed number of pairs, and how its learning rate goes.

    Attributes:
        epochs: how many.
        samples: pairs in each.
        kind: `constant`; `step`, which multiplies the rate by `drop` at each epoch of `drop_at`; or `cosine` down to
            `floor`.
        warmup: epochs in which the rate rises linearly.
        drop_at: epochs done when the rate drops.
        drop: factor of each drop.
        floor: share of the highest rate at the end of the cosine.
    """

    epochs: int = 1
    samples: int = 60_000
    kind: Literal["constant", "step", "cosine"] = "constant"
    warmup: float = 0.0
    drop_at: list[int] = field(default_factory=list)
    drop: float = 0.1
    floor: float = 0.0


@dataclass(frozen=True)
class Elimination:
    """When systems that eliminate candidates begin to, in epochs; what is not said is as the system has it.

    Attributes:
        start: epochs in which all are kept.
        warm: epochs over which ever fewer are kept, down to the system's share.
    """

    start: float | None = None
    warm: float | None = None


@dataclass(frozen=True)
class Validation:
    """How a run is watched.

    Attributes:
        pairs: held-out ones, which training never shows, on which the overlap of boxes is measured.
        benchmark: what is tracked with the weights so far; nothing if not said.
        root: its folder, relative to the data folder; a benchmark that is made on demand needs none.
        split: which sequences; the ones usually scored by default.
        every: epochs between two validations; the last epoch always ends with one.
        best: the score by which the best weights are known; the mean of all scores of the benchmark, or the overlap on
            held-out pairs where there is none, if not said.
    """

    pairs: int = 192
    benchmark: str | None = None
    root: str | None = None
    split: str | None = None
    every: int = 10
    best: str | None = None


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        system: preset to train.
        second: the sense beside RGB, for systems that take one.
        options: changes of what the system is made of, such as `masked: 0.5` for a CKD.
        seed: of weights and pairs.
        initial: weights to start from.
        crops: windows of the pairs.
        batch: pairs at once.
        senses: for systems that can do without some senses, shares of the batches by what they show, such as
            `rgb+thermal: 0.25`; other systems are shown all that they need.
        data: what pairs are made from, by names of one's own.
        optim: how weights move.
        schedule: for how long.
        elimination: when candidates are eliminated.
        precision: `fp32`, or `bf16` for forward passes in bfloat16 where that is safe.
        strategy: what several processes share: `ddp` batches only, `fsdp` also weights, gradients and moments, of which
            each keeps a part, for systems too large for one GPU. Both train alike, and one takes up the other's runs.
            Batch normalisation sees the pairs of each process's own forward pass; the running statistics are those of
            the first process.
        workers: processes that make pairs; 0 makes them in the training process.
        checkpoint: batches between two checkpoints.
        validation: how the run is watched.
        wandb: project of Weights & Biases to log to as well; none if not said.
        expect: scores to expect in the end, each with its tolerance, such as `world-bench/rgb/SR: [0.50, 0.03]`.
    """

    system: str = "nano"
    second: str = "thermal"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    initial: Initial = field(default_factory=Initial)
    crops: CropSizes = field(default_factory=CropSizes)
    batch: BatchSizes = field(default_factory=BatchSizes)
    senses: dict[str, float] = field(default_factory=dict)
    data: dict[str, Part] = field(default_factory=dict)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    elimination: Elimination = field(default_factory=Elimination)
    precision: Precision = "fp32"
    strategy: Sharing = "ddp"
    workers: int = 1
    checkpoint: int = 200
    validation: Validation = field(default_factory=Validation)
    wandb: str | None = None
    expect: dict[str, list[float]] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Batches in an epoch."""
        return max(1, self.schedule.samples // self.batch.size)

    @property
    def batches(self) -> int:
        """Batches in the whole run."""
        return self.epoch * self.schedule.epochs


def sense_shares(shares: Mapping[str, float]) -> dict[tuple[Modality, ...], float]:
    """What batches show and how often, RGB first; shares sum to 1.

    Args:
        shares: by senses joined by `+`, such as `rgb+thermal`; with none of them batches show RGB alone.

    Raises:
        UnknownNameError: if there is no such sense.
    """
    total = sum(shares.values())
    shown = {_senses(names): share / total for names, share in shares.items() if share > 0}
    return shown or {(Modality.RGB,): 1.0}


def _senses(names: str) -> tuple[Modality, ...]:
    wanted = {Modality.of(name.strip()) for name in names.split("+")}
    return tuple(sense for sense in Modality if sense in wanted)


def written(recipe: Recipe, without: tuple[str, ...] = ()) -> str:
    """The recipe as YAML, complete with what was left at its default.

    Args:
        recipe: to write.
        without: settings to leave out.
    """
    settings = OmegaConf.structured(recipe)
    return OmegaConf.to_yaml(OmegaConf.masked_copy(settings, [name for name in settings if name not in without]))
