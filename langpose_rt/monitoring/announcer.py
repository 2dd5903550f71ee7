"""Announcer: scheduler for heartbeats, schemas and rate-limited events."""

import logging
import threading
from dataclasses import dataclass

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.protocol.messages import (
    Event,
    Heartbeat,
    encode_status,
    schema_from_skeleton,
)

HEARTBEAT_NS = NS_PER_S
SCHEMA_NS = 5 * NS_PER_S
SCHEMA_ON_REQUEST_NS = NS_PER_S
EVENT_NS = NS_PER_S
"""Shortest time between two events of the same kind, subject and reason."""

MAX_SUBJECTS = 128
"""Subjects at once; events about further ones are published together, without a subject."""

_LEVELS = {
    "fault": logging.ERROR,
    "camera": logging.INFO,
    "drain": logging.INFO,
    "model": logging.INFO,
}
"""Log level per kind of event; the others are warnings."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Topic:
    """Last detail of one (kind, subject, reason), and its count since the last event."""

    detail: str = ""
    count: int = 0
    published_ns: int | None = None


class Announcer:
    """Decides which status message is due, and encodes it.

    Args:
        server: Name in the heartbeat's topic.
        epoch: Random number of this start of the server.
    """

    def __init__(self, server: str, epoch: int) -> None:
        self._server, self._epoch = server, epoch
        self._beats = self._events = 0
        self._beat_ns: int | None = None
        self._schema_ns: int | None = None
        self._schemas_wanted = False
        self._topics: dict[tuple[str, str, str], _Topic] = {}
        self._lock = threading.Lock()
        self._schemas = [encode_status(schema_from_skeleton(known)) for known in SKELETONS.values()]

    def report(
        self, kind: str, reason: str, detail: str, subject: str = "", count: int = 1
    ) -> None:
        """Report an event, from any thread; it is published by the next `events` or a later one.

        Args:
            kind: Name in the event's topic, such as "reject".
            reason: Short label.
            detail: One sentence for a person.
            subject: Topic it is about.
            count: How often it happened.
        """
        with self._lock:
            if (kind, subject, reason) not in self._topics and len(self._topics) >= MAX_SUBJECTS:
                subject = ""
            topic = self._topics.setdefault((kind, subject, reason), _Topic())
            topic.detail, topic.count = detail, topic.count + count

    def events(self, now_ns: int, *, at_once: bool = False) -> list[list[bytes]]:
        """Return the events that are due, encoded; with ``at_once`` all that were reported."""
        with self._lock:
            messages = []
            for name, topic in list(self._topics.items()):
                limited = topic.published_ns is not None and now_ns - topic.published_ns < EVENT_NS
                if limited and not at_once:
                    continue
                if not topic.count:
                    del self._topics[name]
                    continue
                count, topic.count, topic.published_ns = topic.count, 0, now_ns
                messages.append(self._event(name, topic.detail, count, now_ns))
            return messages

    def heartbeat_due(self, now_ns: int) -> bool:
        """Return True once a second; the caller then takes a snapshot and calls `heartbeat`."""
        return self._beat_ns is None or now_ns - self._beat_ns >= HEARTBEAT_NS

    def heartbeat(self, snapshot: Snapshot, now_ns: int) -> list[bytes]:
        """Return the heartbeat for this snapshot, encoded."""
        late_ns = 0 if self._beat_ns is None else now_ns - self._beat_ns - HEARTBEAT_NS
        self._beat_ns = now_ns - late_ns if 0 <= late_ns < HEARTBEAT_NS else now_ns
        rejected = {f"rejected_{reason}": count for reason, count in snapshot.rejected.items()}
        counters = snapshot.counters | rejected
        self._beats += 1
        return encode_status(
            Heartbeat(
                server=self._server,
                epoch=self._epoch,
                seq=self._beats - 1,
                t_ns=now_ns,
                state=snapshot.state,  # type: ignore[arg-type]  # checked by encode_status
                uptime_s=snapshot.uptime_s,
                streams=len(snapshot.streams),
                persons=snapshot.persons,
                fps=snapshot.fps,
                p99_ms=snapshot.p99_ms,
                model=snapshot.model,
                counters={name: min(count, MAX_UINT) for name, count in counters.items()},
            )
        )

    def schemas(self, now_ns: int) -> list[list[bytes]]:
        """Return all keypoint formats, encoded, if they are due or wanted by a new subscriber."""
        if self._schema_ns is not None:
            since_ns = now_ns - self._schema_ns
            if since_ns < (SCHEMA_ON_REQUEST_NS if self._schemas_wanted else SCHEMA_NS):
                return []
        self._schema_ns, self._schemas_wanted = now_ns, False
        return list(self._schemas)

    def want_schemas(self) -> None:
        """Publish the schemas soon, for a new subscriber."""
        self._schemas_wanted = True

    def _event(
        self, name: tuple[str, str, str], detail: str, count: int, now_ns: int
    ) -> list[bytes]:
        kind, subject, reason = name
        self._events += 1
        about = {"kind": kind, "stream": subject, "reason": reason, "count": count}
        log.log(_LEVELS.get(kind, logging.WARNING), "%s", detail, extra=about)
        return encode_status(
            Event(
                kind=kind,
                epoch=self._epoch,
                seq=self._events - 1,
                t_ns=now_ns,
                subject=subject,
                reason=reason,
                detail=detail,
                count=min(count, MAX_UINT),
            )
        )
