"""Where keypoints come from: the socket that rigs connect to, and one for every rig that binds.

A SUB that connected is dead for good once its peer has sent an oversized message (libzmq issue
4196), and nothing tells; so each such rig has a socket of its own, and a watchdog makes a silent
one anew. Belongs to the ingest thread. Time is an argument.
"""

from collections import deque

import zmq

from langpose_rt.security.keyring import Keyring
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.sockets import Socket, connected_socket
from langpose_rt.server.zap import received_with_name


class RigSockets:
    """All sockets keypoints come from, read in turn.

    Args:
        context: Of the server.
        bound: The socket that rigs connect to; closed with the others.
        config: Names the rigs that bind, and how long one may be silent.
        keyring: Knows the names of public keys, if the bound socket is guarded.

    Raises:
        ConfigError: If an endpoint is none.
    """

    def __init__(
        self,
        context: "zmq.Context[Socket]",
        bound: Socket,
        config: ServerConfig,
        keyring: Keyring | None = None,
    ) -> None:
        self._keyring = keyring
        self._context, self._bound, self._timeout_s = context, bound, config.connect_timeout_s
        self._ready: deque[Socket] = deque()
        self._poller = zmq.Poller()
        self._poller.register(bound, zmq.POLLIN)
        self._rigs: list[_Rig] = []
        for endpoint in config.connect:
            self._rigs.append(_Rig(endpoint, connected_socket(context, endpoint)))
            self._poller.register(self._rigs[-1].socket, zmq.POLLIN)

    def wait(self, timeout_ms: int) -> bool:
        """Wait until a message is there; whether one is."""
        self._ready = deque(socket for socket, _ in self._poller.poll(timeout_ms))
        return bool(self._ready)

    def receive(self) -> tuple[list[bytes], str | None] | None:
        """The next message of one rig after the other; None if `wait` must be asked.

        Messages of the rigs that connect come from one socket, which takes turns by itself.

        Returns:
            Its parts, and what the sender's key is named after; None where there are no keys.
        """
        while self._ready:
            socket = self._ready.popleft()
            if (message := received_with_name(socket, self._keyring)) is not None:
                self._ready.append(socket)
                for rig in self._rigs:
                    rig.heard |= rig.socket is socket
                return message
        return None

    def tend(self, now_s: float) -> tuple[int, list[str]]:
        """Connect anew to the rigs that were silent for long.

        Returns:
            How many, and the endpoints of those that have only now fallen silent.
        """
        count, fallen = 0, []
        for rig in self._rigs:
            if rig.heard or rig.since_s is None:
                rig.since_s, rig.told = now_s, rig.told and not rig.heard
                rig.heard = False
            elif now_s - rig.since_s > self._timeout_s:
                self._renew(rig)
                rig.since_s, count = now_s, count + 1
                if not rig.told:
                    fallen.append(rig.endpoint)
                rig.told = True
        return count, fallen

    def close(self) -> None:
        """Close all."""
        for socket in (self._bound, *(rig.socket for rig in self._rigs)):
            socket.close()

    def _renew(self, rig: "_Rig") -> None:
        self._poller.unregister(rig.socket)
        rig.socket.close()
        rig.socket = connected_socket(self._context, rig.endpoint)
        self._poller.register(rig.socket, zmq.POLLIN)


class _Rig:
    """A rig that binds: its socket, since when it is silent, and whether that was told."""

    def __init__(self, endpoint: str, socket: Socket) -> None:
        self.endpoint, self.socket = endpoint, socket
        self.heard = self.told = False
        self.since_s: float | None = None
