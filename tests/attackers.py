"""An honest rig that knows what it lost, and peers that attack a server beside it."""

import contextlib
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import zmq

from langpose_rt.benchmark.child_server import ChildServer
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.protocol.messages import KeypointMessage, decode_pose, encode_keypoints
from tests.background import process, running
from tests.fakes import keypoint_parts, person_px

MIB = 1 << 20
HONEST = "honest"
FRAME_S = 1 / 60
SETTLE_S = 15.0
"""As long as a frame may wait in a server that is patient, and longer."""
_WAIT_MS = 60_000
_POLL_MS = 50

Socket = zmq.Socket[bytes]
Attack = Callable[[ChildServer, threading.Event], None]
"""Attacks a server until the event is set."""


@dataclass
class Account:
    """What the honest rig sent, what came back, and how late.

    Attributes:
        sent: Frames.
        answered: Numbers of the frames that were answered with a pose.
        added_ms: From sending to the pose, of every answered frame.
    """

    sent: int = 0
    answered: set[int] = field(default_factory=set)
    added_ms: list[float] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Frames without a pose."""
        return self.sent - len(self.answered)


def _send_until(
    over: threading.Event, all_sent: threading.Event, frame: Callable[[], None], rate_hz: float
) -> None:
    """Send frames at that rate until it is over, and then say so."""
    begin_s, sent = time.perf_counter(), 0
    try:
        while not over.is_set():
            frame()
            sent += 1
            over.wait(max(begin_s + sent / rate_hz - time.perf_counter(), 0))
    finally:
        all_sent.set()


@contextmanager
def honest_rig(server: ChildServer, rate_hz: float = 60.0) -> Iterator[Account]:
    """One person at that rate while the block runs; the account is complete after it."""
    account, sent_s = Account(), dict[int, float]()
    over, all_sent = threading.Event(), threading.Event()
    with zmq.Context() as context, context.socket(zmq.XPUB) as rig, context.socket(zmq.SUB) as sub:
        rig.linger = sub.linger = 0
        rig.sndhwm = sub.rcvhwm = 100_000
        sub.subscribe(f"pose3d/{HONEST}/")
        sub.subscribe("hb/")
        sub.connect(server.pose_endpoint)
        rig.connect(server.keypoint_endpoint)
        assert rig.poll(_WAIT_MS), "the server did not subscribe"
        assert sub.poll(_WAIT_MS), "the server sent no heartbeat"

        def frame() -> None:
            person = person_px((0.1 * np.sin(account.sent / 30), 0, 4))
            sent_s[account.sent] = time.perf_counter()
            now_ms, seq = time.time_ns() / 1e6, account.sent
            rig.send_multipart(keypoint_parts(person, rig=HONEST, ids=[7], seq=seq, t_ms=now_ms))
            account.sent += 1

        def read() -> None:
            until_s = float("inf")
            while time.perf_counter() < until_s:
                if sub.poll(_POLL_MS):
                    parts = sub.recv_multipart()
                    if parts[0].startswith(b"pose3d/"):
                        message = decode_pose(parts)
                        if message.ids.tolist() == [7]:
                            spent_s = time.perf_counter() - sent_s[message.src.seq]
                            account.answered.add(message.src.seq)
                            account.added_ms.append(1e3 * spent_s)
                if all_sent.is_set():  # not before: it may be in the midst of a frame
                    until_s = min(until_s, time.perf_counter() + SETTLE_S)
                    if not account.lost:
                        break

        with running(lambda: _send_until(over, all_sent, frame, rate_hz), read):
            try:
                yield account
            finally:
                over.set()


def seconds_to_end(pid: int) -> float:
    """Send SIGTERM and wait for the end of a process; inf if it does not end."""
    begin_s = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    stat = Path(f"/proc/{pid}/stat")
    while time.monotonic() - begin_s < _WAIT_MS / 1000:
        if stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return time.monotonic() - begin_s
        time.sleep(0.01)
    return float("inf")


@contextmanager
def attacked(server: ChildServer, *names: str) -> Iterator[None]:
    """Run these attacks while the block runs, each in a process of the lowest priority.

    An attacker who is cut goes on. What it costs the machine is not what it costs the server.
    """
    words = [
        "nice",
        "-n",
        "19",
        sys.executable,
        "-m",
        "tests.attackers",
        json.dumps(server.announcement),
    ]
    with contextlib.ExitStack() as stack:
        for name in names:
            started = stack.enter_context(process([*words, name], stdout=subprocess.PIPE))
            assert started.stdout is not None
            assert started.stdout.readline(), f"{name} did not begin"
        yield


@contextmanager
def _peer(kind: int, endpoint: str) -> Iterator[Socket]:
    with zmq.Context() as context, context.socket(kind) as peer:
        peer.linger = 0
        peer.connect(endpoint)
        yield peer


def _repeat(over: threading.Event, every_s: float, step: Callable[[], object]) -> None:
    while not over.wait(every_s):
        with contextlib.suppress(zmq.Again):
            step()


def json_text(size: int) -> bytes:
    """JSON of so many bytes that is refused only after all of it has been read."""
    person = b'{"pose_keypoints_2d":[' + b"0.123456789012345," * 50 + b"1]}"
    people = b",".join([person] * (size // (len(person) + 1)))
    return (b'{"people":[' + people + b'],"wh":[1280,720]}').ljust(size)


def refused_json(size: int) -> Attack:
    """Return a peer that sends JSON of so many bytes, 60 a second."""
    text = json_text(size)

    def attack(server: ChildServer, over: threading.Event) -> None:
        with _peer(zmq.PUB, server.keypoint_endpoint) as peer:
            peer.sndhwm = 4
            parts = [f"kp2d/json{secrets.token_hex(4)}/cam0/".encode(), text]
            _repeat(over, FRAME_S, lambda: peer.send_multipart(parts, copy=False))

    return attack


def endless_parts(server: ChildServer, over: threading.Event) -> None:
    """Send messages of 1,500 parts of 1 MiB."""
    part = bytes(MIB)
    while not over.is_set():
        _raw_parts(server, part, over)


@contextmanager
def raw_peer(port: int, kind: bytes) -> Iterator[socket.socket]:
    """A connection that has greeted as ZMTP 3.1 wants it, as a socket of this kind.

    Raises:
        OSError: If nobody answers.
    """
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(greeting + b"\x04" + bytes([len(ready)]) + ready)
        left = len(greeting)
        while left:
            left -= len(peer.recv(left)) or left
        if len(header := peer.recv(2)) < 2:
            raise ConnectionResetError("cut in the midst of greeting")
        peer.recv(header[1])
        yield peer


def _raw_parts(server: ChildServer, part: bytes, over: threading.Event) -> None:
    """Send one message that does not end."""
    header = b"\x03" + len(part).to_bytes(8, "big")
    with contextlib.suppress(OSError), raw_peer(int(server.announcement["port"]), b"PUB") as peer:
        for _ in range(1500):
            if over.is_set():
                return
            peer.sendall(header)
            peer.sendall(part)


def reset_behind(port: int, kind: bytes) -> None:
    """Send small messages and heartbeats until nobody reads them, then reset the connection."""
    heartbeat, small = b"\x04\x07\x04PING\x00\x00", b"\x00\x01x"
    block = (20 * small + heartbeat) * 50
    until_s = time.monotonic() + 0.3
    with contextlib.suppress(OSError), raw_peer(port, kind) as peer:
        peer.settimeout(0.05)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while time.monotonic() < until_s:
            peer.sendall(block)


def resets(port: str, kind: bytes) -> Attack:
    """Return a peer that does so again and again."""

    def attack(server: ChildServer, over: threading.Event) -> None:
        while not over.wait(0.01):
            reset_behind(int(server.announcement[port]), kind)

    return attack


def subscriptions(length: int, *, taken_back: bool = False) -> Attack:
    """Return a consumer that subscribes to ever new topics of so many bytes."""

    def attack(server: ChildServer, over: threading.Event) -> None:
        with _peer(zmq.XSUB, server.pose_endpoint) as peer:
            while not over.is_set():
                for _ in range(100):
                    topic = secrets.token_bytes(8).ljust(length, b"x")
                    with contextlib.suppress(zmq.Again):
                        peer.send(b"\x01" + topic, zmq.NOBLOCK)
                        if taken_back:
                            peer.send(b"\x00" + topic, zmq.NOBLOCK)
                over.wait(0.01)

    return attack


def largest_numbers(server: ChildServer, over: threading.Event) -> None:
    """Begin a new epoch again and again, and jump to the largest number in each."""
    with _peer(zmq.PUB, server.keypoint_endpoint) as peer:
        epoch = 0

        def jump() -> None:
            nonlocal epoch
            epoch += 1
            for seq in (0, MAX_UINT):
                person = person_px((0, 0, 4))
                now_ms = time.time_ns() / 1e6 + bool(seq)
                parts = keypoint_parts(person, rig="jump", epoch=epoch, seq=seq, t_ms=now_ms)
                peer.send_multipart(parts)

        _repeat(over, FRAME_S, jump)


def cameras(count: int, people: int = 1, *, rigs: int = 1, rate_hz: float = 20.0) -> Attack:
    """Return a peer that publishes so many cameras of so many rigs, with crowds of 133 joints."""
    rng = np.random.default_rng(0)
    crowd = rng.uniform(100, 700, (people, 133, 3)).astype(np.float32)
    crowd[..., 2] = 0.9

    def parts_of(camera: int, seq: int) -> list[bytes]:
        return encode_keypoints(
            KeypointMessage(
                rig=f"many{camera % rigs}",
                camera=f"cam{camera}",
                epoch=1,
                seq=seq,
                t_ns=time.time_ns(),
                skeleton="coco133",
                wh=(1280, 720),
                keypoints=crowd + np.float32(np.sin(seq / 20)),
                ids=np.arange(people),
            )
        )

    def attack(server: ChildServer, over: threading.Event) -> None:
        with _peer(zmq.PUB, server.keypoint_endpoint) as peer:
            seq = 0
            while not over.wait(1 / rate_hz):
                for camera in range(count):
                    with contextlib.suppress(zmq.Again):
                        peer.send_multipart(parts_of(camera, seq), zmq.NOBLOCK)
                seq += 1

    return attack


def connections(count: int) -> Attack:
    """Return a peer that opens so many connections to every port and says nothing."""

    def attack(server: ChildServer, over: threading.Event) -> None:
        ports = [int(server.announcement[name]) for name in ("port", "output_port")]
        with contextlib.ExitStack() as opened:
            for number in range(count):
                with contextlib.suppress(OSError):
                    where = "127.0.0.1", ports[number % 2]
                    opened.enter_context(socket.create_connection(where, timeout=1))
                if over.is_set():
                    return
            over.wait()

    return attack


def noise(server: ChildServer, over: threading.Event) -> None:
    """Send bytes that are no ZeroMQ, and messages that are none of ours."""
    where = "127.0.0.1", int(server.announcement["port"])
    with _peer(zmq.PUB, server.keypoint_endpoint) as peer:

        def send() -> None:
            peer.send_multipart([b"kp2d/noise/cam0/", os.urandom(200), os.urandom(500)])
            with contextlib.suppress(OSError), socket.create_connection(where, timeout=1) as raw:
                raw.sendall(os.urandom(300))

        _repeat(over, FRAME_S, send)


def people(kind: str) -> Attack:
    """Return a rig whose people are not there or do not keep their ids."""
    crowd = [person_px((0.5 * column - 4, 0, 4 + row)) for row in range(4) for column in range(16)]

    def frame_of(seq: int) -> tuple[list[np.ndarray], list[int]]:
        if kind == "ids that change":
            return crowd[:16], list(range(16 * seq, 16 * seq + 16))
        if kind == "four ghosts":
            return [crowd[0], *(crowd[(5 * seq + n) % 60 + 1] for n in range(4))], [-1] * 5
        return crowd, list(range(64))

    def attack(server: ChildServer, over: threading.Event) -> None:
        seq = 0
        with _peer(zmq.XPUB, server.keypoint_endpoint) as rig:
            rig.poll(_WAIT_MS)
            while not over.wait(FRAME_S):
                if seq and kind == "a crowd that dies":
                    continue
                shown, ids = frame_of(seq)
                now_ms = time.time_ns() / 1e6
                rig.send_multipart(keypoint_parts(*shown, rig="bad", ids=ids, seq=seq, t_ms=now_ms))
                seq += 1

    return attack


ATTACKS: dict[str, tuple[Attack, ...]] = {
    "json beyond the largest": (refused_json(800_000),) * 10,
    "json that is refused": (refused_json(700_000),) * 10,
    "endless parts": (endless_parts,),
    "long subscriptions": (subscriptions(4000),),
    "many subscriptions": (subscriptions(400),) * 2,
    "subscriptions taken back": (subscriptions(30, taken_back=True),),
    "largest numbers": (largest_numbers,),
    "seventy cameras": (cameras(70),),
    "sixty crowds": (cameras(60, 64, rigs=60, rate_hz=10.0),),
    "connections": (connections(1500),),
    "noise": (noise,),
    "resets": (resets("port", b"PUB"),) * 3,
    "resets of requests": (resets("control_port", b"DEALER"),) * 3,
    "resets of subscriptions": (resets("output_port", b"SUB"),) * 3,
    "a crowd that dies": (people("a crowd that dies"),),
    "ids that change": (people("ids that change"),),
    "four ghosts": (people("four ghosts"),),
}
"""Every attack by its name; several peers may carry out one."""


def main() -> None:
    """Carry out one attack against an announced server until killed."""
    server, over = ChildServer(json.loads(sys.argv[1]), 0), threading.Event()
    with running(*(lambda one=one: one(server, over) for one in ATTACKS[sys.argv[2]])):
        print("begun", flush=True)


if __name__ == "__main__":
    main()
