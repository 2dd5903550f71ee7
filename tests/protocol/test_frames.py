"""Frames from options and plain arrays."""

import numpy as np
import pytest

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.frames import _size_of, empty_frame, frame_with_people
from langpose_rt.protocol.keypoints import (
    KeypointMessage,
    encode_keypoints,
    keypoints_from_msgpack,
)

SIZE = (640, 480)


def empty() -> KeypointMessage:
    return empty_frame("rig0", "cam0", epoch=1, skeleton="coco17", size=SIZE)


def test_a_frame_takes_any_array_of_the_right_shape() -> None:
    one = np.arange(51.0).reshape(17, 3)
    for keypoints in (one, one[None], one.tolist(), np.asfortranarray(one), one.astype(int)):
        frame = frame_with_people(empty(), keypoints, None, seq=4, t_ns=9)
        assert frame.keypoints.tolist() == [one.tolist()]
        assert (frame.ids.tolist(), frame.seq, frame.t_ns) == ([-1], 4, 9)
        encode_keypoints(frame)


@pytest.mark.parametrize("nobody", [[], [[]], np.empty((0, 17, 3))])
def test_nobody_may_be_written_in_any_way(nobody: object) -> None:
    for ids in (None, [], np.empty(0, int)):
        frame = frame_with_people(empty(), nobody, ids, seq=0, t_ns=0)
        assert frame.keypoints.shape == (0, 17, 3)
        encode_keypoints(frame)


@pytest.mark.parametrize(
    ("keypoints", "ids", "reason"),
    [
        (np.zeros((1, 26, 3)), None, "bad_shape"),
        (np.zeros((17, 2)), None, "bad_shape"),
        (np.zeros(51), None, "bad_shape"),
        ("nonsense", None, "bad_shape"),
        ([[1, 2], [3]], None, "bad_shape"),
        (np.zeros((1, 17, 3)), ["a"], "bad_ids"),
        (np.zeros((1, 17, 3)), [1.5], "bad_ids"),
        (np.zeros((1, 17, 3)), [[1]], "bad_ids"),
    ],
)
def test_other_things_are_refused(keypoints: object, ids: object, reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        frame_with_people(empty(), keypoints, ids, seq=0, t_ns=0)
    assert refused.value.reason == reason


def test_numbers_beyond_float32_are_left_to_the_server() -> None:
    frame = frame_with_people(empty(), np.full((17, 3), 1e300), None, seq=0, t_ns=0)
    assert np.isinf(frame.keypoints).all()


def test_intrinsics_are_what_the_server_reads() -> None:
    intrinsics = Intrinsics(
        fx_px=600, fy_px=601, cx_px=320, cy_px=240, width_px=640, height_px=480, dist=(0.1,) * 4
    )
    frame = empty_frame(
        "rig0", "cam0", epoch=1, skeleton="coco17", size=SIZE, intrinsics=intrinsics
    )
    assert frame.cam == RigCamera(k=(600, 601, 320, 240), dist=(0.1,) * 4)


@pytest.mark.parametrize(
    "options",
    [
        {"skeleton": "hands21"},
        {"size": (0, 480)},
        {"fps": -1.0},
        {"fps": float("nan")},
        {"person_height_m": 17.5},
        {"clk": "sundial"},
        {"intrinsics": RigCamera(k=(1.0, 1.0, 0.0, 0.0))},
    ],
)
def test_options_no_server_would_accept_are_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        empty_frame("rig0", "cam0", **({"epoch": 1, "skeleton": "coco17", "size": SIZE} | options))


def test_names_make_a_topic() -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        empty_frame("rig 0", "cam0", epoch=1, skeleton="coco17", size=SIZE)


def test_numpy_numbers_are_taken_as_python_ones() -> None:
    frame = empty_frame(
        "rig0",
        "cam0",
        epoch=1,
        skeleton="coco17",
        size=(np.int64(640), np.float64(480)),
        fps=np.float32(30),
        person_height_m=np.float64(1.8),
    )
    assert (frame.wh, frame.fps, frame.person_height_m) == ((640, 480), 30.0, 1.8)
    points = np.ones((1, 17, 3))
    full = frame_with_people(
        frame,
        points,
        np.array([3.0]),
        seq=0,
        t_ns=np.int64(17),
    )
    again = keypoints_from_msgpack(encode_keypoints(full))
    assert (again.t_ns, again.ids.tolist(), again.wh) == (17, [3], (640, 480))


def test_bone_lengths_go_with_the_people() -> None:
    points, one = np.ones((2, 17, 3)), np.full(16, 0.25)
    both = frame_with_people(empty(), points, None, seq=0, t_ns=0, bones_m=[one, one * np.nan])
    assert both.bones_m is not None
    assert np.isnan(both.bones_m).all(-1).tolist() == [False, True]
    alone = frame_with_people(empty(), points[0], None, seq=0, t_ns=0, bones_m=one)
    assert keypoints_from_msgpack(encode_keypoints(alone)).bones_m.tolist() == [[0.25] * 16]
    nobody = frame_with_people(empty(), [], None, seq=0, t_ns=0, bones_m=[])
    assert keypoints_from_msgpack(encode_keypoints(nobody)).bones_m is None
    for wrong in (one, [one] * 3, np.ones((2, 15)), []):
        with pytest.raises(MessageError, match=r"expected \[2, 16\]"):
            frame_with_people(empty(), points, None, seq=0, t_ns=0, bones_m=wrong)


def test_seconds_instead_of_nanoseconds_are_refused() -> None:
    points = np.ones((1, 17, 3))
    with pytest.raises(MessageError, match="it looks like seconds, multiply by 1e9"):
        frame_with_people(empty(), points, None, seq=0, t_ns=1764365000.5)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ((720, 1280, 3), "shape\\[1\\] and shape\\[0\\]"),
        ((640,), "size of 1 numbers"),
    ],
)
def test_a_size_that_is_no_width_and_height_is_refused(size: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        _size_of(size)  # type: ignore[arg-type]


def test_what_is_masked_is_missing() -> None:
    keypoints = np.ma.masked_array(np.ones((17, 3)), mask=False)
    keypoints[3] = np.ma.masked
    frame = frame_with_people(empty(), keypoints, None, seq=0, t_ns=0)
    assert np.isnan(frame.keypoints[0, 3]).all()
    assert (np.delete(frame.keypoints[0], 3, 0) == 1).all()
    ids = np.ma.masked_array([5], mask=[True])
    with pytest.raises(MessageError, match="ids"):
        frame_with_people(empty(), np.ones((1, 17, 3)), ids, seq=0, t_ns=0)
