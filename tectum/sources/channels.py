"""One sense during one pass: what its stream reads, rendered and laid over the reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tectum.errors import SourceError
from tectum.sources.alignment import Alignment, overlay
from tectum.sources.pairing import ABSENT
from tectum.sources.rendering import Render, three_channels
from tectum.sources.streams import RawImage, Reader, Reading, capital


@dataclass
class Channel:
    """Turns one stream's frames into images of the recording's geometry.

    Attributes:
        label: which stream it is, for messages.
        reader: a pass over the stream.
        render: from raw image to 8 bit.
        size: width and height of the recording in pixels.
        leads: whether this sense sets the geometry, so that its frames must keep their size.
        alignment: homography onto the leading sense, `None` to resize.
    """

    label: str
    reader: Reader
    render: Render
    size: tuple[int, int]
    leads: bool
    alignment: Alignment | None
    _last: tuple[int, Reading] | None = field(default=None, init=False, repr=False)

    def read(self, place: int) -> Reading:
        """The stream's frame number `place` as a finished image `H×W×3`, 8 bit, in RGB order.

        A slow sensor's frame is asked for several times in a row: it is decoded once.

        Raises:
            SourceError: if the leading sense changes its size.
        """
        if place == ABSENT:
            return Reading(None, self.label, capital(f"{self.label} has no frame for this moment."), ended=True)
        if self._last is None or self._last[0] != place:
            # Let the old image go first, so that only one is held.
            self._last = None
            self._last = place, self._finished(self.reader.read(place))
        return self._last[1]

    def _finished(self, reading: Reading) -> Reading:
        if reading.image is None:
            return reading
        if self.leads:
            self._check_size(reading.image, reading.origin)
        image = self.render(reading.image)
        if not self.leads:
            image = overlay(image, self.size, self.alignment)
        return replace(reading, image=three_channels(image))

    def _check_size(self, image: RawImage, origin: str) -> None:
        size = image.shape[1], image.shape[0]
        if size != self.size:
            raise SourceError(
                f"{capital(origin)} is {size[0]}x{size[1]}, but the recording began with "
                f"{self.size[0]}x{self.size[1]}: resize all frames to one size, or track the parts one by one."
            )
