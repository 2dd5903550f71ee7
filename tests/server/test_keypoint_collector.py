"""Keypoints in the place of a server: real sockets, what is unreadable is left out."""

import threading
import time

import numpy as np
import pytest

from langpose_rt.benchmark.volume_playback import play_together, there_and_back
from langpose_rt.client.address import Connection
from langpose_rt.errors import ConfigError
from langpose_rt.recording.clips import ClipCollector
from langpose_rt.server.keypoint_collector import collect_keypoints
from tests.commands import part_of_demo_clip


def test_rigs_connect_as_to_a_server_and_every_camera_is_a_clip() -> None:
    clip = there_and_back(part_of_demo_clip(10), 10, time.time_ns())
    clips = {"left": clip, "right": clip}
    players: list[threading.Thread] = []
    until_s = time.monotonic() + 20

    def keep_going(collector: ClipCollector, port: int) -> bool:
        if not players:
            server = Connection(endpoint=f"tcp://127.0.0.1:{port}")
            players.append(
                threading.Thread(target=play_together, args=(clips, server, "rig"), daemon=True)
            )
            players[0].start()
        return collector.frames < 20 and time.monotonic() < until_s

    found = collect_keypoints("127.0.0.1", 0, keep_going, time.time_ns).clips()
    players[0].join(10)
    assert sorted(found) == ["rig/left", "rig/right"]
    for one in found.values():
        np.testing.assert_array_equal(one.keypoints[:, 0], clip.keypoints[:, 0])


def test_a_port_in_use_is_one_sentence() -> None:
    def in_use(_collector: ClipCollector, port: int) -> bool:
        with pytest.raises(ConfigError, match=r"cannot listen on .*choose another --port"):
            collect_keypoints("127.0.0.1", port, lambda *_: False, time.time_ns)
        return False

    assert collect_keypoints("127.0.0.1", 0, in_use, time.time_ns).frames == 0
