"""Ids of untracked people through motion, losses and crossings."""

from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest

from langpose_rt.pipeline.tracker import FLEETING_FRAMES, IdTrust, Tracker
from tests.fakes import person_px

FRAME_NS = 40_000_000


def images(root_m: tuple[float, float, float]) -> np.ndarray:
    """A person at a place in camera axes, in image sizes."""
    return person_px(root_m) / np.array([1280, 1280, 1], np.float32)


def track(frames: list[list[np.ndarray]], memory_s: float = 1.0) -> list[list[int]]:
    tracker = Tracker(count().__next__, memory_s)
    return [
        tracker.ids_of(np.stack(people) if people else np.zeros((0, 17, 3)), index * FRAME_NS)
        for index, people in enumerate(frames)
    ]


def test_everybody_keeps_their_id_in_whatever_order_they_come() -> None:
    frames, order = [], np.random.default_rng(0)
    places = [(-1.5, 0.0, 4.0), (0.0, 0.0, 4.0), (1.5, 0.0, 5.0)]
    orders = [order.permutation(3) for _ in range(30)]
    for index, people in enumerate(orders):
        frames.append([images((places[p][0] + 0.02 * index, 0, places[p][2])) for p in people])
    ids = track(frames)
    first = dict(zip(orders[0], ids[0], strict=True))
    for people, found in zip(orders, ids, strict=True):
        assert found == [first[person] for person in people]


def test_a_lone_person_who_is_lost_for_a_third_of_a_second_while_walking_keeps_the_id() -> None:
    walk = [[images((-1.5 + 1.5 * 0.04 * i, 0, 4))] for i in range(40)]
    for lost in range(15, 23):
        walk[lost] = []
    ids = track(walk)
    assert {number for found in ids for number in found} == {0}


def test_two_people_who_walk_through_each_other_keep_their_ids() -> None:
    frames = [
        [images((-1.2 + 0.05 * i, 0, 4.0)), images((1.2 - 0.05 * i, 0, 4.4))] for i in range(48)
    ]
    assert track(frames) == [[0, 1]] * 48


def test_two_people_keep_their_ids_when_one_hides_the_other_for_a_moment() -> None:
    frames = [
        [images((-1.2 + 0.05 * i, 0, 3.5)), images((1.2 - 0.05 * i, 0, 5.0))] for i in range(48)
    ]
    for hidden in range(21, 28):
        frames[hidden] = frames[hidden][:1]
    ids = track(frames)
    assert ids[:21] == [[0, 1]] * 21
    assert ids[28:] == [[0, 1]] * 20


def test_motion_decides_when_both_are_hidden_while_they_pass() -> None:
    frames = [
        [images((-1.2 + 0.06 * i, 0, 4.0)), images((1.2 - 0.06 * i, 0, 4.0))] for i in range(40)
    ]
    for hidden in range(17, 24):
        frames[hidden] = []
    assert [ids for ids in track(frames) if ids] == [[0, 1]] * 33


def test_joints_out_of_sight_are_carried_along() -> None:
    walk = [images((-1.2 + 0.06 * i, 0, 4.0)) for i in range(40)]
    for upper in walk[10:30]:
        upper[1:7] = 0
    for legs in walk[30:]:
        legs[7:] = 0
        legs[0] = 0
    assert track([[person] for person in walk]) == [[0]] * 40


def test_somebody_who_comes_back_after_the_memory_is_somebody_new() -> None:
    here = [images((0, 0, 4))]
    assert track([here, *[[]] * 20, here], memory_s=0.5) == [[0], *[[]] * 20, [1]]


def test_somebody_far_away_is_somebody_else() -> None:
    assert track([[images((-1.5, 0, 4))], [images((1.5, 0, 4))]]) == [[0], [1]]


def test_a_detection_twice_is_two_people_and_the_first_keeps_the_id() -> None:
    ids = track([[images((0, 0, 4))], [images((0, 0, 4)), images((0.1, 0, 4))]])
    assert ids[1][0] == 0
    assert ids[1][1] == 1


@pytest.mark.parametrize("kept", [slice(0, 1), slice(11, 14), slice(0, 4)])
def test_a_few_joints_are_enough_to_stay_the_same_person(kept: slice) -> None:
    hidden = np.ones(17, bool)
    hidden[kept] = False
    parts = [images((0.02 * i, 0, 4)) for i in range(1, 4)]
    for part in parts:
        part[hidden] = 0
    whole = [images((0.0, 0, 4))], [images((0.08, 0, 4))]
    assert track([whole[0], *[[part] for part in parts], whole[1]]) == [[0]] * 5
    assert track([[part] for part in parts]) == [[0]] * 3


def test_memory_is_bounded_when_everybody_is_new_all_the_time() -> None:
    tracker = Tracker(count().__next__, memory_s=60.0)
    rng = np.random.default_rng(3)
    for index in range(20):
        crowd = rng.uniform(0, 100, (64, 17, 3))
        tracker.ids_of(crowd, index * FRAME_NS)
    assert len(tracker._tracks) <= 128


def test_a_renamed_person_goes_on_under_the_other_id() -> None:
    tracker = Tracker(count().__next__, 1.0)
    person = np.stack([images((0, 0, 4))])
    assert tracker.ids_of(person, 0) == [0]
    assert tracker.owns(0)
    tracker.rename(0, 77)
    assert tracker.ids_of(person, FRAME_NS) == [77]
    assert not tracker.owns(0)


def trusted_after(frames: Sequence[Sequence[int]]) -> bool:
    """Whether ids are still trusted after these frames."""
    trust = IdTrust()
    for ids in frames:
        trust.follow(ids)
    return trust.lasting


def test_ids_last_unless_most_of_them_are_new_in_ten_frames_in_a_row() -> None:
    changing = [[frame] for frame in range(FLEETING_FRAMES + 1)]
    assert not trusted_after(changing)
    assert trusted_after(changing[:-1])
    assert trusted_after([*changing[:8], changing[7], *changing[8:]]), "it must be in a row"
    assert not trusted_after([*changing, [0], [0]]), "for good"


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([[]] * 50, id="nobody"),
        pytest.param([[-1, -1]] * 50, id="no ids"),
        pytest.param([[n, n + 1, n + 2] for n in range(50)], id="people who come and go"),
        pytest.param([[0, 1], [2, 3]] * 25, id="two groups in turn"),
        pytest.param([[0, 100 + n] for n in range(50)], id="one ghost beside one person"),
        pytest.param([[3], []] * 25, id="somebody who comes and goes"),
    ],
)
def test_ids_of_people_who_come_and_go_are_trusted(frames: Sequence[Sequence[int]]) -> None:
    assert trusted_after(frames)
