"""Broken images: named once, replaced by another draw, and too many of them stop the run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from tectum.errors import SourceError, TectumError

LIMIT = 0.01
"""Share of images that may be broken."""

JUDGED = 100
"""Images after which the share is judged."""

NAMED = 20
"""Broken images that the error names."""

_log = logging.getLogger(__name__)


@dataclass
class Breakage:
    """What one process has met with.

    Each process counts for itself: all draw from the same images, so that each sees the same share, and the first one
    to see too many stops the run. A few broken images early on are no proof: the share must lie above the limit by
    three standard deviations of chance.

    Attributes:
        name: of the material, for messages.
        read: images that were asked for.
        broken: how many of them were broken.
        reasons: what was wrong, one sentence for each.
    """

    name: str
    read: int = 0
    broken: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def add(self, error: TectumError) -> None:
        """Notes a broken image.

        Raises:
            SourceError: if there are too many, naming some.
        """
        self.broken += 1
        reason = str(error)
        if reason not in self.reasons:
            self.reasons[reason] = None
            _log.warning("%s Another pair of %s is drawn instead.", reason, self.name)
        expected = LIMIT * self.read
        if self.read >= JUDGED and self.broken > expected + 3 * expected**0.5:
            raise SourceError(self._told())

    def _told(self) -> str:
        named = list(self.reasons)[:NAMED]
        more = len(self.reasons) - len(named)
        listed = "\n".join(f"- {reason}" for reason in named) + (f"\nand {more} more." if more else "")
        return (
            f"More than {LIMIT:.0%} of the images of {self.name} are broken, {self.broken} of {self.read} that were "
            f"read: mend or remove these.\n{listed}"
        )
