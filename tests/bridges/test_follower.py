"""The person that is followed when there are many."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.bridges.follower import AWAY_S, Choice, Follower, choice_from_text
from langpose_rt.errors import ConfigError
from langpose_rt.protocol.messages import PoseMessage
from tests.protocol.samples import CAPTURED_NS, pose_sample

People = Sequence[tuple[int, str]]


def frame(*people: tuple[int, str], camera: str = "cam0", at_s: float = 0.0) -> PoseMessage:
    sample = pose_sample(len(people))
    return replace(
        sample,
        ids=np.array([number for number, _ in people], np.int64),
        state=tuple(state for _, state in people),
        camera=camera,
        t_srv=CAPTURED_NS + round(at_s * 1e9),
    )


def played(follower: Follower, table: Sequence[tuple[float, People, int | None]]) -> None:
    """Check the person of every row: seconds, people, expected index."""
    for at_s, people, expected in table:
        assert follower.person(frame(*people, at_s=at_s)) == expected, at_s


def test_who_is_away_for_half_a_second_is_waited_for_and_followed_again() -> None:
    told: list[str] = []
    follower = Follower(report=told.append)
    played(
        follower,
        [
            (0.0, [(4, "ok"), (2, "ok")], 0),
            (0.1, [(2, "ok"), (4, "predicted")], 1),
            (0.2, [(2, "ok"), (4, "lost")], None),
            (0.3, [(2, "ok")], None),
            (0.7, [(2, "ok")], None),
            (0.8, [], None),
            (0.9, [(2, "ok"), (4, "warmup")], 1),
        ],
    )
    assert follower.following == 4
    assert told == [
        "following person 4 of rig0/cam0",
        "waiting for person 4 of rig0/cam0; another is chosen after 10 s (--patience-s)",
        "following person 4 of rig0/cam0",
    ]


def test_a_short_gap_says_nothing() -> None:
    told: list[str] = []
    follower = Follower(report=told.append)
    played(
        follower,
        [(0.0, [(4, "ok")], 0), (AWAY_S - 0.01, [(2, "ok")], None), (0.51, [(4, "ok")], 0)],
    )
    assert told == ["following person 4 of rig0/cam0"]


def test_after_the_patience_another_is_chosen_and_that_is_said() -> None:
    told: list[str] = []
    follower = Follower(patience_s=2.0, report=told.append)
    played(
        follower,
        [
            (0.0, [(4, "ok")], 0),
            (1.0, [(9, "ok")], None),
            (1.9, [(9, "ok")], None),
            (2.0, [(9, "ok")], 0),
            (2.1, [(4, "ok"), (9, "ok")], 1),
        ],
    )
    assert told[-2:] == [
        "person 4 has not come back; going on to another",
        "following person 9 of rig0/cam0",
    ]


def test_without_patience_the_next_one_is_chosen_at_once() -> None:
    follower = Follower(patience_s=0.0)
    played(follower, [(0.0, [(4, "ok"), (2, "ok")], 0), (0.1, [(2, "ok")], 0)])


def test_a_person_who_was_named_is_waited_for_without_end() -> None:
    told: list[str] = []
    follower = Follower(7, patience_s=0.0, report=told.append)
    played(
        follower,
        [
            (0.0, [(1, "ok")], None),
            (5.0, [(1, "ok")], None),
            (3600.0, [(1, "ok")], None),
            (3600.1, [(1, "ok"), (7, "warmup")], 1),
        ],
    )
    assert told == ["waiting for person 7 of rig0/cam0", "following person 7 of rig0/cam0"]


def test_the_nearest_is_the_one_closest_to_the_camera_and_stays_that_one() -> None:
    follower = Follower("nearest")
    near = np.array([[0.0, 0.0, 6.0], [0.5, 0.0, 2.0], [0.0, 0.0, 4.0]], np.float32)
    people = frame((1, "ok"), (2, "ok"), (3, "ok"))
    assert follower.person(replace(people, root=near)) == 1
    assert follower.person(replace(people, root=near[::-1])) == 1, "by id, not by place"
    assert Follower("nearest").person(replace(people, root=None)) == 0


def test_nobody_at_all_is_waited_for_too() -> None:
    told: list[str] = []
    follower = Follower(report=told.append)
    played(follower, [(0.0, [], None), (0.6, [], None), (9.0, [], None), (60.0, [(3, "ok")], 0)])
    assert told == ["waiting for anybody of rig0/cam0", "following person 3 of rig0/cam0"]


def test_only_the_first_stream_is_heard() -> None:
    follower = Follower()
    accepted = [follower.accepts(frame(camera=camera)) for camera in ("a", "b", "a")]
    assert accepted == [True, False, True]


@pytest.mark.parametrize(
    ("text", "choice"), [("first", "first"), ("nearest", "nearest"), ("0", 0), ("12", 12)]
)
def test_a_choice_is_an_id_or_a_word(text: str, choice: Choice) -> None:
    assert choice_from_text(text) == choice


@pytest.mark.parametrize("text", ["", "-1", "1.5", "last", str(1 << 60)])
def test_another_choice_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="expected an id such as 3, or first, or nearest"):
        choice_from_text(text)


def test_an_impossible_patience_is_one_sentence() -> None:
    for patience_s in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"--patience-s is .*; expected 0 or more"):
            Follower(patience_s=patience_s)
