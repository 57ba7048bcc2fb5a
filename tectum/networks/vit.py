"""The joint template-search vision transformer that the one-stream trackers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tectum.networks.elimination import (
    Watch,
    best_candidates,
    candidate_scores,
    narrow,
    restore,
    watching_rows,
)


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of the transformer; the defaults are ViT-B/16 on 128- and 256-pixel crops.

    Attributes:
        template_size: side of the template crop in pixels, a multiple of `patch`.
        search_size: side of the search crop in pixels, a multiple of `patch`.
        patch: side of a patch in pixels.
        width: channels of a token.
        depth: blocks.
        heads: attention heads.
        expansion: hidden channels of each block's perceptron over `width`.
        drop_path: chance that the last block's branches are skipped in training; it grows linearly from 0.
        eliminate_at: blocks (from 0) after whose attention candidates are eliminated.
        keep: share of the search tokens that each elimination keeps.
        watch: which template tokens judge the candidates.
        stem: channels of convolutions that each halve the image before the last one makes tokens of it; together
            they span a patch. None for one projection, as in ViT. A small network learns far faster with them
            (Xiao et al., "Early Convolutions Help Transformers See Better", NeurIPS 2021).
        alike: whether queries and keys begin as one projection, so that attention compares like with like from the
            start (after Trockman & Kolter, "Mimetic Initialization of Self-Attention Layers", ICML 2023). For networks
            that start from nothing.
    """

    template_size: int = 128
    search_size: int = 256
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    expansion: int = 4
    drop_path: float = 0.1
    eliminate_at: tuple[int, ...] = ()
    keep: float = 0.7
    watch: Watch = Watch.CENTER
    stem: tuple[int, ...] = ()
    alike: bool = False

    @property
    def template_side(self) -> int:
        """Template tokens along each side."""
        return self.template_size // self.patch

    @property
    def search_side(self) -> int:
        """Search tokens along each side."""
        return self.search_size // self.patch


@dataclass(frozen=True)
class JointTokens:
    """What the transformer answers.

    Attributes:
        search: `B×Nx×C` in the order of the grid, row by row; eliminated tokens are zero.
        kept: indices `B×K` of the surviving search tokens after each elimination, ascending.
        template: `B×Nz×C`, where it was asked for.
    """

    search: Tensor
    kept: tuple[Tensor, ...] = ()
    template: Tensor | None = None


BeforeBlock: TypeAlias = Callable[[int, Tensor, Tensor | None], Tensor]
"""Changes tokens `B×N×C`, template first, before block number `index`; given are the number, the tokens, and which
search tokens they hold, `B×K` (`None` for all)."""


class PatchEmbedding(nn.Module):
    """Cuts an image into patches and projects each to a token, after a convolutional stem if the config has one."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        if config.stem and config.patch != 2 ** (len(config.stem) + 1):
            raise ValueError(f"A stem of {len(config.stem)} layers and a patch of {config.patch} pixels do not fit.")
        self.stem = nn.Sequential()
        inputs = 3
        for channels in config.stem:
            self.stem.append(nn.Sequential(nn.Conv2d(inputs, channels, 3, stride=2, padding=1), nn.GELU()))
            inputs = channels
        size, padding = (3, 1) if config.stem else (config.patch, 0)
        stride = 2 if config.stem else config.patch
        self.proj = nn.Conv2d(inputs, config.width, size, stride=stride, padding=padding)

    def forward(self, image: Tensor) -> Tensor:
        """Maps `B×3×H×W` to tokens `B×HW/patch²×C`, row by row."""
        tokens: Tensor = self.proj(self.stem(image))
        return tokens.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention, its projections open to callers that need queries and keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens `B×N×C`, each `B×heads×N×C/heads`."""
        batch, length, width = tokens.shape
        joined: Tensor = self.qkv(tokens)
        query, key, value = joined.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return query, key, value

    def gather(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attends, joins the heads and projects: `B×N×C`."""
        mixed = F.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return result

    def compare_alike(self) -> None:
        """Starts with one projection for queries and keys, orthonormal in each head and sharp between like tokens."""
        width = self.qkv.in_features
        size = width // self.heads
        rows = torch.empty(self.heads, size, width)
        for head in rows:
            nn.init.orthogonal_(head, gain=(SHARPNESS * size**0.5) ** 0.5)
        with torch.no_grad():
            self.qkv.weight[: 2 * width] = rows.flatten(0, 1).repeat(2, 1)


SHARPNESS = 0.7
"""The attention's logit between two tokens over the product of their projections, where queries and keys are alike."""


class Perceptron(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `B×N×C` to `B×N×C`."""
        result: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return result


class DropPath(nn.Module):
    """Skips a residual branch for whole samples in training (stochastic depth, Huang et al., ECCV 2016).

    Args:
        rate: chance of skipping, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Zeroes samples of `B×…` and scales the others so that the expectation stays."""
        if not self.training or self.rate == 0:
            return branch
        shape = (len(branch),) + (1,) * (branch.dim() - 1)
        return branch * branch.new_empty(shape).bernoulli_(1 - self.rate).div_(1 - self.rate)


@dataclass(frozen=True)
class Elimination:
    """One call for elimination.

    Attributes:
        template_length: tokens of the template.
        keep: share of the candidates to keep.
        rows: flat indices of the judging template tokens.
        weights: their weights `B×len(rows)`, equal if `None`.
    """

    template_length: int
    keep: float
    rows: tuple[int, ...]
    weights: Tensor | None = None


def eliminate(
    tokens: Tensor, query: Tensor, key: Tensor, elimination: Elimination | None
) -> tuple[Tensor, Tensor | None]:
    """Drops the search tokens that the template looks at least.

    Args:
        tokens: template tokens, then search tokens, `B×N×C`.
        query: of an attention over them, `B×heads×N×D`.
        key: of the same attention.
        elimination: how to eliminate, if at all.

    Returns:
        The tokens `B×N'×C`, and which of the incoming search tokens they hold, `B×K` (`None` for all).
    """
    if elimination is None or elimination.keep >= 1:
        return tokens, None
    length = elimination.template_length
    scores = candidate_scores(query, key, length, elimination.rows, elimination.weights)
    survivors = best_candidates(scores.detach(), elimination.keep)
    return narrow(tokens, length, survivors), survivors


@dataclass(frozen=True)
class Beside:
    """What joins the two branches of a block: maps of the normalised tokens `B×N×C` that they see to `B×N×C`.

    Attributes:
        attention: joins the attention; it is given only the tokens that are wanted back.
        perceptron: joins the perceptron.
    """

    attention: Callable[[Tensor], Tensor]
    perceptron: Callable[[Tensor], Tensor]


class Block(nn.Module):
    """A pre-norm transformer block with an optional elimination between attention and perceptron."""

    def __init__(self, width: int, heads: int, expansion: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Perceptron(width, expansion * width)
        self.drop_path = DropPath(drop_path)

    def forward(
        self,
        tokens: Tensor,
        elimination: Elimination | None = None,
        first: int = 0,
        beside: Beside | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Maps tokens `B×N×C` to `B×N'×C`.

        Args:
            tokens: template tokens, then search tokens.
            elimination: how to eliminate candidates, if at all.
            first: the first token that is wanted back; those before it are looked at, but not carried on. Only
                where nothing is eliminated.
            beside: what joins attention and perceptron, if anything.

        Returns:
            The tokens, and which of the incoming search tokens they hold, `B×K` (`None` for all).
        """
        tokens, query, key = self.attend(tokens, first, beside)
        tokens, survivors = eliminate(tokens, query, key, elimination)
        return self.perceive(tokens, beside), survivors

    def attend(self, tokens: Tensor, first: int = 0, beside: Beside | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The first half of `forward`, up to the elimination.

        Returns:
            The tokens, and the queries and keys of all that came in, `B×heads×N×C/heads`.
        """
        normed = self.norm1(tokens)
        query, key, value = self.attn.project(normed)
        tokens = tokens[:, first:] + self.drop_path(self.attn.gather(query[:, :, first:], key, value))
        if beside is not None:
            tokens = tokens + self.drop_path(beside.attention(normed[:, first:]))
        return tokens, query, key

    def perceive(self, tokens: Tensor, beside: Beside | None = None) -> Tensor:
        """The second half of `forward`, after the elimination."""
        normed = self.norm2(tokens)
        tokens = tokens + self.drop_path(self.mlp(normed))
        if beside is not None:
            tokens = tokens + self.drop_path(beside.perceptron(normed))
        return tokens


class JointViT(nn.Module):
    """A vision transformer over the tokens of template and search region together.

    Sources: ViT (Dosovitskiy et al., ICLR 2021); OSTrack (Ye et al., ECCV 2022).
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbedding(config)
        self.template_positions = nn.Parameter(torch.zeros(1, config.template_side**2, config.width))
        self.search_positions = nn.Parameter(torch.zeros(1, config.search_side**2, config.width))
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.expansion, config.drop_path * index / last)
            for index in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self._rows = watching_rows(config.watch, config.template_side)
        self._initialise()

    def _initialise(self) -> None:
        for positions in (self.template_positions, self.search_positions):
            nn.init.trunc_normal_(positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        if self.config.alike:
            for block in self.blocks:
                block.attn.compare_alike()  # type: ignore[union-attr, operator]

    def embed_template(self, image: Tensor) -> Tensor:
        """Tokens `B×Nz×C` of a template `B×3×T×T`, positions included; they stay valid for the whole track."""
        tokens: Tensor = self.patch_embed(image) + self.template_positions
        return tokens

    def embed_search(self, image: Tensor) -> Tensor:
        """Tokens `B×Nx×C` of a search region `B×3×S×S`, positions included."""
        tokens: Tensor = self.patch_embed(image) + self.search_positions
        return tokens

    def forward(
        self,
        template: Tensor,
        search: Tensor,
        keep: float | None = None,
        weights: Tensor | None = None,
        whole: bool = False,
        before: BeforeBlock | None = None,
        beside: Sequence[Beside] = (),
    ) -> JointTokens:
        """Lets template and search tokens attend to each other.

        Args:
            template: tokens `B×Nz×C` from `embed_template`.
            search: tokens `B×Nx×C` from `embed_search`.
            keep: share of candidates that each elimination keeps, the config's if `None`.
            weights: weights `B×Nz` of the judging template tokens, for `Watch.BOX`.
            whole: whether to answer the template's tokens too, which the last block can otherwise leave out.
            before: what is done to the tokens before each block, if anything.
            beside: what joins the branches of each block, if anything.
        """
        length = template.shape[1]
        elimination = Elimination(length, self.config.keep if keep is None else keep, self._rows, weights)
        tokens = torch.cat([template, search], dim=1)
        kept: list[Tensor] = []
        trims = False
        for index, block in enumerate(self.blocks):
            if before is not None:
                tokens = before(index, tokens, kept[-1] if kept else None)
            eliminates = index in self.config.eliminate_at
            trims = not (whole or eliminates) and index == self.config.depth - 1
            joins = beside[index] if beside else None
            tokens, survivors = block(tokens, elimination if eliminates else None, length if trims else 0, joins)
            if survivors is not None:
                kept.append(kept[-1].gather(1, survivors) if kept else survivors)
        tokens = self.norm(tokens)
        features = tokens if trims else tokens[:, length:]
        if kept:
            features = restore(features, kept[-1], search.shape[1])
        return JointTokens(features, tuple(kept), tokens[:, :length] if whole else None)


def resize_positions(positions: Tensor, length: int) -> Tensor:
    """Resizes learned positions from one square grid of tokens to another, bicubically.

    Args:
        positions: `1×N×C`, row by row.
        length: tokens wanted.

    Returns:
        `1×length×C`; the positions themselves if they fit, or if either grid is not square.
    """
    old, new = round(positions.shape[1] ** 0.5), round(length**0.5)
    if old == new or old**2 != positions.shape[1] or new**2 != length:
        return positions
    grid = positions.float().transpose(1, 2).reshape(1, -1, old, old)
    resized = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return resized.flatten(2).transpose(1, 2)
