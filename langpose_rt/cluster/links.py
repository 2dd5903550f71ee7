"""Sockets between the front and its lifters.

Frames go out through one socket per lifter, poses come back through one for all. Keys are those of
`langpose_rt.security`; the names of the files are in `placement.py`.
"""

from pathlib import Path
from typing import NamedTuple

import zmq

from langpose_rt.cluster.placement import FRONT
from langpose_rt.protocol.control import Ports
from langpose_rt.protocol.header import MAX_MESSAGE_BYTES
from langpose_rt.security.key_files import (
    PUBLIC,
    SECRET,
    KeyPair,
    key_pair_from_file,
    public_key_from_file,
)
from langpose_rt.security.keyring import SERVER

Socket = zmq.Socket[bytes]

SEND_HWM = 1024
"""Messages that may wait for a lifter; further ones are lost to it."""

_HEARTBEATS: dict[int, int] = {zmq.HEARTBEAT_IVL: 500, zmq.HEARTBEAT_TIMEOUT: 1500}
_MOST_TOLD = 100
_POSE_TOPICS = (b"pose3d/", b"event/", b"hb/")


class FrontKeys(NamedTuple):
    """Keys of the front at the lifters, and the public key they all have."""

    own: KeyPair
    lifter: str

    @classmethod
    def from_folder(cls, folder: Path | None) -> "FrontKeys | None":
        """Read the keys from the lifters' folder; None without one.

        Raises:
            ConfigError: If a file is missing or damaged.
        """
        if folder is None:
            return None
        own = key_pair_from_file(folder / f"{FRONT}{SECRET}")
        return cls(own, public_key_from_file(folder / f"{SERVER}{PUBLIC}"))


class Address(NamedTuple):
    """Addresses of one lifter.

    Attributes:
        host: As in "tcp://gpu1".
        ports: Its ports.
        epoch: Random number of this start of it.
    """

    host: str
    ports: Ports
    epoch: int

    @property
    def keypoints(self) -> str:
        """Endpoint of the keypoints."""
        return f"{self.host}:{self.ports.keypoints}"

    @property
    def poses(self) -> str:
        """Endpoint of the poses."""
        return f"{self.host}:{self.ports.poses}"


def request_socket(context: "zmq.Context[Socket]", endpoint: str, keys: FrontKeys | None) -> Socket:
    """Open a socket for control requests to a lifter."""
    return _connected(context, zmq.DEALER, endpoint, keys, _HEARTBEATS)


class LifterLinks:
    """Sockets for the frames of every lifter, and one for all answers; belongs to one thread.

    Args:
        context: Of the front.
        keys: Of the front at the lifters, or None.

    Attributes:
        answers: Socket that the poses come from.
    """

    def __init__(self, context: "zmq.Context[Socket]", keys: FrontKeys | None) -> None:
        self._context, self._keys = context, keys
        self._frames: dict[str, tuple[Socket, Address]] = {}
        self._attached: set[str] = set()
        # a SUB that connects has no heartbeats [libzmq#3937]
        self.answers = context.socket(zmq.SUB)
        for name, value in {zmq.LINGER: 0, zmq.RCVHWM: 0, zmq.IPV6: 1}.items():
            self.answers.set(name, value)
        for topic in _POSE_TOPICS:
            self.answers.subscribe(topic)

    def open(self, lifter: str, address: Address) -> None:
        """Connect to a lifter."""
        self.close_one(lifter)
        keys = self._keys
        # No heartbeats: a lifter that is slow to answer would lose what it has not read.
        # IMMEDIATE tells of connections that end.
        options: dict[int, int] = {zmq.SNDHWM: SEND_HWM, zmq.IMMEDIATE: 1}
        socket = _connected(self._context, zmq.XPUB, address.keypoints, keys, options)
        self._frames[lifter] = socket, address
        if keys is not None:
            _set_keys(self.answers, keys)
        self.answers.connect(address.poses)

    def attached(self, lifter: str) -> bool:
        """Return True once a lifter takes frames."""
        if lifter not in self._attached and lifter in self._frames:
            socket, _ = self._frames[lifter]
            if socket.poll(0):
                socket.recv()
                self._attached.add(lifter)
        return lifter in self._attached

    def broken(self) -> list[str]:
        """Return the lifters whose connection has ended since they were attached.

        ZeroMQ connects again, but what was sent before that is lost. They attach anew.
        """
        ended = [name for name in self._attached if self._frames[name][0].poll(0)]
        for name in ended:
            socket, _ = self._frames[name]
            told = [socket.recv() for _ in range(_MOST_TOLD) if socket.poll(0)]
            if not told[-1].startswith(b"\x01"):  # else it is back already
                self._attached.discard(name)
        return ended

    def send(self, lifter: str, parts: list[bytes]) -> bool:
        """Send a frame to a lifter; return False if it has too many waiting, or is gone."""
        link = self._frames.get(lifter)
        if link is None:
            return False
        try:
            link[0].send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def epoch(self, lifter: str) -> int:
        """Return the epoch of a lifter that is connected."""
        return self._frames[lifter][1].epoch

    def close_one(self, lifter: str) -> None:
        """Disconnect from a lifter, if there is a connection."""
        link = self._frames.pop(lifter, None)
        self._attached.discard(lifter)
        if link is not None:
            socket, address = link
            socket.close(linger=0)
            self.answers.disconnect(address.poses)

    def close(self) -> None:
        """Close all sockets."""
        for socket, _ in self._frames.values():
            socket.close(linger=0)
        self.answers.close(linger=0)


def _connected(
    context: "zmq.Context[Socket]",
    kind: int,
    endpoint: str,
    keys: FrontKeys | None,
    options: dict[int, int],
) -> Socket:
    socket = context.socket(kind)
    basic = {zmq.LINGER: 0, zmq.IPV6: 1, zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES}
    for name, value in (basic | options).items():
        socket.set(name, value)
    if keys is not None:
        _set_keys(socket, keys)
    socket.connect(endpoint)
    return socket


def _set_keys(socket: Socket, keys: FrontKeys) -> None:
    socket.setsockopt_string(zmq.CURVE_PUBLICKEY, keys.own.public)
    socket.setsockopt_string(zmq.CURVE_SECRETKEY, keys.own.secret)
    socket.setsockopt_string(zmq.CURVE_SERVERKEY, keys.lifter)
