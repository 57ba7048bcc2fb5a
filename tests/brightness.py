"""A tracker without weights for tests: it goes to the brightest place of its crops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
import torch.nn.functional as F

from tectum.frames import Frame, Modality, Prompt
from tectum.systems.base import Batch, CenterMaps, Crops, Decoding, Losses, System, Template, Views
from tectum.systems.options import Preset

SIDE = 16


class Brightness(System):
    """Scores cells by the mean brightness around them over the senses; boxes keep the template's size."""

    def __init__(
        self,
        senses: Iterable[Modality] = (Modality.RGB, Modality.THERMAL),
        required: Iterable[Modality] = (),
        decoding: Decoding | None = None,
    ) -> None:
        super().__init__(senses, Crops(32, 64), decoding or Decoding(threshold=0.2), required)
        self.passes: list[int] = []
        self.fails_at: tuple[int, BaseException] | None = None

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        return {"brightness": Preset(lambda second, config: cls(), None)}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        assert prompt.box is not None
        light = torch.stack([view.mean(dim=(1, 2, 3)) for view in template.values()]).mean(dim=0)
        return {"size": prompt.box[:, 2:], "light": light}

    def forward(self, template: Template, search: Views) -> CenterMaps:
        self.passes.append(len(template["size"]))
        if self.fails_at is not None and len(self.passes) == self.fails_at[0]:
            raise self.fails_at[1]
        light = torch.stack([view.mean(dim=1, keepdim=True) for view in search.values()]).mean(dim=0)
        cells = F.adaptive_avg_pool2d(light - template["light"].view(-1, 1, 1, 1), SIDE)
        score = torch.sigmoid(F.avg_pool2d(cells, 5, stride=1, padding=2))
        ratio = self.crops.template_factor / self.crops.search_factor
        size = (template["size"] * ratio)[:, :, None, None].expand(-1, 2, SIDE, SIDE)
        return CenterMaps(score, size, torch.full_like(size, 0.5))

    def objective(self, batch: Batch) -> Losses:
        return Losses({"none": batch.boxes.sum() * 0})


def lit_frame(x: int, y: int, index: int = 0, senses: Iterable[Modality] = (Modality.RGB,)) -> Frame:
    """A dark, faintly textured 160×120 frame with a bright 16×16 square at `x, y` in every sense."""
    images = {}
    for sense in senses:
        image = np.random.default_rng(index).integers(0, 30, (120, 160, 3), np.uint8)
        image[y : y + 16, x : x + 16] = 230
        images[sense] = image
    return Frame(images, index)
