"""What a subscriber has received and not handed out yet: poses in order, and the last heartbeat.

No socket and no clock: the caller brings messages and says when they came.
"""

from collections import deque
from collections.abc import Sequence

from langpose_rt.errors import MessageError
from langpose_rt.protocol.poses import PoseMessage, decode_pose
from langpose_rt.protocol.status import Heartbeat, decode_status


class PoseBacklog:
    """Messages of a server, sorted.

    Args:
        latest: Keep only the newest message of every topic.
        most: Messages kept; beyond that the oldest are skipped.

    Attributes:
        heartbeat: The last one; None before the first.
        heartbeat_s: When it came, by the caller's clock.
        rejected: Messages that could not be read.
        skipped: Poses that were passed over because newer ones were there.
    """

    def __init__(self, *, latest: bool, most: int) -> None:
        self.heartbeat: Heartbeat | None = None
        self.heartbeat_s = float("-inf")
        self.rejected = 0
        self.skipped = 0
        self._latest = latest
        self._most = most
        self._waiting: deque[list[bytes]] = deque()

    def put(self, messages: Sequence[list[bytes]], now_s: float) -> None:
        """Take what has arrived by now."""
        for parts in messages:
            if parts[0].startswith(b"hb/"):
                self._note_heartbeat(parts, now_s)
            else:
                self._waiting.append(parts)
        before = len(self._waiting)
        if self._latest:
            newest = {parts[0]: parts for parts in self._waiting}
            self._waiting = deque(newest.values())
        while len(self._waiting) > self._most:
            self._waiting.popleft()
        self.skipped += before - len(self._waiting)

    def take(self) -> PoseMessage | None:
        """The oldest poses that wait and can be read; None if there are none."""
        while self._waiting:
            try:
                return decode_pose(self._waiting.popleft())
            except MessageError:
                self.rejected += 1
        return None

    def _note_heartbeat(self, parts: list[bytes], now_s: float) -> None:
        try:
            notice = decode_status(parts)
        except MessageError:
            self.rejected += 1
            return
        if isinstance(notice, Heartbeat):
            self.heartbeat, self.heartbeat_s = notice, now_s
