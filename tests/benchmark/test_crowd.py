"""The crowd of `bench`: real detections, separate persons, the given frame rate."""

import numpy as np
import pytest

from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.pipeline.stream_plausibility import StreamPlausibility
from langpose_rt.protocol.messages import decode_keypoints, encode_keypoints


def test_every_message_has_everybody_and_a_server_would_take_it() -> None:
    crowd = Crowd(3, rate_hz=50.0, first_ns=1_000)
    messages = [decode_keypoints(encode_keypoints(m), now_ns=0) for m in crowd.messages(4)]
    assert [m.seq for m in messages] == [0, 1, 2, 3]
    assert [m.t_ns for m in messages] == [1_000 + 20_000_000 * k for k in range(4)]
    assert all(m.ids.tolist() == [0, 1, 2] for m in messages)


def test_everybody_is_at_another_moment() -> None:
    crowd = Crowd(3, rate_hz=60.0, first_ns=0)
    for person in range(3):
        alone = crowd.keypoints(7 * person)[0]
        found = crowd.keypoints(0)[person]
        np.testing.assert_array_equal(found[:, 2], alone[:, 2])


def test_everybody_stands_at_another_place_on_one_floor() -> None:
    crowd = Crowd(4, rate_hz=60.0, first_ns=0)
    lens = crowd.clip.intrinsics
    assert lens is not None
    focal, centre = lens.fx_px, np.array([lens.cx_px, lens.cy_px])
    ankles = [crowd.clip.skeleton.joints.index(f"{side}_ankle") for side in ("left", "right")]
    feet = np.array([crowd.keypoints(frame)[:, ankles, :2] for frame in range(198)])
    depth_m = np.array([5.0, 5.0, 6.3, 6.3])
    x, y = (feet.mean((0, 2)) - centre).T / focal * depth_m
    np.testing.assert_allclose(np.diff(x), [1.3, -1.3, 1.3], atol=0.02)
    np.testing.assert_allclose(y, y[0], atol=0.02)


@pytest.mark.parametrize("persons", [1, 2, 5, 20, 64])
def test_the_picture_holds_them_all_and_nothing_is_odd_about_it(persons: int) -> None:
    crowd, checks, beyond = Crowd(persons, rate_hz=60.0, first_ns=0), StreamPlausibility(), []
    for message in crowd.messages(200):
        checks.check(message, message.t_ns)
        at = message.keypoints[message.keypoints[..., 2] > 0, :2]
        beyond.append(((at < 0) | (at > message.wh)).any(-1).mean())
    assert checks.new_findings() == []
    assert np.mean(beyond) < 0.01


def test_the_clip_goes_to_and_fro_without_a_jump() -> None:
    crowd = Crowd(1, rate_hz=60.0, first_ns=0)
    last = len(crowd.clip.t_ns) - 1
    for frame in range(last + 1):
        np.testing.assert_array_equal(crowd.keypoints(last + frame), crowd.keypoints(last - frame))
        np.testing.assert_array_equal(crowd.keypoints(2 * last + frame), crowd.keypoints(frame))
