"""What a camera has seen too little of, in words."""

from dataclasses import replace

import numpy as np

from langpose_rt.formats.clip import Clip
from langpose_rt.fusion.calibration.coverage import LEAST_FRAMES, gaps_in_view
from tests.fusion.walks import clips_of_walk


def moved(clip: Clip, shares: list[float]) -> Clip:
    """The person at these shares of the image's width, evenly over the frames."""
    keypoints = clip.keypoints.copy()
    places = np.repeat(shares, -(-len(keypoints) // len(shares)))[: len(keypoints)]
    keypoints[..., 0] += (places * clip.size[0] - keypoints[:, 0, :, 0].mean(1))[:, None, None]
    return replace(clip, keypoints=keypoints)


CLIP = clips_of_walk()["cam0"]


def test_a_camera_that_saw_somebody_everywhere_has_no_gap() -> None:
    assert gaps_in_view({"cam0": moved(CLIP, [0.1, 0.5, 0.9])}) == []


def test_the_side_where_nobody_was_is_named() -> None:
    right = {"cam0": moved(CLIP, [0.5, 0.9])}
    assert gaps_in_view(right) == ["camera cam0 has seen too little of the left side"]
    middle = {"cam0": moved(CLIP, [0.5])}
    assert gaps_in_view(middle) == [
        "camera cam0 has seen too little of the left side and the right side"
    ]


def test_nobody_and_hardly_anybody_are_said() -> None:
    nobody = replace(CLIP, keypoints=np.zeros_like(CLIP.keypoints))
    assert gaps_in_view({"a": nobody}) == ["camera a has seen nobody"]
    few = nobody.keypoints.copy()
    few[: LEAST_FRAMES - 1] = CLIP.keypoints[: LEAST_FRAMES - 1]
    assert gaps_in_view({"a": replace(CLIP, keypoints=few)}) == [
        f"camera a has seen somebody in {LEAST_FRAMES - 1} frames only"
    ]
