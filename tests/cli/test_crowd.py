"""The crowd `bench` feeds: real detections, every person elsewhere, at the rate that is said."""

import numpy as np
import pytest

from langpose_rt.cli.crowd import Crowd
from langpose_rt.streaming.messages import decode_keypoints, encode_keypoints


def test_every_message_has_everybody_and_a_server_would_take_it() -> None:
    crowd = Crowd(3, rate_hz=50.0, first_ns=1_000)
    messages = [decode_keypoints(encode_keypoints(m), now_ns=0) for m in crowd.messages(4)]
    assert [m.seq for m in messages] == [0, 1, 2, 3]
    assert [m.t_ns for m in messages] == [1_000 + 20_000_000 * k for k in range(4)]
    assert all(m.ids.tolist() == [0, 1, 2] for m in messages)


def test_nobody_stands_where_another_does() -> None:
    people = Crowd(4, rate_hz=60.0, first_ns=0).keypoints(0)
    for one in range(4):
        for other in range(one):
            assert not np.array_equal(people[one], people[other])


@pytest.mark.parametrize("person", [0, 5])
def test_the_clip_goes_to_and_fro_without_a_jump(person: int) -> None:
    crowd = Crowd(6, rate_hz=60.0, first_ns=0)
    frames = len(crowd.clip.t_ns)
    path = np.stack([crowd.keypoints(frame)[person] for frame in range(3 * frames)])
    seen = (path[1:, :, 2] > 0) & (path[:-1, :, 2] > 0)
    steps = np.linalg.norm(np.diff(path[..., :2], axis=0), axis=-1)
    own = crowd.clip.keypoints[:, 0]
    own_seen = (own[1:, :, 2] > 0) & (own[:-1, :, 2] > 0)
    largest = np.linalg.norm(np.diff(own[..., :2], axis=0), axis=-1)[own_seen].max()
    assert steps[seen].max() <= largest + 1e-3
