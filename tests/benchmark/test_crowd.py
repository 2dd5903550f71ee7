"""The crowd of `bench`: real detections, separate persons, the given frame rate."""

import numpy as np

from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.protocol.messages import decode_keypoints, encode_keypoints


def test_every_message_has_everybody_and_a_server_would_take_it() -> None:
    crowd = Crowd(3, rate_hz=50.0, first_ns=1_000)
    messages = [decode_keypoints(encode_keypoints(m), now_ns=0) for m in crowd.messages(4)]
    assert [m.seq for m in messages] == [0, 1, 2, 3]
    assert [m.t_ns for m in messages] == [1_000 + 20_000_000 * k for k in range(4)]
    assert all(m.ids.tolist() == [0, 1, 2] for m in messages)


def test_everybody_is_at_another_moment_and_another_place() -> None:
    crowd = Crowd(4, rate_hz=60.0, first_ns=0)
    own = crowd.clip.keypoints[:, 0]
    for person, found in enumerate(crowd.keypoints(3)):
        expected = own[3 + 7 * person].copy()
        expected[expected[:, 2] > 0, 0] += 9 * person
        np.testing.assert_array_equal(found, expected)


def test_the_clip_goes_to_and_fro_without_a_jump() -> None:
    crowd = Crowd(1, rate_hz=60.0, first_ns=0)
    last = len(crowd.clip.t_ns) - 1
    for frame in range(last + 1):
        np.testing.assert_array_equal(crowd.keypoints(last + frame), crowd.keypoints(last - frame))
        np.testing.assert_array_equal(crowd.keypoints(2 * last + frame), crowd.keypoints(frame))
