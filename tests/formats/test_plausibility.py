"""Numbers that cannot be true are found, and those of real people are left alone."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.formats.camera_plausibility import (
    lens_finding,
)
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.plausibility import (
    Finding,
    bones_finding,
    clock_finding,
    clock_speed_finding,
    format_finding,
    fractions_finding,
    image_finding,
    scores_finding,
    thousandths_finding,
    truth_finding,
)
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, SKELETONS, to_h36m17

CAM04_CLIP = Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam04.npz"
REAL = [read_clip(DEMO_CLIP), read_clip(CAM04_CLIP)]
SIZE = (1088, 1920)


def impossible(found: Finding | None) -> str:
    assert found is not None
    assert found.impossible
    return found.detail


def of_format(keypoints: np.ndarray, name: str) -> Finding | None:
    people = keypoints.reshape(-1, *keypoints.shape[2:])
    return format_finding(people, SKELETONS[name], to_h36m17(people, SKELETONS[name]))


def odd(found: Finding | None) -> str:
    assert found is not None
    assert not found.impossible
    return found.detail


@pytest.mark.parametrize("clip", REAL, ids=["demo", "cam04"])
def test_real_clips_are_believed(clip) -> None:  # type: ignore[no-untyped-def]
    assert clock_finding(clip.t_ns) is None
    assert image_finding(clip.keypoints, clip.size) is None
    assert of_format(clip.keypoints, clip.skeleton.name) is None
    joints = to_h36m17(clip.keypoints[clip.present], clip.skeleton)
    assert thousandths_finding(clip.keypoints[clip.present], joints, clip.size) is None
    assert lens_finding(clip.intrinsics) is None
    assert truth_finding(clip.pose3d, clip.counted) is None


@given(
    rate_hz=st.floats(5, 900),
    unit=st.sampled_from([("microseconds", 1e6), ("milliseconds", 1e3), ("ticks of 100 ns", 1e7)]),
    start=st.integers(0, 10**15),
)
def test_a_clock_in_another_unit_is_named(
    rate_hz: float, unit: tuple[str, float], start: int
) -> None:
    name, per_s = unit
    if name != "milliseconds":  # a clock in one of these is as likely ten times as fast in another
        rate_hz = min(max(rate_hz, 20), 120)
    t = start + np.rint(np.arange(40) * per_s / rate_hz).astype(np.int64)
    if (np.diff(t) == 1).all():
        name = "frame numbers"
    detail = impossible(clock_finding(t))
    assert f"they look like {name}; expected nanoseconds" in detail


@given(rate_hz=st.floats(1, 1000))
def test_a_clock_in_nanoseconds_is_believed(rate_hz: float) -> None:
    assert clock_finding(np.rint(np.arange(40) * 1e9 / rate_hz).astype(np.int64)) is None


def test_frame_numbers_and_slow_clocks() -> None:
    assert "frame numbers" in impossible(clock_finding(np.arange(10)))
    assert "frames are 500 ns apart; they look like milliseconds" in impossible(
        clock_finding(np.arange(10) * 500)
    )
    assert "frames are 10 s apart" in odd(clock_finding(np.arange(10) * 10**10))
    assert clock_finding(np.zeros(1, np.int64)) is None


def test_a_slow_clock_may_be_a_video_whose_detector_is_slow() -> None:
    said = odd(clock_speed_finding(10**9, 8 * 10**9))
    assert said.startswith("capture times run 0.125 times as fast as the frames arrive; expected")
    assert said.endswith("a detector is slower than its video")
    assert clock_speed_finding(10**9, 2 * 10**9) is None


@pytest.mark.parametrize(("scale", "shift", "span"), [(1, 0, "0 to 1"), (2, -1, "-1 to 1")])
def test_fractions_of_the_image_are_not_pixels(scale: float, shift: float, span: str) -> None:
    keypoints = REAL[0].keypoints.copy()
    keypoints[..., :2] = keypoints[..., :2] / np.array(SIZE) * scale + shift
    keypoints[REAL[0].keypoints[..., 2] == 0] = 0
    assert f"fractions from {span} of the image" in impossible(fractions_finding(keypoints, SIZE))
    assert f"fractions from {span} of the image" in impossible(image_finding(keypoints, SIZE))


def test_the_size_of_another_video_is_named() -> None:
    detail = impossible(image_finding(REAL[0].keypoints, (240, 160)))
    assert "but the image is said to be 240 x 160; they look like those of an image of" in detail
    small = REAL[0].keypoints * np.array([0.2, 0.2, 1], np.float32)
    assert "look like those of an image of 480 x 640" in odd(image_finding(small, SIZE))


def test_a_mark_for_missing_joints_that_has_a_score_is_named() -> None:
    clip = REAL[0]
    keypoints = clip.keypoints.copy()
    keypoints[..., :2, :] = (-1, -1, 0.9)
    said = odd(image_finding(keypoints, clip.size))
    assert "outside the image, most at -1, -1; a joint that is missing has the score 0" in said
    first = keypoints[:1, :, 1:]
    assert "most at -1, -1" in odd(image_finding(first, clip.size)), "of one frame"
    keypoints[..., :2, 2] = 0
    assert image_finding(keypoints, clip.size) is None


def test_nobody_contradicts_nothing() -> None:
    nobody = np.zeros((200, 1, 25, 3))
    assert image_finding(nobody, SIZE) is None
    assert of_format(nobody, "body25") is None


@pytest.mark.parametrize("clip", REAL, ids=["demo", "cam04"])
def test_a_format_that_the_bones_contradict_is_named(clip) -> None:  # type: ignore[no-untyped-def]
    detail = impossible(of_format(clip.keypoints, "body25"))
    assert "name the format, body25b if it is" in detail
    h36m = to_h36m17(clip.keypoints, clip.skeleton)
    assert "h36m17 if it is" in impossible(of_format(h36m, "coco17"))
    assert of_format(h36m, "h36m17") is None
    coco = clip.keypoints[:, :, :17]
    assert "coco17 if it is" in impossible(of_format(coco, "h36m17"))
    assert of_format(coco, "coco17") is None
    assert of_format(clip.keypoints[:20], "body25") is None


LANDSCAPE, PORTRAIT = (1920, 1080), (1080, 1920)


def in_image(clip, size: tuple[int, int]) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Return the people of a clip as large as they can be in the middle of another image."""
    scale = min(size[0] / clip.size[0], size[1] / clip.size[1])
    shift = (np.array(size) - scale * np.array(clip.size)) / 2
    people = clip.keypoints[clip.present].astype(np.float64)
    people[..., :2] = (people[..., :2] * scale + shift) * (people[..., 2:] > 0)
    return people


@pytest.mark.parametrize("clip", REAL, ids=["demo", "cam04"])
@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
@pytest.mark.parametrize("largest", [1000, 1024])
def test_whole_thousandths_of_an_image_are_not_pixels(
    clip, size: tuple[int, int], largest: int
) -> None:  # type: ignore[no-untyped-def]
    def told(people: np.ndarray) -> Finding | None:
        people = people * (people[..., 2:] > 0)
        return thousandths_finding(people, to_h36m17(people, clip.skeleton), size)

    people = in_image(clip, size)
    squeezed = people * (largest / size[0], largest / size[1], 1)
    squeezed[..., :2] = np.round(squeezed[..., :2])
    assert "send the unit norm" in odd(told(squeezed))
    assert told(people) is None
    people[..., :2] = np.round(people[..., :2])
    assert told(people) is None, "whole pixels"
    people[..., 0] = np.maximum(people[..., 0] - 600 * (size == LANDSCAPE), 1)
    assert told(people) is None, "whole pixels on the left"


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
