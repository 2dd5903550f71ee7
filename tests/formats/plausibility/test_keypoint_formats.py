"""A keypoint format that the bones contradict."""

import numpy as np
import pytest

from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.formats.plausibility.keypoint_formats import format_finding, guess_finding
from langpose_rt.geometry.skeleton import SKELETONS, to_h36m17
from tests.formats.plausibility.findings import REAL, impossible, odd


def of_format(keypoints: np.ndarray, name: str) -> Finding | None:
    people = keypoints.reshape(-1, *keypoints.shape[2:])
    return format_finding(people, SKELETONS[name], to_h36m17(people, SKELETONS[name]))


@pytest.mark.parametrize("clip", REAL, ids=["demo", "cam04"])
def test_the_format_of_real_clips_is_believed(clip) -> None:  # type: ignore[no-untyped-def]
    assert of_format(clip.keypoints, clip.skeleton.name) is None
    assert of_format(np.zeros((200, 1, 25, 3)), "body25") is None, "nobody"


def test_a_guess_names_the_format_and_how_to_say_another() -> None:
    said = odd(guess_finding(SKELETONS["coco17"], "say --format"))
    assert said == "17 keypoints are taken for coco17; if they are h36m17, say --format h36m17"


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
