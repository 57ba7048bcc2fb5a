"""Starts transformers from a pre-trained image network, such as a masked autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from tectum.errors import WeightsError
from tectum.networks.vit import JointViT, resize_positions
from tectum.systems.base import System

POSITIONS = "pos_embed"
"""The name of a ViT's positions; the first one is the class token's."""


def is_foundation(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is a plain ViT's, with names as in MAE (He et al., CVPR 2022) and DeiT."""
    return POSITIONS in tensors and "blocks.0.attn.qkv.weight" in tensors


def start_from(system: System, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copies blocks, patch embedding, final norm and positions into every joint transformer of a system.

    Its head, and whatever else the image network lacks, stays as it is. Positions are resized to the grids of the
    template and the search region, as OSTrack does.

    Args:
        system: what is to start.
        tensors: a plain ViT's state dict.
        path: where it is from, for messages.

    Raises:
        WeightsError: if the system has no transformer, or one of other sizes.
    """
    transformers = [module for module in system.modules() if isinstance(module, JointViT)]
    if not transformers:
        raise WeightsError(f"{path} holds a vision transformer, which this system has none of: name other weights.")
    for transformer in transformers:
        _start(transformer, tensors, path)


def _start(transformer: JointViT, tensors: Mapping[str, Tensor], path: Path) -> None:
    own = transformer.state_dict()
    grid = tensors[POSITIONS][:, 1:]
    known = {name: tensors[name] for name in own if name in tensors}
    for name in ("template_positions", "search_positions"):
        known[name] = resize_positions(grid, own[name].shape[1])
    missing = [name for name in own if name not in known or known[name].shape != own[name].shape]
    if missing:
        raise WeightsError(
            f"{path} does not fit: {len(missing)} of the transformer's {len(own)} tensors are missing or of another "
            f"shape, such as {missing[0]}; give a network of the same width, depth and patch size."
        )
    transformer.load_state_dict(known)
