"""Keys that the front reads and adds agree with the whole messages."""

import msgspec
import pytest

from langpose_rt.cluster.headers import (
    FrameNumber,
    answer_from_header,
    frame_number,
    via_to_bytes,
    with_via,
)
from langpose_rt.errors import MessageError
from langpose_rt.protocol.keypoints import Via, encode_keypoints, keypoints_from_msgpack
from langpose_rt.protocol.poses import encode_pose
from tests.protocol.samples import forged, keypoint_sample, kp2d_parts, pose_sample


@pytest.mark.parametrize("via", [Via(5), Via(1 << 50, (3, -1), 9)])
def test_the_added_key_is_read_and_the_rest_is_as_before(via: Via) -> None:
    parts = encode_keypoints(keypoint_sample())
    assert frame_number(parts[1]) == FrameNumber((1 << 53) - 1, 7)
    changed = keypoints_from_msgpack([parts[0], with_via(parts[1], via_to_bytes(via)), parts[2]])
    assert changed.via == via
    assert (changed.seq, changed.cam) == (7, keypoint_sample().cam)


def test_a_key_that_a_rig_sent_is_replaced() -> None:
    parts = encode_keypoints(forged(keypoint_sample(), via=Via(1)))
    header = with_via(parts[1], via_to_bytes(Via(2)))
    assert keypoints_from_msgpack([parts[0], header, parts[2]]).via == Via(2)


@pytest.mark.parametrize("keys", [0, 1, 14, 15, 16, 300])
def test_maps_of_every_size_take_one_more_key(keys: int) -> None:
    header = msgspec.msgpack.encode({str(number): number for number in range(keys)})
    found = msgspec.msgpack.decode(with_via(header, via_to_bytes(Via(3))))
    assert len(found) == keys + 1
    assert found["via"] == {"epoch": 3}


@pytest.mark.parametrize("header", [b"", b"\x93\x01\x02\x03", b"\xdf\x00\x00\x00\x00", b"{}"])
def test_what_is_no_map_is_refused(header: bytes) -> None:
    with pytest.raises(MessageError):
        with_via(header, via_to_bytes(Via(1)))


def test_a_header_that_cannot_be_read_has_no_number() -> None:
    assert frame_number(b"\xc1") is None
    assert frame_number(msgspec.msgpack.encode({"epoch": 1})) is None
    assert frame_number(kp2d_parts()[1]) is not None


def test_a_pose_is_read_as_far_as_needed() -> None:
    answer = answer_from_header(encode_pose(forged(pose_sample(), via=8))[1])
    assert (answer.epoch, answer.src.epoch, answer.src.seq) == (11, 13, 14)
    assert (answer.via, answer.win.frames) == (8, 81)
    assert answer.ids == [0, 1]
    assert answer.ids_in_frame == (0,), "the second is carried on, not in the frame"
    assert answer_from_header(encode_pose(pose_sample())[1]).via is None
    with pytest.raises(MessageError):
        answer_from_header(b"\x80")
