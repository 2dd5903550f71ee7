"""Playback of a clip: order, times, epochs and ids, with a fake publisher."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.benchmark import playback
from langpose_rt.benchmark.playback import (
    Playback,
    loop_ns_of_clip,
    play,
    publisher_of_clip,
    wait_for_server,
)
from langpose_rt.client.address import Connection
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.errors import LangPoseError
from langpose_rt.formats.clip import Clip
from tests.commands import part_of_demo_clip

ENDPOINT = "tcp://127.0.0.1:1"
SERVER = Connection(endpoint=ENDPOINT)


class Notebook(RigPublisher):
    """Writes down instead of sending."""

    def __init__(self, clip: Clip) -> None:
        self.sent: list[tuple[np.ndarray, list[int], int]] = []
        self.bones_m: list[object] = []
        self.restarts: list[int] = []
        super().__init__(ENDPOINT, "rig", "cam", skeleton=clip.skeleton.name, size=clip.size)

    def publish(
        self,
        keypoints: object,
        ids: object = None,
        t_ns: int | None = None,
        *,
        bones_m: object = None,
    ) -> int:
        assert t_ns is not None
        self.bones_m.append(bones_m)
        self.sent.append((np.asarray(keypoints), np.asarray(ids).tolist(), t_ns))
        return len(self.sent) - 1

    def restart(self) -> None:
        self.restarts.append(len(self.sent))


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(playback, "time", clock)
    return clock


@pytest.mark.parametrize("own_epochs", [False, True])
def test_frames_come_in_their_own_time_and_loops_go_on_or_are_epochs(
    clock: Clock, own_epochs: bool
) -> None:
    clip = part_of_demo_clip(5)
    counted: list[int] = []
    playback = Playback(loops=2, own_epochs=own_epochs)
    with Notebook(clip) as notebook:
        assert play(clip, notebook, playback, on_frame=counted.append) == 10
    assert counted == list(range(1, 11))
    times = [t_ns for _, _, t_ns in notebook.sent]
    later_ns = 0 if own_epochs else loop_ns_of_clip(clip)
    assert times == [*clip.t_ns.tolist(), *(clip.t_ns + later_ns).tolist()]
    assert notebook.restarts == ([5] if own_epochs else [])
    expected_s = (loop_ns_of_clip(clip) + clip.t_ns[-1] - clip.t_ns[0]) / 1e9
    assert clock.now_s - 100 == pytest.approx(expected_s, abs=1e-6)


def test_twice_the_speed_takes_half_the_time_with_the_same_capture_times(clock: Clock) -> None:
    clip = part_of_demo_clip(5)
    with Notebook(clip) as notebook:
        play(clip, notebook, Playback(speed=2.0))
    assert [t_ns for _, _, t_ns in notebook.sent] == clip.t_ns.tolist()
    expected_s = (clip.t_ns[-1] - clip.t_ns[0]) / 2e9
    assert clock.now_s - 100 == pytest.approx(expected_s, abs=1e-6)


def test_only_people_who_are_there_are_sent_with_their_ids(clock: Clock) -> None:
    clip = part_of_demo_clip(3)
    keypoints = np.repeat(clip.keypoints, 2, 1)
    keypoints[1, 0] = 0
    keypoints[2] = 0
    two = replace(clip, keypoints=keypoints, ids=np.tile([4, 9], (3, 1)))
    with Notebook(clip) as notebook:
        play(two, notebook, Playback())
    assert [ids for _, ids, _ in notebook.sent] == [[4, 9], [9], []]
    np.testing.assert_array_equal(notebook.sent[1][0], keypoints[1, 1:])


def test_a_single_frame_comes_again_after_a_second(clock: Clock) -> None:
    clip = part_of_demo_clip(1)
    with Notebook(clip) as notebook:
        assert play(clip, notebook, Playback(loops=3)) == 3
    assert clock.now_s - 100 == pytest.approx(2.0)


def test_known_bone_lengths_go_with_their_people(clock: Clock) -> None:
    clip = part_of_demo_clip(2)
    with Notebook(clip) as notebook:
        play(clip, notebook, Playback())
        assert notebook.bones_m == [None, None]
        play(replace(clip, bones_m=np.full((1, 16), 0.25)), notebook, Playback())
    np.testing.assert_array_equal(notebook.bones_m[-1], np.full((1, 16), 0.25))


def test_a_publisher_says_what_the_clip_knows() -> None:
    clip = part_of_demo_clip(2, person_height_m=1.6)
    with publisher_of_clip(clip, SERVER, "rig", "cam") as publisher:
        empty = publisher._empty_frame
    assert (empty.skeleton, empty.wh) == (clip.skeleton.name, clip.size)
    assert empty.person_height_m == 1.6
    assert clip.intrinsics is not None
    assert empty.cam is not None
    assert empty.cam.k is not None
    assert empty.cam.k[0] == clip.intrinsics.fx_px
    assert empty.cam.gravity is not None


def test_a_server_of_ours_that_stays_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = part_of_demo_clip(1)
    monkeypatch.setattr(playback, "_SERVER_TIMEOUT_S", 0.01)
    with (
        publisher_of_clip(clip, SERVER, "rig", "cam") as publisher,
        pytest.raises(LangPoseError, match=r"did not ask for keypoints within 0\.01 s"),
    ):
        wait_for_server(publisher)
