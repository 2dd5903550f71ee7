"""Twenty crossings of people from motion capture: the published ids are the same people's."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.protocol.keypoints import encode_keypoints
from langpose_rt.protocol.messages import decode_pose
from tests.crossings import (
    LONGEST_OCCLUSION_S,
    MOCAP,
    Crossing,
    alone,
    draw_crossing,
    read_walkers,
    switches,
)
from tests.fakes import FakeBackend, keypoint_message

CROSSINGS = 20

pytestmark = pytest.mark.skipif(
    not MOCAP.is_dir(), reason="the validation motion capture is not beside this checkout"
)


@pytest.fixture(scope="module")
def crossings() -> list[Crossing]:
    walkers = read_walkers()
    return [draw_crossing(walkers, seed) for seed in range(CROSSINGS)]


def published_ids(crossings: list[Crossing]) -> list[list[list[int]]]:
    """What a consumer is told, frame by frame, when the rig does not track; a camera each."""
    pipeline = Pipeline(FakeBackend(slots=3 * len(crossings)))
    told: list[list[list[int]]] = [[] for _ in crossings]
    for seq in range(max(len(crossing.time_ns) for crossing in crossings)):
        for number, crossing in enumerate(crossings):
            if seq < len(crossing.time_ns):
                pipeline.receive(untracked(crossing, seq, f"cam{number}"), seq)
        for reply in pipeline.step(seq):
            message = decode_pose(reply)
            assert message.src.seq == seq
            seen = [state != "held" for state in message.state]
            told[int(message.camera.removeprefix("cam"))].append(list(message.ids[seen]))
    return told


def untracked(crossing: Crossing, seq: int, camera: str) -> list[bytes]:
    """One frame as a rig would send it."""
    keypoints = crossing.keypoints[seq]
    message = keypoint_message(*keypoints, ids=[-1] * len(keypoints), seq=seq, camera=camera)
    return encode_keypoints(replace(message, t_ns=crossing.time_ns[seq], wh=crossing.size_px))


def switches_in_all(crossings: list[Crossing]) -> int:
    """Id switches of all crossings together."""
    pairs = zip(crossings, published_ids(crossings), strict=True)
    return sum(switches(crossing, ids) for crossing, ids in pairs)


def test_at_most_one_id_switch_in_twenty_crossings(crossings: list[Crossing]) -> None:
    assert switches_in_all(crossings) <= 1


def test_a_lone_person_lost_for_0_3_s_keeps_the_id(crossings: list[Crossing]) -> None:
    lone = [alone(crossing, lost_s=0.3) for crossing in crossings[:5]]
    assert all(sum(map(len, one.people)) > 20 for one in lone)
    assert switches_in_all(lone) == 0


def test_the_crossings_are_what_they_say(crossings: list[Crossing]) -> None:
    hidden_s = np.array([crossing.occlusion_s for crossing in crossings])
    assert hidden_s.max() <= LONGEST_OCCLUSION_S
    assert (hidden_s > 0).mean() >= 0.5, "in most of them somebody is not detected for a while"
    sizes = {
        len({person for people in crossing.people for person in people}) for crossing in crossings
    }
    assert sizes == {2, 3}


def test_a_switch_is_counted_for_everybody_who_gets_another_id() -> None:
    still = np.zeros((2, 17, 3), np.float32)
    crossing = Crossing(
        size_px=(10, 10),
        time_ns=[0, 1, 2, 3],
        people=[[0, 1], [1], [1, 0], [0, 1]],
        keypoints=[still, still[:1], still, still],
        occlusion_s=0.0,
    )
    assert switches(crossing, [[5, 6], [6], [6, 5], [5, 6]]) == 0
    assert switches(crossing, [[5, 6], [6], [5, 6], [6, 5]]) == 2
    assert switches(crossing, [[5, 6], [7], [7, 5], [5, 7]]) == 1
