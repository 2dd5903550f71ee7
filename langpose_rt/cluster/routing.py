"""Routing table: all streams, the lifters that serve them, and whose answers are passed on.

A number that rises with every assignment of a stream, its epoch, is in every frame on its way to a
lifter and in every pose on its way back. A pose of another epoch than the present one is not passed
on, so a lifter that lost a stream, and does not know it, cannot answer for it.

Streams that come through another front are passed on too: each frame's first answer, in order. No
socket and no clock here.
"""

from collections import Counter
from dataclasses import dataclass

from langpose_rt.cluster.headers import (
    Answer,
    FrameNumber,
    answer_from_header,
    frame_number,
)
from langpose_rt.cluster.ownership import Groups, owner_of
from langpose_rt.cluster.stream_route import Send, StreamRoute
from langpose_rt.errors import MessageError
from langpose_rt.pipeline.ingest import TOO_MANY_STREAMS
from langpose_rt.protocol.header import time_from_wire, topic_names

FORGET_NS = 10_000_000_000
"""A stream without frames is forgotten after this."""

FOREIGN_NS = 2_000_000_000
"""A stream that another front served so lately goes on at the lifter it has."""

MOST_STREAMS = 4096
"""Streams of one front; one core carries far fewer at camera rate."""

HAND_OVERS = 16
"""Streams that are handed over at once, unless their owner is gone."""

_NS_PER_MS = 1_000_000


@dataclass(slots=True, eq=False)
class _Foreign:
    """Last answer for a stream that comes through another front."""

    number: FrameNumber
    lifter: str
    epoch: int
    heard_ns: int


class RoutingTable:
    """Routing of frames to lifters and of their answers to consumers.

    One thread changes it; `lifters`, `moving`, `owned_by` and `owner` may be read by any.

    Args:
        groups: Streams that belong together.
        unix_ns: What to add to steady times for unix time; epochs of several fronts rise together.

    Attributes:
        counts: Totals by name: frames, poses, old_epoch (answers not passed on), foreign,
            hand_overs, failovers, unrouted (frames that wait as there is no lifter), overflowed
            (frames that waited until newer ones took their place: lost).
    """

    def __init__(self, groups: Groups | None = None, *, unix_ns: int = 0) -> None:
        self._groups, self._unix_ns = groups or Groups(), unix_ns
        self._routes: dict[bytes, StreamRoute] = {}
        self._foreign: dict[bytes, _Foreign] = {}
        self._fused: dict[bytes, int] = {}
        self._lifters: dict[str, bool] = {}
        self._names: dict[int, str] = {}
        self._last_epoch = 0
        names = "frames poses old_epoch foreign hand_overs failovers unrouted overflowed".split()
        self.counts: Counter[str] = Counter(dict.fromkeys(names, 0))

    @property
    def lifters(self) -> list[str]:
        """Names of the live lifters, draining ones too."""
        return list(self._lifters)

    @property
    def moving(self) -> bool:
        """True while a stream is handed over."""
        return any(route.in_transit for route in list(self._routes.values()))

    @property
    def replaying(self) -> bool:
        """True while `tick` may have frames to send soon."""
        return any(route.replaying for route in self._routes.values())

    def owned_by(self, lifter: str) -> list[bytes]:
        """Return the topics that a lifter owns or is about to own."""
        routes = list(self._routes.values())
        return [route.topic for route in routes if lifter in (route.owner, route.target)]

    def owner(self, rig: str, camera: str) -> str | None:
        """Return the lifter whose answers for a stream are passed on, if the stream is known."""
        route = self._routes.get(f"kp2d/{rig}/{camera}/".encode())
        return None if route is None else route.owner

    def add(self, lifter: str, server_epoch: int, now_ns: int) -> list[Send]:
        """Add a live lifter; streams move to it little by little, see `tick`."""
        self._lifters[lifter] = True
        self._names[server_epoch] = lifter
        return self._place_orphans(now_ns)

    def drain(self, lifter: str) -> None:
        """Hand all streams of a lifter over; it owns nothing once `owned_by` is empty."""
        if lifter in self._lifters:
            self._lifters[lifter] = False

    def remove(self, lifter: str, now_ns: int) -> list[Send]:
        """Remove a lifter that is gone, and give its streams to others."""
        self._lifters.pop(lifter, None)
        self._names = {epoch: name for epoch, name in self._names.items() if name != lifter}
        for route in self._routes.values():
            route.lost(lifter)
        return self._place_orphans(now_ns)

    def frame(self, parts: list[bytes], now_ns: int) -> list[Send]:
        """Take a message of a rig and return where it goes.

        Raises:
            MessageError: bad_topic, bad_header or too_many_streams.
        """
        topic = parts[0]
        route = self._routes.get(topic) or self._new_route(topic, now_ns)
        number = frame_number(parts[1])
        if number is None:
            # the owner says what is wrong with it, counts it and reports it
            return [Send(route.owner, parts)] if route.owner is not None else []
        self.counts["frames"] += 1
        if route.owner is None and not route.in_transit:
            self.counts["unrouted"] += 1
        before = route.overflowed
        sends = route.frame(number, parts, now_ns)
        self.counts["overflowed"] += route.overflowed - before
        return sends

    def answer(self, parts: list[bytes], now_ns: int) -> tuple[bool, list[Send]]:
        """Take a pose message of a lifter.

        Returns:
            True if it is to be passed on; and what to send.

        Raises:
            MessageError: bad_header or bad_topic.
        """
        answer = answer_from_header(parts[1])
        if parts[0].endswith(b"/fused/"):
            return self._is_next_instant(parts[0], answer), []
        topic = b"kp2d/" + parts[0].partition(b"/")[2]
        route = self._routes.get(topic)
        if route is None:
            good, sends = self._foreign_answer(topic, answer, now_ns), list[Send]()
        else:
            good, sends = route.answer(answer, now_ns)
        self.counts["poses" if good else "old_epoch"] += 1
        return good, sends

    def tick(self, now_ns: int) -> list[Send]:
        """Begin the hand-overs that are due, go on with those under way, forget silent streams."""
        sends: list[Send] = []
        silent = [r.topic for r in self._routes.values() if now_ns - r.heard_ns > FORGET_NS]
        for topic in silent:
            route = self._routes.pop(topic)
            if route.owner is not None and route.answered is not None:
                # late answers are still to come: none is passed on a second time
                self._foreign[topic] = _Foreign(route.answered, route.owner, route.epoch, now_ns)
        stale = [t for t, f in self._foreign.items() if now_ns - f.heard_ns > FORGET_NS]
        for topic in stale:
            del self._foreign[topic]
        moving = sum(route.in_transit for route in self._routes.values())
        for route in self._routes.values():
            if route.replaying:
                sends += route.replay(now_ns)
            if route.in_transit:
                continue
            wanted = self._wanted(route)
            if wanted in (None, route.owner):
                continue
            if route.owner is None or (moving < HAND_OVERS and route.warm):
                moving += 1
                sends += self._begin(route, wanted, now_ns)
        return sends

    def _wanted(self, route: StreamRoute) -> str | None:
        staying = [name for name, stays in self._lifters.items() if stays]
        return owner_of(route.group, staying or self._lifters)

    def _begin(self, route: StreamRoute, lifter: str | None, now_ns: int) -> list[Send]:
        assert lifter is not None
        self.counts["failovers" if route.owner is None else "hand_overs"] += 1
        return route.hand_over(lifter, self._new_epoch(now_ns), now_ns)

    def _place_orphans(self, now_ns: int) -> list[Send]:
        """Begin to hand over every stream without an owner, if there is any lifter."""
        sends: list[Send] = []
        for route in self._routes.values():
            if route.owner is None and not route.in_transit:
                wanted = self._wanted(route)
                if wanted is not None:
                    sends += self._begin(route, wanted, now_ns)
        return sends

    def _new_route(self, topic: bytes, now_ns: int) -> StreamRoute:
        rig, _ = topic_names(topic, "kp2d", 2)
        if len(self._routes) >= MOST_STREAMS:
            detail = f"a front takes {MOST_STREAMS} cameras at once; start another front"
            raise MessageError(TOO_MANY_STREAMS, detail)
        route = StreamRoute(topic, self._groups.of(rig), now_ns)
        foreign = self._foreign.pop(topic, None)
        known = foreign is not None and now_ns - foreign.heard_ns < FOREIGN_NS
        if foreign is not None and known and self._lifters.get(foreign.lifter):
            route.assign(foreign.lifter, foreign.epoch, foreign.number)
        elif (wanted := self._wanted(route)) is not None:
            route.assign(wanted, self._new_epoch(now_ns))
        self._routes[topic] = route
        return route

    def _new_epoch(self, now_ns: int) -> int:
        self._last_epoch = max(self._last_epoch + 1, (now_ns + self._unix_ns) // _NS_PER_MS)
        return self._last_epoch

    def _is_next_instant(self, topic: bytes, answer: Answer) -> bool:
        """Return True for the first fused pose of an instant; in a hand-over two lifters fuse."""
        instant_ns = time_from_wire(answer.src.t)
        good = instant_ns > self._fused.get(topic, instant_ns - 1)
        if good:
            self._fused[topic] = instant_ns
        self.counts["poses" if good else "old_epoch"] += 1
        return good

    def _foreign_answer(self, topic: bytes, answer: Answer, now_ns: int) -> bool:
        """Note an answer for a stream of another front; return True for a frame's first one."""
        number, before = FrameNumber(answer.src.epoch, answer.src.seq), self._foreign.get(topic)
        lifter = self._names.get(answer.epoch)
        if lifter is None or answer.via is None:
            return False
        if before is not None and not _is_newer(number, answer.via, before):
            return False
        self._foreign[topic] = _Foreign(number, lifter, answer.via, now_ns)
        self.counts["foreign"] += 1
        return True


def _is_newer(number: FrameNumber, epoch: int, before: _Foreign) -> bool:
    """Return True if an answer is not for a frame that was answered, nor of an old assignment."""
    if number.epoch != before.number.epoch:
        return True
    return number.seq > before.number.seq and epoch >= before.epoch
