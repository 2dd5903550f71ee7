"""Collect keypoints in the place of a server: rigs connect as to one, and nothing is lifted."""

from collections.abc import Callable

import zmq

from langpose_rt.errors import MessageError
from langpose_rt.protocol.messages import JsonNumbering, decode_keypoints
from langpose_rt.recording.clips import ClipCollector
from langpose_rt.server.sockets import listening_socket

_POLL_MS = 100


def collect_keypoints(
    bind: str,
    port: int,
    keep_going: Callable[[ClipCollector, int], bool],
    now_ns: Callable[[], int],
) -> ClipCollector:
    """Receive keypoints of any number of rigs until told to stop.

    Args:
        bind: Address to listen on.
        port: Port of the keypoints; 0 takes any free one.
        keep_going: Called ten times a second with what there is so far and the port; False stops.
        now_ns: Reads the clock that the clips shall be on.

    Raises:
        ConfigError: If the port is taken, or a camera changes its keypoint format or image size.
    """
    collector, numbering = ClipCollector(), JsonNumbering(epoch=0)
    with zmq.Context() as context:
        socket, port = listening_socket(context, zmq.SUB, bind, port, option="--port")
        with socket:
            while keep_going(collector, port):
                waiting = socket.poll(_POLL_MS)
                while waiting:
                    arrived_ns, parts = now_ns(), socket.recv_multipart()
                    try:
                        message = decode_keypoints(parts, now_ns=arrived_ns, numbering=numbering)
                    except MessageError:
                        message = None
                    if message is not None:
                        collector.add(message, arrived_ns)
                    waiting = socket.poll(0)
    return collector
