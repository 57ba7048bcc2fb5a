"""ViPT: a frozen RGB tracker that a second sense prompts, at its input alone or before every block.

Source: Zhu et al., "Visual Prompt Multi-Modal Tracking", CVPR 2023. `vipt-shaw` is the paper's shallow variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.networks.elimination import restore, select
from tectum.networks.heads import CenterHead
from tectum.networks.vit import JointViT, PatchEmbedding
from tectum.systems.base import Batch, CenterMaps, Group, Layout, Losses, System, Template, Views, second_sense
from tectum.systems.options import Preset
from tectum.systems.ostrack import (
    BASE_256_CE,
    BASE_384_CE,
    ORIGINALS,
    RENAMES,
    TINY,
    UNUSED,
    OSTrackConfig,
    fit_positions,
    one_stream_objective,
    training_keep,
    with_judges,
)

PROMPT_RENAMES = (
    (r"backbone\.patch_embed_prompt\.", r"prompter.patch_embed."),
    (r"backbone\.prompt_norms\.", r"prompter.norms."),
    (r"backbone\.prompt_blocks\.(\d+)\.conv0_0\.", r"prompter.blocks.\1.squeeze_features."),
    (r"backbone\.prompt_blocks\.(\d+)\.conv0_1\.", r"prompter.blocks.\1.squeeze_prompt."),
    (r"backbone\.prompt_blocks\.(\d+)\.conv1x1\.", r"prompter.blocks.\1.expand."),
    (r"backbone\.prompt_blocks\.(\d+)\.fovea\.smooth", r"prompter.blocks.\1.sharpness"),
)

PROMPT_ORIGINALS = (
    (r"prompter\.patch_embed\.", r"backbone.patch_embed_prompt."),
    (r"prompter\.norms\.", r"backbone.prompt_norms."),
    (r"prompter\.blocks\.(\d+)\.squeeze_features\.", r"backbone.prompt_blocks.\1.conv0_0."),
    (r"prompter\.blocks\.(\d+)\.squeeze_prompt\.", r"backbone.prompt_blocks.\1.conv0_1."),
    (r"prompter\.blocks\.(\d+)\.expand\.", r"backbone.prompt_blocks.\1.conv1x1."),
    (r"prompter\.blocks\.(\d+)\.sharpness", r"backbone.prompt_blocks.\1.fovea.smooth"),
)


@dataclass(frozen=True)
class ViPTConfig:
    """What a ViPT is made of.

    Attributes:
        foundation: the RGB tracker that is prompted.
        deep: whether prompts enter before every block, or at the input alone.
        hidden: channels that a prompt is made in.
        copies_embedding: whether a training that starts from a foundation starts the second sense's patch embedding as
            a copy of RGB's, and not at random as published; a small one would take long to learn to see.
    """

    foundation: OSTrackConfig = BASE_256_CE
    deep: bool = True
    hidden: int = 8
    copies_embedding: bool = False


class PromptBlock(nn.Module):
    """Makes a prompt from features and the prompt before ("modality-complementary prompter" in the paper).

    Args:
        width: channels of a token.
        hidden: channels between.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.squeeze_features = nn.Linear(width, hidden)
        self.squeeze_prompt = nn.Linear(width, hidden)
        self.expand = nn.Linear(hidden, width)
        self.sharpness = nn.Parameter(torch.tensor([10.0]))
        for layer in (self.squeeze_features, self.squeeze_prompt, self.expand):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, features: Tensor, prompt: Tensor) -> Tensor:
        """Maps the features and the prompt of one grid, `B×N×C` each, to a prompt `B×N×C`."""
        squeezed = self.squeeze_features(features)
        # Each channel is weighted over the grid by itself, so that only where it is strong it passes.
        fovea = (squeezed * self.sharpness).softmax(dim=1) * squeezed
        made: Tensor = self.expand(fovea + self.squeeze_prompt(prompt))
        return made


class Prompter(nn.Module):
    """All that is added to the foundation, and all that trains.

    Args:
        config: of the whole.
    """

    def __init__(self, config: ViPTConfig) -> None:
        super().__init__()
        vit = config.foundation.vit
        stages = vit.depth if config.deep else 1
        self.patch_embed = PatchEmbedding(vit)
        self.blocks = nn.ModuleList(PromptBlock(vit.width, config.hidden) for _ in range(stages))
        self.norms = nn.ModuleList(nn.LayerNorm(vit.width, eps=1e-6) for _ in range(stages))

    def first(self, patches: Tensor, image: Tensor) -> Tensor:
        """The prompt `B×N×C` for RGB patches `B×N×C`, from the second sense's image `B×3×H×W`."""
        prompt: Tensor = self.blocks[0](self.norms[0](patches), self.norms[0](self.patch_embed(image)))
        return prompt

    def forward(self, index: int, features: Tensor, prompt: Tensor) -> Tensor:
        """The prompt `B×N×C` before block `index` of 1 or more, from one grid's features and the prompt before."""
        made: Tensor = self.blocks[index](self.norms[index - 1](features), self.norms[index](prompt))
        return made


class Prompting:
    """Prompts one forward pass before every block but the first, which is prompted at the input.

    Args:
        prompter: makes the prompts.
        template: the prompt of the template at the input, `B×Nz×C`.
        search: that of the search region, `B×Nx×C`.
    """

    def __init__(self, prompter: Prompter, template: Tensor, search: Tensor) -> None:
        self.prompter, self.template, self.search = prompter, template, search

    def __call__(self, index: int, tokens: Tensor, kept: Tensor | None) -> Tensor:
        """Adds prompts to tokens `B×N×C`, as a `BeforeBlock`; eliminated places are zero to it, and keep a prompt."""
        if index == 0:
            return tokens
        length = self.template.shape[1]
        template, search = tokens[:, :length], tokens[:, length:]
        if kept is not None:
            search = restore(search, kept, self.search.shape[1])
        self.template = self.prompter(index, template, self.template)
        self.search = self.prompter(index, search, self.search)
        arriving = self.search if kept is None else select(self.search, kept)
        return tokens + torch.cat([self.template, arriving], dim=1)


def add_prompter(system: System, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Makes matrices of published 1x1 kernels, and gives a foundation the second sense's patch embedding.

    Args:
        system: the ViPT that the tensors are for.
        tensors: a ViPT's, OSTrack's or DropTrack's state dict after the renames.
    """
    fitted = {
        name: tensor.flatten(1) if name.startswith("prompter.blocks.") and tensor.dim() == 4 else tensor
        for name, tensor in tensors.items()
    }
    if isinstance(system, ViPT) and not any(name.startswith("prompter.") for name in fitted):
        copies = system.config.copies_embedding
        parent = "backbone.patch_embed." if copies else "prompter.patch_embed."
        source = tensors if copies else system.state_dict()
        embedding = {name.removeprefix(parent): tensor for name, tensor in source.items() if name.startswith(parent)}
        fitted.update({f"prompter.patch_embed.{name}": tensor for name, tensor in embedding.items()})
    return fit_positions(system, fitted)


class ViPT(System):
    """The prompted tracker on RGB and a second sense.

    Args:
        second: the sense beside RGB.
        config: what it is made of.

    Raises:
        UnknownNameError: if the second sense is RGB.
    """

    layout = Layout(
        (*PROMPT_RENAMES, *RENAMES),
        UNUSED,
        prepare=add_prompter,
        originals=(*PROMPT_ORIGINALS, *ORIGINALS),
        added=(r"prompter\.(blocks|norms)\..*",),
    )

    def __init__(self, second: Modality = Modality.THERMAL, config: ViPTConfig | None = None) -> None:
        config = config or ViPTConfig()
        foundation = config.foundation
        super().__init__(senses=(Modality.RGB, second_sense(second)), crops=foundation.crops)
        self.second = second
        self.config = config
        self.backbone = JointViT(foundation.vit)
        self.prompter = Prompter(config)
        self.head = CenterHead(foundation.vit.width, foundation.head, rare=foundation.from_nothing)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`vipt-b256`, `vipt-shaw-b256`, `vipt-b384` and `vipt-tiny`, on RGB and the second sense."""
        configs = {
            "vipt-b256": ViPTConfig(),
            "vipt-shaw-b256": ViPTConfig(deep=False),
            "vipt-b384": ViPTConfig(BASE_384_CE),
            "vipt-tiny": ViPTConfig(TINY, copies_embedding=True),
        }
        return {name: Preset(cls, config) for name, config in configs.items()}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's prompted tokens, and its prompt at the input."""
        patches, made = self._prompted(template)
        tokens = patches + self.backbone.template_positions
        return {**with_judges(self.backbone, tokens, prompt), "prompt": made}

    def _prompted(self, views: Views) -> tuple[Tensor, Tensor]:
        """Prompted RGB patches without positions, and the prompt itself, `B×N×C` each."""
        patches = self.backbone.patch_embed(views[Modality.RGB])
        made = self.prompter.first(patches, views[self.second])
        return patches + made, made

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        return self._answer(template, search, self.config.foundation.vit.keep)

    def _answer(self, template: Template, search: Views, keep: float) -> CenterMaps:
        patches, made = self._prompted(search)
        tokens = patches + self.backbone.search_positions
        prompting = Prompting(self.prompter, template["prompt"], made) if self.config.deep else None
        joint = self.backbone(template["tokens"], tokens, keep, template.get("weights"), before=prompting)
        side = self.config.foundation.vit.search_side
        return CenterMaps(*self.head(joint.search.transpose(1, 2).unflatten(2, (side, side))))

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective`, with elimination warmed up by the batch's progress."""
        foundation = self.config.foundation
        keep = training_keep(foundation, batch)
        maps = self._answer(self.embed(batch.template, batch.prompt), batch.search, keep)
        return one_stream_objective(foundation, maps, batch.boxes)

    def trainable(self) -> tuple[Group, ...]:
        """The prompter; the foundation is frozen, its head's statistics too."""
        return (Group(tuple(self.prompter.parameters())),)
