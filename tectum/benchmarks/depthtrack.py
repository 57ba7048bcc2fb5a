"""DepthTrack: 202 RGB-depth sequences of some minutes, 50 of them for testing."""

from __future__ import annotations

from tectum.benchmarks.vot import VotBenchmark


class DepthTrack(VotBenchmark):
    """The raw download writes an absent target as a box without area, which its protocol would count as visible."""

    name = "depthtrack"
    title = "DepthTrack"
    convention = "vot-longterm"
    source = "Yan et al., DepthTrack: Unveiling the Power of RGBD Tracking, ICCV 2021"
