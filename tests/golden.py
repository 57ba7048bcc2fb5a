"""The rule by which the golden fixtures' weights and inputs were made, and where the fixtures lie."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

GOLDEN = Path(__file__).resolve().parents[1].parent / "shared" / "golden"


@dataclass(frozen=True)
class Fixture:
    """One published system on deterministic weights and inputs."""

    folder: Path

    @classmethod
    def named(cls, name: str) -> Fixture:
        if not (GOLDEN / name).is_dir():
            pytest.skip(f"the golden outputs of {name} are not here: put the shared folder beside the repository")
        return cls(GOLDEN / name)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "manifest.json").read_text())

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "outputs.npz") as archive:
            return dict(archive)

    def input(self, name: str) -> Tensor:
        values = self._generator(name).standard_normal(self.manifest["inputs"][name])
        return torch.from_numpy(values.astype(np.float32))

    def weights(self) -> dict[str, Tensor]:
        """The state dict in the manifest's order, checked by its digest."""
        state = {name: self._weight(name, shape, kind) for name, shape, kind in self.manifest["state_dict"]}
        total = hashlib.sha256()
        for tensor in state.values():
            total.update(np.ascontiguousarray(tensor.numpy()).data)
        assert total.hexdigest() == self.manifest["state_sha256"]
        return state

    def _generator(self, name: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) + 1000003 * self.manifest["seed"]))

    def _weight(self, name: str, shape: list[int], kind: str) -> Tensor:
        if kind == "int64":
            return torch.zeros(shape, dtype=torch.int64)
        v = self._generator(name).standard_normal(shape)
        last = name.rpartition(".")[2]
        if last == "running_var":
            v = 1.0 + 0.3 * np.tanh(v)
        elif last == "running_mean":
            v = 0.1 * v
        elif v.ndim <= 1 and last == "weight":
            v = 1 + 0.1 * v
        elif v.ndim <= 1 or "pos_embed" in name or "token" in last:
            v = 0.02 * v
        else:
            v = v / np.sqrt(np.prod(shape[1:]))
        return torch.from_numpy(np.asarray(v, np.float32))
