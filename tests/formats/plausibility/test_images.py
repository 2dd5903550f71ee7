"""Keypoints that are fractions, or of another image; those of real people are left alone."""

import numpy as np
import pytest

from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.formats.plausibility.images import (
    fractions_finding,
    image_finding,
    thousandths_finding,
)
from langpose_rt.geometry.skeleton import to_h36m17
from tests.formats.plausibility.findings import REAL, SIZE, impossible, odd


@pytest.mark.parametrize("clip", REAL, ids=["demo", "cam04"])
def test_real_clips_are_believed(clip) -> None:  # type: ignore[no-untyped-def]
    assert image_finding(clip.keypoints, clip.size) is None
    joints = to_h36m17(clip.keypoints[clip.present], clip.skeleton)
    assert thousandths_finding(clip.keypoints[clip.present], joints, clip.size) is None
    assert image_finding(np.zeros((200, 1, 25, 3)), SIZE) is None, "nobody"


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
