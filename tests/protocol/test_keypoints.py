"""`kp2d/1` as bytes and back; missing joints, impossible numbers, crowds, ids and clocks."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.header import MAX_TIME_NS, MAX_UINT
from langpose_rt.protocol.keypoints import (
    ClockSync,
    KeypointMessage,
    Via,
    check_joint_count,
    encode_keypoints,
    keypoints_from_msgpack,
    sync_checked,
)
from tests.protocol.samples import RIGID, forged, keypoint_sample, kp2d_parts, same

NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
CAMERAS = st.builds(
    RigCamera,
    k=st.none() | st.just((1400.0, 1400.0, 960.0, 540.0)),
    dist=st.sampled_from([(), (0.1,) * 4, (0.01,) * 5, (0.0,) * 14]),
    undistorted=st.booleans(),
    T_wc=st.none() | st.just(RIGID),
    gravity=st.none() | st.just((0.0, 1.0, 0.0)),
)


@st.composite
def messages(draw: st.DrawFn) -> KeypointMessage:
    people = draw(st.integers(0, 64))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    keypoints = random.uniform(0.001, 1, (people, 17, 3)).astype(np.float32)
    keypoints[..., :2] *= draw(st.sampled_from([1.0, 1000.0]))
    keypoints[random.random((people, 17)) < 0.2] = 0
    ids = (
        random.choice(MAX_UINT, people, replace=False) if people < 3 else random.permutation(people)
    )
    t_ns = draw(st.integers(-MAX_TIME_NS, MAX_TIME_NS))
    offsets = st.integers(
        max(-MAX_TIME_NS, -MAX_TIME_NS - t_ns), min(MAX_TIME_NS, MAX_TIME_NS - t_ns)
    )
    return KeypointMessage(
        rig=draw(NAMES),
        camera=draw(NAMES),
        epoch=draw(st.integers(0, MAX_UINT)),
        seq=draw(st.integers(0, MAX_UINT)),
        t_ns=t_ns,
        clk=draw(st.sampled_from(["unix", "ptp", "mono:0f-1.a_B"])),
        skeleton="coco17",
        wh=draw(st.tuples(st.integers(1000, 65536), st.integers(1000, 65536))),
        keypoints=keypoints,
        ids=ids.astype(np.int64),
        fps=draw(st.none() | st.floats(0.01, 10_000)),
        cam=draw(st.none() | CAMERAS.filter(lambda cam: cam.k is None)),
        person_height_m=draw(st.none() | st.floats(0.3, 3.0)),
        bones_m=random.uniform(0.02, 1.4, (people, 16)).astype(np.float32)
        if people and draw(st.booleans())
        else None,
        sync=draw(st.none() | st.builds(ClockSync, offsets, st.integers(0, MAX_UINT))),
    )


@settings(deadline=None)
@given(messages())
def test_what_is_encoded_is_decoded(message: KeypointMessage) -> None:
    assert same(keypoints_from_msgpack(encode_keypoints(message)), message)


def test_every_option_survives() -> None:
    message = keypoint_sample(3)
    assert same(keypoints_from_msgpack(encode_keypoints(message)), message)


def test_what_comes_back_may_be_changed() -> None:
    message = keypoints_from_msgpack(kp2d_parts())
    message.keypoints[:] = 1
    message.ids[:] = 1


def test_nobody_in_the_image_is_a_frame() -> None:
    message = keypoints_from_msgpack(kp2d_parts(np.empty((0, 17, 3), np.float32)))
    assert message.keypoints.shape == (0, 17, 3)


def test_unknown_keys_and_further_parts_are_ignored() -> None:
    parts = [*kp2d_parts(bbox=[[0, 0, 1, 1]], extra=[{"name": "later"}], later={"a": [1]}), b"more"]
    assert keypoints_from_msgpack(parts).ids.tolist() == [-1]


def test_a_javascript_rig_sends_its_time_as_a_string() -> None:
    assert keypoints_from_msgpack(kp2d_parts(t="1700000000123456789")).t_ns == 1700000000123456789


def test_fractions_and_counts_are_reported() -> None:
    array = np.full((70, 17, 3), 0.5, np.float32)
    array[0, 0, 0] = np.inf
    array[1, 0, 0] = np.nan
    message = keypoints_from_msgpack(kp2d_parts(array, unit="norm", ids=[3] * 70))
    assert message.keypoints[2, 0].tolist() == [320, 240, 0.5]
    assert (message.clipped, message.people_dropped, message.duplicate_ids) == (1, 6, 63)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(({key: None}, "bad_header") for key in "p v s epoch seq t clk fmt unit wh".split()),
        *(({key: None}, "bad_header") for key in "shape dtype ids".split()),
        ({"v": 2}, "unknown_version"),
        ({"s": "kp2d/2"}, "unknown_schema"),
        ({"p": "tprl"}, "unknown_protocol"),
        ({"fmt": "hands21"}, "unknown_format"),
        ({"fmt": "x" * 5000}, "unknown_format"),
        ({"epoch": -1}, "bad_header"),
        ({"epoch": MAX_UINT + 1}, "bad_header"),
        ({"seq": 1.0}, "bad_header"),
        ({"seq": "1"}, "bad_header"),
        ({"seq": True}, "bad_header"),
        ({"t": 1.5}, "bad_time"),
        ({"t": "soon"}, "bad_time"),
        ({"t": 1 << 63}, "bad_time"),
        ({"clk": "tai"}, "bad_header"),
        ({"clk": "unix\n"}, "bad_header"),
        ({"clk": "mono:"}, "bad_header"),
        ({"unit": "mm"}, "bad_header"),
        ({"wh": [0, 480]}, "bad_header"),
        ({"wh": [640, 70_000]}, "bad_header"),
        ({"wh": [640.5, 480.0]}, "bad_header"),
        ({"wh": [640]}, "bad_header"),
        ({"dtype": "<f8"}, "bad_header"),
        ({"shape": [1, 17, 4]}, "bad_shape"),
        ({"shape": [2, 17, 3], "ids": [-1, -1]}, "bad_shape"),
        ({"shape": [1, 17]}, "bad_header"),
        ({"shape": [1, 26, 3]}, "bad_shape"),
        ({"shape": [1 << 50, 17, 3]}, "bad_shape"),
        ({"shape": [-1, 17, 3]}, "bad_header"),
        ({"ids": []}, "bad_ids"),
        ({"ids": [1, 2]}, "bad_ids"),
        ({"ids": [-2]}, "bad_header"),
        ({"ids": [MAX_UINT + 1]}, "bad_header"),
        ({"fps": 0}, "bad_header"),
        ({"fps": float("nan")}, "bad_header"),
        ({"fps": float("inf")}, "bad_header"),
        ({"person_height_m": -1.7}, "bad_header"),
        ({"person_height_m": float("nan")}, "bad_header"),
        ({"bones_m": [[0.3] * 15]}, "bad_header"),
        ({"bones_m": [[0.3] * 16, None]}, "bad_header"),
        ({"bones_m": [[3.0] * 16]}, "bad_header"),
        ({"bones_m": [["long"] * 16]}, "bad_header"),
        ({"sync": {"offset": 5}}, "bad_header"),
        ({"sync": {"offset": 5, "unc": -1}}, "bad_header"),
        ({"sync": {"offset": "soon", "unc": 1}}, "bad_time"),
        ({"sync": {"offset": MAX_TIME_NS, "unc": 1}}, "bad_time"),
        ({"cam": {"k": [1, 2, 3]}}, "bad_header"),
        ({"cam": {"T_wc": [0.0] * 15}}, "bad_header"),
        ({"cam": {"k": [0, 0, 0, 0]}}, "bad_camera"),
        ({"cam": []}, "bad_header"),
        ({"more": "x" * 9000}, "header_too_large"),
    ],
)
def test_a_wrong_header_costs_the_message(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        keypoints_from_msgpack(kp2d_parts(**changes))
    assert refused.value.reason == reason


@pytest.mark.parametrize("size", [0, 1, 203, 205, 408])
def test_bytes_that_are_not_the_array_cost_the_message(size: int) -> None:
    with pytest.raises(MessageError, match="bad_shape"):
        keypoints_from_msgpack(kp2d_parts(bytes(size)))


def test_a_row_is_x_y_and_score() -> None:
    with pytest.raises(MessageError, match="got 4 columns"):
        keypoints_from_msgpack(kp2d_parts(np.ones((1, 17, 4), np.float32)))


def test_wrong_parts_cost_the_message() -> None:
    parts = kp2d_parts()
    for wrong, reason in [
        ([], "bad_parts"),
        (parts[:1], "bad_parts"),
        (parts[:2], "bad_parts"),
        ([*parts, *[b""] * 20], "bad_parts"),
        ([b"kp2d/rig0/", *parts[1:]], "bad_topic"),
        ([b"pose3d/rig0/cam0/", *parts[1:]], "bad_topic"),
        ([*parts, bytes(1 << 20)], "too_large"),
        ([parts[0], parts[2], parts[1]], "bad_header"),
    ]:
        with pytest.raises(MessageError) as refused:
            keypoints_from_msgpack(wrong)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epoch": -1}, "bad_header"),
        ({"seq": MAX_UINT + 1}, "bad_header"),
        ({"t_ns": MAX_TIME_NS + 1}, "bad_time"),
        ({"rig": "a/b"}, "bad_topic"),
        ({"skeleton": "hands21"}, "unknown_format"),
        ({"skeleton": "halpe26"}, "bad_shape"),
        ({"ids": np.array([1])}, "bad_ids"),
        ({"ids": np.array([1, -2])}, "bad_ids"),
        ({"ids": np.array([1, MAX_UINT + 1])}, "bad_ids"),
    ],
)
def test_what_nobody_could_read_is_not_sent(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        encode_keypoints(forged(keypoint_sample(), **changes))
    assert refused.value.reason == reason


def test_the_lengths_of_a_crowd_fit_and_follow_those_who_are_kept() -> None:
    bones_m = np.linspace(0.1, 1.4, 70 * 16, dtype=np.float32).reshape(70, 16)
    bones_m[5] = np.nan
    sample = keypoint_sample(70)
    sample.keypoints[:4, :, 2] /= 8  # the four worst, and the last two of the equal others
    read = keypoints_from_msgpack(encode_keypoints(forged(sample, bones_m=bones_m)))
    np.testing.assert_array_equal(read.bones_m, bones_m[4:68])
    assert read.people_dropped == 6


def test_a_crowd_is_sent_as_it_is_and_cut_by_the_reader() -> None:
    message = keypoint_sample(100)
    read = keypoints_from_msgpack(encode_keypoints(message))
    assert (len(read.ids), read.people_dropped) == (64, 36)


def test_the_header_of_nobody_is_small() -> None:
    header = encode_keypoints(forged(keypoint_sample(0), cam=None))[1]
    assert len(header) < 200
    assert "cam" not in msgspec.msgpack.decode(header)


def test_joints_are_those_of_the_format() -> None:
    check_joint_count("coco17", 17)
    with pytest.raises(MessageError, match="bad_shape"):
        check_joint_count("coco17", 26)
    with pytest.raises(MessageError, match="unknown_format"):
        check_joint_count("hands21", 21)


def test_an_offset_may_be_digits_and_must_lead_to_a_time() -> None:
    assert sync_checked(None, 5) is None
    assert sync_checked(ClockSync("-12", 3), 5) == ClockSync(-12, 3)
    for offset in ("soon", MAX_TIME_NS + 1, MAX_TIME_NS):
        with pytest.raises(MessageError, match="bad_time"):
            sync_checked(ClockSync(offset, 3), 5)


def test_the_key_of_a_front_goes_there_and_back() -> None:
    message = replace(keypoint_sample(), via=Via(9, (4, -1), 12))
    assert keypoints_from_msgpack(encode_keypoints(message)).via == Via(9, (4, -1), 12)
    assert keypoints_from_msgpack(encode_keypoints(keypoint_sample())).via is None
