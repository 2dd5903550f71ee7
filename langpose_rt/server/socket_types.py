"""Peers whose socket cannot speak here: ZeroMQ drops them without a word.

A PUSH socket that connects to the keypoint port, or a subscriber that took the wrong port, sees no
error; here its handshake is seen to end, and what to use instead is reported. A peer that notices
first and leaves looks like any that left, and is not reported. With keys the authenticator watches
handshakes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import parse_monitor_message

from langpose_rt.protocol.header import RejectReason
from langpose_rt.server.sockets import Socket

_SUCCEEDED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_FAILED = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_ACCEPTED, _DISCONNECTED = int(zmq.EVENT_ACCEPTED), int(zmq.EVENT_DISCONNECTED)

_EXPECTED = {
    zmq.SUB: "the keypoint port, and its socket is not PUB (but PUSH, REQ, DEALER or SUB, say); "
    "publish keypoints with PUB, and subscribe to poses on the pose port, the next one by default",
    zmq.XPUB: "the pose port, and its socket is not SUB (but PULL, PUB or REQ, say); "
    "subscribe to poses with SUB, and publish keypoints on the keypoint port",
    zmq.ROUTER: "the control port, and its socket is not REQ or DEALER; ask with one of those",
}


@dataclass(slots=True)
class _Watched:
    """One listening socket: the sentence about wrong peers, and unfinished handshakes."""

    events: Socket
    detail: str
    begun: set[int] = field(default_factory=set)


class SocketTypeMonitor:
    """Reports peers whose type of socket does not fit; one thread calls `poll`.

    Args:
        context: Of the server.
        on_reject: Receives the reason and a sentence of every rejection.
    """

    def __init__(
        self, context: "zmq.Context[Socket]", on_reject: Callable[[RejectReason, str], None]
    ) -> None:
        self._context, self._on_reject = context, on_reject
        self._watched: list[_Watched] = []

    def guard(self, socket: Socket) -> None:
        """Watch the handshakes of a socket that is not bound yet."""
        address = f"inproc://handshakes-{len(self._watched)}"
        socket.monitor(address, _SUCCEEDED | _FAILED | _ACCEPTED | _DISCONNECTED)
        events: Socket = self._context.socket(zmq.PAIR)
        events.set(zmq.RCVHWM, 0)  # a full queue would hold up the thread that serves all sockets
        events.connect(address)
        detail = f"somebody connects to {_EXPECTED[zmq.SocketType(int(socket.get(zmq.TYPE)))]}"
        self._watched.append(_Watched(events, detail))

    def poll(self) -> None:
        """Read what has happened since the last call; never waits."""
        for watched in self._watched:
            while watched.events.poll(0):
                event = parse_monitor_message(watched.events.recv_multipart())
                self._take(watched, int(event["event"]), int(event["value"]))

    def close(self) -> None:
        """Stop watching."""
        for watched in self._watched:
            watched.events.close(linger=0)

    def _take(self, watched: _Watched, event: int, descriptor: int) -> None:
        """Take one event; those of finished handshakes do not say of which connection they are."""
        if event == _ACCEPTED:
            watched.begun.add(descriptor)
        elif event != _DISCONNECTED:
            watched.begun.clear()
        elif descriptor in watched.begun:
            watched.begun.discard(descriptor)
            self._on_reject(RejectReason.WRONG_SOCKET, watched.detail)
