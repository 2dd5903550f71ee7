"""Consumer client: receives 3D poses and heartbeats from a server.

The socket itself is in `socket.py`. A subscriber belongs to one thread; once closed it raises
LangPoseError. The bytes are specified in `langpose_rt.protocol.poses`.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence

import zmq

from langpose_rt.client.socket import MAX_WAITING_MESSAGES, ClientSocket
from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.protocol.header import topic_of
from langpose_rt.protocol.poses import PoseMessage, decode_pose
from langpose_rt.protocol.status import Heartbeat, decode_status

ALIVE_S = 3.0
"""A server is alive if its last heartbeat is no older; it sends one a second."""


class PoseBacklog:
    """Received messages not yet returned: poses in order, and the last heartbeat.

    Uses no socket and no clock: the caller passes messages and their receive time.

    Args:
        latest: Keep only the newest message of every topic.
        max_messages: Messages kept; beyond that the oldest are skipped.

    Attributes:
        heartbeat: The last one; None before the first.
        heartbeat_s: Receive time of the last heartbeat, by the caller's clock.
        rejected: Messages that could not be decoded.
        skipped: Poses dropped because newer ones had arrived.
    """

    def __init__(self, *, latest: bool, max_messages: int) -> None:
        self.heartbeat: Heartbeat | None = None
        self.heartbeat_s = float("-inf")
        self.rejected = 0
        self.skipped = 0
        self._latest = latest
        self._max_messages = max_messages
        self._waiting: deque[list[bytes]] = deque()

    def put(self, messages: Sequence[list[bytes]], now_s: float) -> None:
        """Add received messages."""
        for parts in messages:
            if parts[0].startswith(b"hb/"):
                self._put_heartbeat(parts, now_s)
            else:
                self._waiting.append(parts)
        before = len(self._waiting)
        if self._latest:
            newest = {parts[0]: parts for parts in self._waiting}
            self._waiting = deque(newest.values())
        while len(self._waiting) > self._max_messages:
            self._waiting.popleft()
        self.skipped += before - len(self._waiting)

    def take(self) -> PoseMessage | None:
        """Return the oldest pose message that can be decoded, or None."""
        while self._waiting:
            try:
                return decode_pose(self._waiting.popleft())
            except MessageError:
                self.rejected += 1
        return None

    def _put_heartbeat(self, parts: list[bytes], now_s: float) -> None:
        try:
            status = decode_status(parts)
        except MessageError:
            self.rejected += 1
            return
        if isinstance(status, Heartbeat):
            self.heartbeat, self.heartbeat_s = status, now_s


class PoseSubscriber(ClientSocket):
    """Receives the poses of a server, of one rig or of one camera.

        with PoseSubscriber("tcp://127.0.0.1:5556", rig="rig0", latest=True) as poses:
            for message in poses:
                print(message.topic, message.ids, message.poses.shape)

    Args:
        endpoint: Pose endpoint of the server, such as "tcp://127.0.0.1:5556".
        rig: Only this rig; all of them if empty.
        camera: Only this camera of the rig; all of them if empty.
        latest: Return only the newest of the messages that have arrived from each camera.
        timeout_s: Iteration ends after this time without a pose; None waits for ever.
        server_key: Public CURVE key of the server.
        key_pair: Public and secret CURVE key of this consumer.

    Raises:
        ConfigError: If an argument is invalid.
    """

    def __init__(
        self,
        endpoint: str,
        rig: str = "",
        camera: str = "",
        *,
        latest: bool = False,
        timeout_s: float | None = None,
        server_key: str | None = None,
        key_pair: tuple[str, str] | None = None,
    ) -> None:
        if camera and not rig:
            raise ConfigError(f'camera "{camera}" is given without its rig; name the rig too')
        try:
            topic = topic_of("pose3d", *filter(None, (rig, camera)))
        except MessageError as error:
            raise ConfigError(error.detail) from None
        super().__init__(zmq.SUB, endpoint, server_key, key_pair)
        for prefix in (topic, "hb/"):
            self._socket.subscribe(prefix)
        self._timeout_s = timeout_s
        self._backlog = PoseBacklog(latest=latest, max_messages=MAX_WAITING_MESSAGES)

    @property
    def heartbeat(self) -> Heartbeat | None:
        """Last heartbeat of the server; None before the first."""
        return self._read().heartbeat

    @property
    def heartbeat_age_s(self) -> float:
        """Seconds since the last heartbeat was read; infinite before the first."""
        return time.monotonic() - self._read().heartbeat_s

    @property
    def alive(self) -> bool:
        """True if a heartbeat arrived in the last ALIVE_S seconds, with or without poses."""
        return self.heartbeat_age_s <= ALIVE_S

    @property
    def skipped(self) -> int:
        """Poses dropped because newer ones had arrived."""
        return self._backlog.skipped

    @property
    def rejected(self) -> int:
        """Messages that could not be decoded."""
        return self._backlog.rejected

    def receive(self, timeout_s: float | None = None) -> PoseMessage | None:
        """Return the next pose message, or None after the timeout.

        Args:
            timeout_s: Time to wait; None waits for ever.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._read().take()) is None:
            if not self._wait(deadline_s):
                return None
        return message

    def __iter__(self) -> Iterator[PoseMessage]:
        """Yield poses as they arrive, until the timeout of this subscriber passes without one."""
        while (message := self.receive(self._timeout_s)) is not None:
            yield message

    def _read(self) -> PoseBacklog:
        self._backlog.put(self._receive_available(), time.monotonic())
        return self._backlog
