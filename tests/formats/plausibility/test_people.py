"""Scores, bone lengths and ground truth in another scale, unit or order."""

import math

import numpy as np
import pytest

from langpose_rt.formats.plausibility.people import bones_finding, scores_finding, truth_finding
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M
from tests.formats.plausibility.findings import REAL, impossible, odd


def test_the_truth_of_real_clips_is_believed() -> None:
    for clip in REAL:
        assert clip.pose3d is not None
        assert truth_finding(clip.pose3d, clip.counted) is None


@pytest.mark.parametrize(
    ("scale", "words"),
    [(1000, "millimetres"), (100, "centimetres"), (0, "in one place"), (np.nan, "no number"),
     (1e6, "e+05 long; expected metres")],
)  # fmt: skip
def test_truth_in_another_unit_is_named(scale: float, words: str) -> None:
    clip = REAL[0]
    assert clip.pose3d is not None
    assert words in impossible(truth_finding(clip.pose3d * scale, clip.counted))


@pytest.mark.parametrize(
    ("bones_m", "words"),
    [
        (REFERENCE_BONES_M / 0.3048, "a person 5.6 m tall"),
        (REFERENCE_BONES_M / 39.37, "a person 0.0 m tall"),
        (np.roll(REFERENCE_BONES_M, -6), "the order of bones_m is RHip RKnee"),
        (np.roll(REFERENCE_BONES_M, -10), "the order of bones_m is RHip RKnee"),
    ],
    ids=["feet", "too small", "trunk first", "arms first"],
)
def test_bone_lengths_in_another_unit_or_order_are_odd(bones_m: np.ndarray, words: str) -> None:
    assert words in odd(bones_finding(np.stack([REFERENCE_BONES_M, bones_m])))


def test_bone_lengths_of_people_of_any_size_are_plausible() -> None:
    unknown = np.full(16, np.nan)
    sizes = np.outer([0.4, 1.0, 1.3], REFERENCE_BONES_M)
    assert bones_finding(np.stack([*sizes, unknown])) is None
    assert bones_finding(unknown[None]) is None


@pytest.mark.parametrize("largest", [0.0, 1.0, 1.3, math.inf, math.nan])
def test_scores_up_to_the_peak_of_a_heat_map_are_usual(largest: float) -> None:
    """An infinite score makes its joint impossible, which is counted elsewhere."""
    assert scores_finding(largest) is None


@pytest.mark.parametrize(("largest", "percent"), [(8.7, False), (87.0, True), (254.0, True)])
def test_scores_of_another_scale_are_odd(largest: float, *, percent: bool) -> None:
    detail = odd(scores_finding(largest))
    assert detail.startswith(f"scores reach {largest:g}, expected 0 to 1")
    assert ("divide by 100" in detail) is percent
