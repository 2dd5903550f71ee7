"""What cannot be true of a clip is refused, what is odd becomes a note."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.clip_checks import assumed_lens_note, check_truth, checked_clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, SKELETONS

CLIP = read_clip(DEMO_CLIP)


def test_a_real_clip_passes_without_a_note() -> None:
    assert checked_clip(CLIP, "clip").notes == ()
    check_truth(CLIP, "clip")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"t_ns": CLIP.t_ns // 1000}, "clip: frames are 1666.* they look like microseconds"),
        ({"t_ns": CLIP.t_ns // 1_000_000}, "they look like milliseconds"),
        ({"t_ns": np.arange(100)}, "they look like frame numbers"),
        ({"keypoints": CLIP.keypoints / np.float32(2000)}, "they look like fractions from 0 to 1"),
        ({"size": (240, 180)}, "but the image is said to be 240 x 180"),
        ({"size": (1920, 1088)}, "the image was turned; calibrate the camera as it films"),
        ({"size": (1440, 1920)}, "the image was cropped or stretched"),
        ({"skeleton": SKELETONS["body25"], "format_guessed": True}, "name the format, body25b if"),
    ],
)
def test_what_cannot_be_true_is_refused(changes: dict[str, object], sentence: str) -> None:
    changed = replace(CLIP, **changes)  # type: ignore[arg-type]
    if "keypoints" in changes:
        changed.keypoints[..., 2] = CLIP.keypoints[..., 2]
    with pytest.raises(ConfigError, match=sentence):
        checked_clip(changed, "clip")


def test_a_format_that_was_named_is_used_with_a_note() -> None:
    notes = checked_clip(replace(CLIP, skeleton=SKELETONS["body25"]), "clip").notes
    assert len(notes) == 1
    assert "name the format, body25b if it is" in notes[0]


def test_a_guessed_format_is_a_note() -> None:
    few = {name: getattr(CLIP, name)[:9] for name in ("keypoints", "t_ns", "ids")}
    clip = replace(
        CLIP, **few, pose3d=None, valid=None, valid_joints=None,
        skeleton=SKELETONS["body25"], format_guessed=True,
    )  # fmt: skip
    note = "25 keypoints are taken for body25; if they are body25b, say --format body25b"
    assert checked_clip(clip, "clip").notes == (note,)


def test_a_scaled_image_has_a_scaled_lens() -> None:
    half = CLIP.keypoints * np.array([0.5, 0.5, 1], np.float32)
    clip = checked_clip(replace(CLIP, keypoints=half, size=(544, 960)), "clip")
    assert clip.intrinsics is not None
    assert CLIP.intrinsics is not None
    assert clip.intrinsics.fx_px == pytest.approx(CLIP.intrinsics.fx_px / 2)


@pytest.mark.parametrize(
    ("scale", "words"), [(1000, "millimetres"), (0, "in one place"), (np.nan, "no number")]
)
def test_truth_that_is_none_is_refused(scale: float, words: str) -> None:
    assert CLIP.pose3d is not None
    with pytest.raises(ConfigError, match=words):
        check_truth(replace(CLIP, pose3d=CLIP.pose3d * scale), "clip")


def test_a_lens_that_nobody_gave_is_a_note() -> None:
    unknown = replace(CLIP, intrinsics=None)
    assert "is assumed to see 60 degrees" in (assumed_lens_note(unknown, None) or "")
    assert assumed_lens_note(unknown, 50.0) is None
    assert assumed_lens_note(CLIP, None) is None


def test_thousandths_of_the_image_are_a_note() -> None:
    keypoints = CLIP.keypoints.copy()
    keypoints[..., :2] = np.round(keypoints[..., :2] * np.float32(1000) / CLIP.size)
    (note,) = checked_clip(replace(CLIP, keypoints=keypoints), "clip").notes
    assert "divide by 1000 and send the unit norm" in note


def test_scores_of_0_to_100_are_a_note() -> None:
    (note,) = checked_clip(
        replace(CLIP, keypoints=CLIP.keypoints * np.array([1, 1, 100], np.float32)), "c"
    ).notes
    assert "expected 0 to 1" in note
    assert note.endswith("if they are percentages, divide by 100")


def test_bone_lengths_in_feet_are_a_note() -> None:
    clip = read_clip(DEMO_CLIP)
    feet = np.tile(REFERENCE_BONES_M / 0.3048, (clip.ids.shape[1], 1))
    assert any(
        "5.6 m tall" in note for note in checked_clip(replace(clip, bones_m=feet), "x").notes
    )
