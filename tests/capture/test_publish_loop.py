"""Publishing loop over a real socket, with a fake detector and fake frames."""

from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from langpose_rt.capture.publish_loop import PublishCounts, publish_detections
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.protocol.messages import decode_keypoints


class Pictures:
    """Three pictures; their colour says how many people are in them."""

    size = (64, 48)
    fps = 30.0
    dropped = 0

    def pictures(self) -> Iterator[tuple[np.ndarray, int]]:
        for people in (1, 0, 2):
            yield np.full((48, 64, 3), people, np.uint8), 1000 * people + 5

    def close(self) -> None: ...


class Finder:
    """Everybody's joints are where their number is."""

    skeleton = "coco17"

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        people = int(picture[0, 0, 0])
        return np.arange(people * 51, dtype=np.float32).reshape(people, 17, 3)


@pytest.fixture
def server() -> Iterator["zmq.Socket[bytes]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.subscribe(b"")
    yield socket
    context.destroy(linger=0)


def test_every_picture_is_published_with_its_time_and_its_people(
    server: "zmq.Socket[bytes]",
) -> None:
    port = server.bind_to_random_port("tcp://127.0.0.1")
    counts = PublishCounts()
    with RigPublisher(
        f"tcp://127.0.0.1:{port}", "r", "c", skeleton="coco17", size=Pictures.size
    ) as publisher:
        # a bound SUB attaches peers while it is polled
        assert any(server.poll(5) or publisher.wait_for_server(0.05) for _ in range(200))
        publish_detections(Pictures(), Finder(), publisher, counts=counts)
        assert server.poll(10_000)
        messages = [decode_keypoints(server.recv_multipart(), now_ns=0) for _ in range(3)]
    assert [(len(m.ids), m.t_ns) for m in messages] == [(1, 1005), (0, 5), (2, 2005)]
    assert messages[2].keypoints[1, 16, 0] == 99
    assert (counts.frames, counts.people) == (3, 3)
    assert counts.detector_ms > 0


def test_it_ends_when_it_is_told_to() -> None:
    counts = PublishCounts()
    with RigPublisher("tcp://127.0.0.1:1", "r", "c", size=Pictures.size) as publisher:
        publish_detections(
            Pictures(),
            Finder(),
            publisher,
            counts=counts,
            on_frame=lambda: counts.frames < 2,
        )
    assert counts.frames == 2
