"""The rtmlib detector: with a fake solution, and with rtmlib itself where it is installed."""

import contextlib
import io
import sys
import types
import urllib.error

import numpy as np
import pytest

from langpose_rt.capture.rtmlib_detector import RtmlibDetector, open_rtmlib
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.geometry.skeleton import SKELETONS

PICTURE = np.zeros((48, 64, 3), np.uint8)


class Solution:
    """As rtmlib's Body: boxes from one model, keypoints and scores from the other."""

    def __init__(self, boxes: int = 2, joints: int = 17, **options: object) -> None:
        print("load model.onnx with onnxruntime backend")
        self.options = options
        self.det_model = lambda _: np.tile([0.0, 0, 10, 20], (boxes, 1))
        self._joints = joints

    def pose_model(self, _picture: np.ndarray, bboxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        people = max(1, len(bboxes))  # without a box rtmlib takes the whole picture
        keypoints = np.arange(people * self._joints * 2.0).reshape(people, self._joints, 2)
        return keypoints, np.full((people, self._joints), 0.75, np.float32)


def rtmlib_with(monkeypatch: pytest.MonkeyPatch, **solutions: object) -> None:
    module = types.ModuleType("rtmlib")
    for name, solution in solutions.items():
        setattr(module, name, solution)
    monkeypatch.setitem(sys.modules, "rtmlib", module)


def test_keypoints_and_scores_become_one_array() -> None:
    people = RtmlibDetector(Solution(), "coco17", 17)(PICTURE)
    assert people.shape == (2, 17, 3)
    assert people.dtype == np.float32
    assert people[1, 16].tolist() == [66, 67, 0.75]


def test_a_picture_without_a_box_has_nobody_in_it() -> None:
    assert RtmlibDetector(Solution(boxes=0), "coco17", 17)(PICTURE).shape == (0, 17, 3)


@pytest.mark.parametrize(
    ("kind", "name", "skeleton"),
    [
        ("body", "Body", "coco17"),
        ("feet", "BodyWithFeet", "halpe26"),
        ("whole", "Wholebody", "coco133"),
    ],
)
def test_every_kind_opens_its_solution_and_says_nothing_on_stdout(
    monkeypatch: pytest.MonkeyPatch, kind: str, name: str, skeleton: str
) -> None:
    made: list[Solution] = []

    def make(**options: object) -> Solution:
        made.append(Solution(joints=len(SKELETONS[skeleton].joints), **options))
        return made[-1]

    rtmlib_with(monkeypatch, **{name: make})
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        detector = open_rtmlib(kind, "lightweight", "cpu")  # type: ignore[arg-type]
    assert out.getvalue() == ""
    assert made[0].options == {"mode": "lightweight", "backend": "onnxruntime", "device": "cpu"}
    assert detector.skeleton == skeleton
    assert detector(PICTURE).shape == (2, len(SKELETONS[skeleton].joints), 3)


def test_without_rtmlib_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(ConfigError, match="pip install --no-deps rtmlib"):
        open_rtmlib()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (urllib.error.URLError("no route to host"), "could not download .*: no route to host;"),
        (TimeoutError("timed out"), "could not download .*: timed out;"),
        (RuntimeError("InvalidProtobuf\nat line 3"), "could not open .*: InvalidProtobuf;"),
        (KeyError(), "could not open .*: KeyError;"),
    ],
)
def test_models_that_cannot_be_had_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(**options: object) -> None:
        raise error

    rtmlib_with(monkeypatch, Body=fail)
    with pytest.raises(LangPoseError, match=sentence) as refused:
        open_rtmlib("body", "balanced", "cpu")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["coco17", "halpe26", "coco133", "openpose18"])
def test_the_joints_of_a_format_are_in_rtmlibs_order(name: str) -> None:
    pytest.importorskip("rtmlib", reason="rtmlib is not installed")
    from rtmlib.visualization import skeleton

    points = getattr(skeleton, name)["keypoint_info"]
    theirs = [points[index]["name"] for index in range(len(points))]
    seen = [
        joint for joint in SKELETONS[name].joints if "face" not in joint and "hand" not in joint
    ]
    assert [{"hip": "mid_hip"}.get(joint, joint) for joint in theirs[: len(seen)]] == seen
