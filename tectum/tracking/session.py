"""Trackers and their sessions: where each target was last, and one forward pass for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from tectum.errors import SourceError, TectumError, UnknownNameError
from tectum.frames import Estimate, Frame, Modality, Prompt
from tectum.geometry import Box, Crop, Image, clip
from tectum.systems.base import System, Template
from tectum.tracking.decoders import decode, hann_window
from tectum.tracking.views import MissingPolicy, check_images, check_present, lacking, look

FrameLike: TypeAlias = Frame | Image | Mapping[Modality, Image | None]
"""A frame, images by modality, or a bare RGB image `H×W×3`, 8 bit."""


@dataclass(eq=False)
class Session:
    """One target that is being followed.

    Attributes:
        tracker: whose system follows it.
        senses: the modalities that it sees from the first frame to the last.
        size: width and height of the frames in pixels.
        box: where the target was last, in image pixels.
        template: what the system keeps of it, every tensor with a batch axis of 1.
    """

    tracker: Tracker = field(repr=False)
    senses: frozenset[Modality]
    size: tuple[int, int]
    box: Box
    template: Template = field(repr=False)

    def update(self, frame: FrameLike) -> Estimate:
        """Finds the target in the next frame.

        Args:
            frame: the next moment, of the same size as the first.

        Raises:
            SourceError: if the frame has another size.
            MissingModalityError: if a sense is missing and the policy is `stop`.
        """
        return self.tracker.update([self], frame)[0]


class Tracker:
    """A system made ready to follow targets.

    Args:
        system: the network; it is set to evaluation and moved to the device.
        device: where it computes, such as `cpu`, `cuda` or `cuda:1`.
        missing: what to do in a frame that lacks a sense: `copy`, `zero` or `stop`.

    Raises:
        UnknownNameError: if there is no such device here, or no such policy.
    """

    def __init__(
        self,
        system: System,
        device: str | torch.device = "cpu",
        missing: str | MissingPolicy = MissingPolicy.COPY,
    ) -> None:
        self.missing = MissingPolicy.of(missing)
        self.device = usable_device(device)
        self.system = system.to(self.device).eval()
        self._windows: dict[int, Tensor] = {}
        self._templates: dict[frozenset[Modality], tuple[tuple[Session, ...], Template]] = {}

    def __repr__(self) -> str:
        senses = "+".join(sense for sense in Modality if sense in self.system.senses)
        return f"Tracker({type(self.system).__name__} on {senses}, device={str(self.device)!r})"

    @torch.inference_mode()
    def start(self, frame: FrameLike, box: Sequence[float], text: str | None = None) -> Session:
        """Begins to follow a target.

        Args:
            frame: the first moment; the modalities that it has as keys are those of the whole session.
            box: the target as `x, y, w, h` in pixels.
            text: a sentence that names the target, for systems that read.

        Raises:
            BoxError: if the box has no area, lies outside the image, or is not four numbers.
            SourceError: if the frame has no image that the system can see, or shows another sense beside RGB than the
                one that the system takes.
            MissingModalityError: if a sense is missing and the policy is `stop`.
        """
        frame = Frame.of(frame)
        senses = self.system.required | (self.system.senses & frame.images.keys())
        if self._blind(frame, senses):
            wanted = ", ".join(sorted(self.system.senses))
            reasons = " ".join(frame.reasons.values())
            raise SourceError(
                f"A track cannot start at frame {frame.index}: it has no image of a sense that the tracker takes "
                f"({wanted}); start at a frame that has one." + (f" {reasons}" if reasons else "")
            )
        self._refuse_other_sense(frame)
        check_images(frame, frame.size)
        target = Box.of(box).checked(*frame.size)
        self._heed_stop(frame, senses)
        windows = self.system.crops
        crop = Crop.around(target, windows.template_factor, windows.template_size)
        within = torch.tensor([crop.into(target)], device=self.device) / crop.size
        prompt = Prompt(text=None if text is None else (text,), box=within)
        template = self.system.embed(look([frame], [crop], senses, self.missing, self.device), prompt)
        return Session(self, senses, frame.size, target, template)

    @torch.inference_mode()
    def update(self, sessions: Sequence[Session], frames: FrameLike | Sequence[FrameLike]) -> list[Estimate]:
        """Finds the targets of many sessions, in one forward pass where they have the same senses.

        Args:
            sessions: sessions of this tracker.
            frames: one frame that they share, or one for each.

        Returns:
            One estimate per session. Where a frame has no image at all, the target keeps its last box with a
            score of 0 and counts as not visible.

        Raises:
            SourceError: if a frame has another size than the first of its session.
            MissingModalityError: if a sense is missing and the policy is `stop`; no session has moved then.
        """
        moments = _one_each(frames, len(sessions))
        for session, frame in zip(sessions, moments, strict=True):
            self.check(session, frame)
        estimates: dict[int, Estimate] = {}
        groups: dict[frozenset[Modality], list[int]] = {}
        for row, (session, frame) in enumerate(zip(sessions, moments, strict=True)):
            if self._blind(frame, session.senses):
                estimates[row] = Estimate(session.box, 0.0, visible=False, missing=session.senses)
            else:
                groups.setdefault(session.senses, []).append(row)
        for senses, rows in groups.items():
            found = self._find(senses, [sessions[row] for row in rows], [moments[row] for row in rows])
            estimates.update(zip(rows, found, strict=True))
        return [estimates[row] for row in range(len(sessions))]

    def check(self, session: Session, frame: Frame) -> None:
        """Makes sure that a session can go on with a frame; `update` does it by itself.

        Args:
            session: a session of this tracker.
            frame: its next moment.

        Raises:
            SourceError: if the frame has another size than the first of the session.
            MissingModalityError: if a sense is missing and the policy is `stop`.
            TectumError: if another tracker started the session.
        """
        if session.tracker is not self:
            raise TectumError("A session was given to a tracker that did not start it: use session.update.")
        self._heed_stop(frame, session.senses)
        check_images(frame, session.size)

    def _refuse_other_sense(self, frame: Frame) -> None:
        """Refuses a recording of a second sense that is none of the system's in place of one that is.

        A recording of RGB alone is another matter: its missing sense is left to the policy.
        """
        shown = frame.images.keys()
        wanted = [sense for sense in Modality if sense in self.system.senses - shown - {Modality.RGB}]
        others = [sense for sense in Modality if sense in shown - self.system.senses - {Modality.RGB}]
        if wanted and others:
            raise SourceError(
                f"The recording shows {' and '.join(others)}, but the tracker was loaded for {' and '.join(wanted)}: "
                f"load it with second='{others[0]}' (--second {others[0]}), or give it {wanted[0]} images."
            )

    def _heed_stop(self, frame: Frame, senses: Iterable[Modality]) -> None:
        if self.missing is MissingPolicy.STOP:
            check_present(frame, senses)

    def _blind(self, frame: Frame, senses: frozenset[Modality]) -> bool:
        """Whether the frame has nothing to look at, not even for a stand-in."""
        if self.missing is MissingPolicy.COPY:
            return not senses or frame.missing == frame.images.keys()
        return lacking(frame, senses) == senses

    def _find(self, senses: frozenset[Modality], sessions: list[Session], frames: list[Frame]) -> list[Estimate]:
        """One forward pass over sessions that share their senses."""
        windows, decoding = self.system.crops, self.system.decoding
        crops = [Crop.around(session.box, windows.search_factor, windows.search_size) for session in sessions]
        views = look(frames, crops, senses, self.missing, self.device)
        maps = self.system(self._joined(senses, tuple(sessions)), views)
        sizes = [
            (session.box.w / crop.side, session.box.h / crop.side)
            for session, crop in zip(sessions, crops, strict=True)
        ]
        previous = torch.tensor(sizes, device=self.device)
        boxes, scores = decode(maps, self._window(maps.score.shape[-1]), decoding, previous)
        answers = torch.cat([boxes, scores[:, None]], dim=1).tolist()
        estimates = []
        for session, crop, frame, (*box, score) in zip(sessions, crops, frames, answers, strict=True):
            session.box = clip(crop.out_of(Box(*(value * crop.size for value in box))), *session.size)
            visible = score >= decoding.threshold
            estimates.append(Estimate(session.box, score, visible, lacking(frame, senses)))
        return estimates

    def _joined(self, senses: frozenset[Modality], sessions: tuple[Session, ...]) -> Template:
        """The templates of all sessions as one batch, kept while the sessions are the same."""
        known, template = self._templates.get(senses, ((), {}))
        if known != sessions:
            rows = [session.template for session in sessions]
            template = rows[0] if len(rows) == 1 else {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
            self._templates[senses] = (sessions, template)
        return template

    def _window(self, side: int) -> Tensor:
        if side not in self._windows:
            self._windows[side] = hann_window(side, self.device)
        return self._windows[side]


def _one_each(frames: FrameLike | Sequence[FrameLike], count: int) -> list[Frame]:
    """One frame per session; a single frame is shared by all."""
    if not isinstance(frames, (list, tuple)):
        return [Frame.of(frames)] * count  # type: ignore[arg-type]
    if len(frames) != count:
        raise TectumError(f"Give one shared frame or {count} frames, one per session, but {len(frames)} were given.")
    return [Frame.of(frame) for frame in frames]


def usable_device(name: str | torch.device) -> torch.device:
    """The device of that name, if there is one here.

    Raises:
        UnknownNameError: if the name is no device or the device is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UnknownNameError(f"There is no device '{name}' here: use cpu, or cuda with a driver and GPU.") from None
    return device
