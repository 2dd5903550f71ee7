"""The person that is followed when there are many."""

from dataclasses import replace

import numpy as np

from langpose_rt.bridges.follower import Follower
from langpose_rt.protocol.messages import PoseMessage
from tests.protocol.samples import pose_sample


def frame(*people: tuple[int, str], camera: str = "cam0") -> PoseMessage:
    sample = pose_sample(len(people))
    ids = np.array([number for number, _ in people], np.int64)
    return replace(sample, ids=ids, state=tuple(state for _, state in people), camera=camera)


def test_a_person_is_followed_until_they_leave_and_then_the_next() -> None:
    follower = Follower()
    table = [
        ([(4, "ok"), (2, "ok")], 0),
        ([(2, "ok"), (4, "predicted")], 1),
        ([(2, "ok"), (4, "lost")], 0),
        ([(4, "ok"), (2, "ok")], 1),
        ([], None),
    ]
    for people, expected in table:
        assert follower.person(frame(*people)) == expected


def test_a_person_who_was_named_is_waited_for() -> None:
    follower = Follower(7)
    assert follower.person(frame((1, "ok"))) is None
    assert follower.person(frame((1, "ok"), (7, "warmup"))) == 1


def test_only_the_first_stream_is_heard() -> None:
    follower = Follower()
    accepted = [follower.accepts(frame(camera=camera)) for camera in ("a", "b", "a")]
    assert accepted == [True, False, True]
