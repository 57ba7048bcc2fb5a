"""What is said in print of the cost of systems, to stand beside what `tectum.weights.cost` counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tectum.weights.cost import Cost, Macs


@dataclass(frozen=True)
class PublishedCost:
    """A system's cost as it is printed.

    Attributes:
        source: where.
        parameters: numbers in linear layers, convolutions and batch norms.
        trainable: numbers that train.
        macs: of linear layers and convolutions, for template and search in one pass; half of what is printed as FLOPs.
        unpruned: whether those are counted with all candidates kept.
        note: why our counts differ, where they do by more than a hundredth.
    """

    source: str
    parameters: float | None = None
    trainable: float | None = None
    macs: float | None = None
    unpruned: bool = False
    note: str = ""

    def counterpart(self, cost: Cost) -> Macs:
        """The count of ours that stands beside `macs`."""
        return cost.unpruned if self.unpruned else cost.joint


MST = '"Learning Effective Multi-Modal Trackers via Modality-Sensitive Tuning", Table 7, FLOPs halved'
VIPT = f"{MST}; what trains: Zhu et al., CVPR 2023"
CKD = "Lu et al., ACM MM 2024, supplement, Table 2"
CROSS_MODAL = "four blocks that read both senses give the printed FLOPs; no number of them gives the printed parameters"
OSTRACK_256 = PublishedCost(MST, 92.1e6, macs=58.1e9 / 2, unpruned=True)

PUBLISHED_COSTS: Mapping[str, PublishedCost] = {
    "ostrack-b256": OSTRACK_256,
    "ostrack-b256-ce": OSTRACK_256,
    "ostrack-b384-ce": PublishedCost(MST, 92.1e6, macs=130.6e9 / 2, unpruned=True),
    "duo-b256": PublishedCost(CKD, macs=57.802e9),
    "ckd-b256": PublishedCost(CKD, macs=57.802e9),
    "ckd-b256-mce": PublishedCost(CKD, macs=42.735e9),
    "vipt-b256": PublishedCost(
        VIPT,
        92.9e6,
        0.84e6,
        59.9e9 / 2,
        unpruned=True,
        note="the public code has 58.6 GFLOPs by the field's usual counter, thop, and 131.8 at 384 pixels, where the "
        "same table agrees; what the printed 59.9 counts beyond that is not known",
    ),
    "vipt-b384": PublishedCost(VIPT, 92.9e6, 0.84e6, 131.9e9 / 2, unpruned=True),
    "sdstrack-b256": PublishedCost(MST, 102.1e6, macs=108.7e9 / 2),
    "sdstrack-b384": PublishedCost(MST, 102.1e6, macs=244.2e9 / 2),
    "bat-b256": PublishedCost("Cao et al., AAAI 2024", trainable=0.32e6),
    "tbsi-b256": PublishedCost(
        'Li et al., "LightFC-X", 2025',
        202.0e6,
        macs=82.5e9,
        note="the published code also runs the bridges' perceptrons over tokens that it then drops, 10.9 billion",
    ),
    "patrack-b256": PublishedCost(
        'Wang et al., "Learning Progressive Adaptation for Multi-Modal Tracking", 2026',
        95.51e6,
        macs=58.24e9,
        note="without the adapter of the head, and norms that do not train, parameters come to the printed 95.51",
    ),
    "mst-b256": PublishedCost(MST, 202.0e6, macs=149.0e9 / 2, note=CROSS_MODAL),
    "mst-b384": PublishedCost(MST, 202.0e6, macs=335.3e9 / 2, note=CROSS_MODAL),
}
"""By preset."""
