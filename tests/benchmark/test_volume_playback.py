"""Several cameras at once: one stream each, one clock, nobody jumps at the end of the clip."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import zmq

from langpose_rt.benchmark.volume_playback import play_together, there_and_back
from langpose_rt.client.address import Connection
from langpose_rt.protocol.messages import decode_keypoints
from tests.commands import part_of_demo_clip


def test_a_clip_goes_there_and_back_at_its_own_rate() -> None:
    clip = part_of_demo_clip(4)
    played = there_and_back(clip, 9, start_ns=1_000)
    order = [0, 1, 2, 3, 2, 1, 0, 1, 2]
    np.testing.assert_array_equal(played.keypoints, clip.keypoints[order])
    assert played.pose3d is not None
    assert clip.pose3d is not None
    np.testing.assert_array_equal(played.pose3d, clip.pose3d[order])
    assert played.t_ns[0] == 1_000
    steps = np.diff(played.t_ns)
    assert abs(steps - (clip.t_ns[1] - clip.t_ns[0])).max() <= 2


def test_every_camera_is_a_stream_of_the_rig_with_the_same_capture_times() -> None:
    clip = there_and_back(part_of_demo_clip(3), 5, start_ns=10**18)
    clips = {"left": clip, "right": replace(clip, keypoints=clip.keypoints + np.float32(1))}
    done: list[int] = []
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.SUBSCRIBE, b"kp2d/")
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        server = Connection(endpoint=f"tcp://127.0.0.1:{port}")
        received = []
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(play_together, clips, server, "rig", on_frame=done.append)
            while socket.poll(500) or not sent.done():  # a bound socket subscribes while it is read
                if socket.poll(0):
                    received.append(decode_keypoints(socket.recv_multipart(), now_ns=0))
    assert sent.result() == 10
    assert done == [1, 2, 3, 4, 5]
    times = {
        name: [message.t_ns for message in received if message.camera == name] for name in clips
    }
    assert times == dict.fromkeys(clips, clip.t_ns.tolist())
