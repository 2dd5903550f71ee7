"""Rigs that publish at camera rate and a consumer that hears everything, for tests of a cluster."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import zmq

from langpose_rt.protocol.poses import PoseMessage, decode_pose
from tests.fakes import keypoint_parts, person_px
from tests.peers import LOCAL, WAIT_S

PEOPLE = person_px((-1, 0, 4)), person_px((1, 0, 4))


@dataclass
class Heard:
    """One pose message and when it came, by time.monotonic."""

    message: PoseMessage
    at_s: float


@dataclass
class Traffic:
    """What was sent and heard, by rig.

    Attributes:
        sent: Frames of every rig.
        heard: Poses of every rig in the order of arrival.
    """

    port: int
    poses_port: int
    rigs: list[str]
    rate_hz: float = 60.0
    sent: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sent_s: dict[tuple[str, int], float] = field(default_factory=dict)
    heard: dict[str, list[Heard]] = field(default_factory=lambda: defaultdict(list))
    topics: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over, self._silent = threading.Event(), threading.Event()
        self._all_sent = threading.Event()

    def run_for(self, seconds: float) -> None:
        """Let it run."""
        time.sleep(seconds)

    def finish(self) -> None:
        """Stop the rigs and wait for the last poses."""
        self._silent.set()
        self._all_sent.wait(WAIT_S)  # the rigs may be in the midst of a frame
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s and not all(
            self.heard[rig] and self.heard[rig][-1].message.src.seq == self.sent[rig] - 1
            for rig in self.rigs
        ):
            time.sleep(0.02)
        self._over.set()

    def missing(self, rig: str) -> list[int]:
        """Frames of a rig that were not answered."""
        return sorted(set(range(self.sent[rig])) - set(self.seqs(rig)))

    def seqs(self, rig: str) -> list[int]:
        """Numbers of the frames that were answered, in the order of arrival."""
        return [heard.message.src.seq for heard in self.heard[rig]]

    def longest_gap_s(self, rig: str) -> float:
        """Longest time between two poses of a rig."""
        times = [heard.at_s for heard in self.heard[rig]]
        return float(np.diff(times).max()) if len(times) > 1 else float("inf")

    def ids(self, rig: str) -> set[tuple[int, ...]]:
        """All lists of ids that a rig's people had."""
        return {tuple(heard.message.ids.tolist()) for heard in self.heard[rig]}

    def vias(self, rig: str) -> list[int]:
        """Assignments of the answers, in the order of arrival."""
        return [heard.message.via or 0 for heard in self.heard[rig]]

    def _publish(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        sockets = {}
        for rig in self.rigs:
            socket = sockets[rig] = context.socket(zmq.XPUB)
            socket.connect(f"tcp://{LOCAL}:{self.port}")
            assert socket.poll(WAIT_S * 1000), "the front did not subscribe"
        started_s = time.monotonic()
        for seq in range(1_000_000):
            time.sleep(max(started_s + seq / self.rate_hz - time.monotonic(), 0))
            if self._silent.is_set():
                break
            for rig, socket in sockets.items():
                t_ms = 1000 * seq / self.rate_hz
                parts = keypoint_parts(*PEOPLE, rig=rig, seq=seq, t_ms=t_ms, ids=[-1, -1])
                self.sent_s[rig, seq] = time.monotonic()
                socket.send_multipart(parts)
                self.sent[rig] = seq + 1
        self._all_sent.set()
        self._over.wait(2 * WAIT_S)
        for socket in sockets.values():
            socket.close(linger=0)

    def _listen(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        socket = context.socket(zmq.SUB)
        socket.set(zmq.RCVHWM, 0)
        socket.connect(f"tcp://{LOCAL}:{self.poses_port}")
        socket.subscribe(b"")
        while not self._over.is_set():
            while socket.poll(20):
                parts = socket.recv_multipart()
                self.topics.append(parts[0])
                if parts[0].startswith(b"pose3d/"):
                    message = decode_pose(parts)
                    self.heard[message.rig].append(Heard(message, time.monotonic()))
        socket.close(linger=0)


@contextmanager
def traffic(
    port: int, poses_port: int, rigs: list[str], rate_hz: float = 60.0
) -> Iterator[Traffic]:
    """Publish and listen until the block ends."""
    found = Traffic(port, poses_port, rigs, rate_hz)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    loops = [
        threading.Thread(target=loop, args=[context]) for loop in (found._listen, found._publish)
    ]
    loops[0].start()
    time.sleep(0.5)
    loops[1].start()
    try:
        yield found
        found.finish()
    finally:
        found._over.set()
        found._silent.set()
        for loop in loops:
            loop.join()
        context.destroy(linger=0)
