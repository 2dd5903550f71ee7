"""MediaPipe itself on a real video where it is installed, and sentences where it is not."""

import importlib.util
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.capture.detector import INSTALL, Detector
from langpose_rt.capture.mediapipe_detector import MediapipeDetector
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import SKELETONS

VIDEO = Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam01.mp4"

installed = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None,
    reason=f"MediaPipe is not installed: {INSTALL['mediapipe']}",
)


def first_picture() -> np.ndarray:
    video = cv2.VideoCapture(str(VIDEO))
    ok, picture = video.read()
    video.release()
    assert ok
    return picture


@installed
def test_the_person_of_a_real_picture_is_where_another_detector_found_them(
    capfd: pytest.CaptureFixture[str],
) -> None:
    detector = MediapipeDetector()
    assert isinstance(detector, Detector)
    people = detector(first_picture())
    assert people.shape == (1, 33, 3)
    assert people.dtype == np.float32
    clip = read_clip(DEMO_CLIP)  # OpenPose on the same video
    theirs, ours = (
        {joint: row for row, joint in enumerate(skeleton.joints)}
        for skeleton in (clip.skeleton, SKELETONS[detector.skeleton])
    )
    for joint in ("left_shoulder", "right_shoulder", "left_hip", "right_knee", "left_ankle"):
        apart = people[0, ours[joint], :2] - clip.keypoints[0, 0, theirs[joint], :2]
        assert np.linalg.norm(apart) < 40, joint  # the picture is 1920 pixels high
        assert people[0, ours[joint], 2] > 0.5
    assert capfd.readouterr().out == ""


@installed
def test_a_picture_without_a_person_has_nobody_in_it() -> None:
    assert MediapipeDetector()(np.zeros((48, 64, 3), np.uint8)).shape == (0, 33, 3)


@pytest.mark.parametrize("module", [None, types.ModuleType("mediapipe")])
def test_a_mediapipe_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, module: types.ModuleType | None
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", module)  # later releases have no `solutions`
    with pytest.raises(ConfigError, match=r"mediapipe==0\.10\.14"):
        MediapipeDetector()


def test_a_model_that_does_not_load_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(model_complexity: int) -> None:
        raise RuntimeError(f"no model {model_complexity}\nat line 3")

    module = types.ModuleType("mediapipe")
    module.solutions = types.SimpleNamespace(  # type: ignore[attr-defined]
        pose=types.SimpleNamespace(Pose=fail)
    )
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    with pytest.raises(LangPoseError, match="could not load its model: no model 1; install"):
        MediapipeDetector()


def test_the_pose_module_is_imported_when_a_detector_is_opened() -> None:
    assert "mediapipe" not in vars(sys.modules[MediapipeDetector.__module__])
