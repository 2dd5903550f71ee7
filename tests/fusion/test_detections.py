import numpy as np

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections, MonocularLifts
from tests.fusion.rigs import body, detections_of, ring


def test_frames_are_joined_camera_by_camera() -> None:
    cameras = CameraArray.of_cameras(ring(3))
    joined = detections_of(cameras, [body(), body(1.0)], [[0, 1], [], [1]])
    assert joined.camera.tolist() == [0, 0, 2]
    assert joined.track.tolist() == [0, 1, 0]
    assert len(joined) == 3
    assert joined.lifts.pose.shape == (3, 17, 3)


def test_nobody_is_an_empty_frame() -> None:
    assert Detections.of_frames({}, 25).rays.shape == (0, 25, 2)


def test_missing_lifts_are_nan() -> None:
    lifts = MonocularLifts.missing(2).take(np.array([1]))
    assert lifts.root.shape == (1, 3)
    assert np.isnan(lifts.pose).all()
