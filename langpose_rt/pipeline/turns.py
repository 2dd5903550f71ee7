"""Turns: which streams take part in a step, where all frames together would take too long.

Rigs get even shares of the time, whatever they send: a frame of one person costs less than one of
a crowd, so a rig with few people is served before rigs with many. Nothing here reads a clock.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from langpose_rt.config import NS_PER_S

STEP_NS = 10_000_000
"""A step that would take longer leaves frames for the next one, so that 60 Hz can be kept."""

_LONGEST_STEP_NS = 500_000_000
_FRAME_COST = 1
"""Cost of a frame beside its people, in people."""

UNEVEN = 4
"""Rigs that want no more than so many times what the least wants are all served at once: a step of
fewer frames would cost more for each."""

_SMOOTHING = 0.1


@dataclass(frozen=True, slots=True)
class Waiting:
    """Oldest frame that a stream has waiting.

    Attributes:
        rig: Of the stream.
        people: In the frame.
        received_ns: When it arrived.
    """

    rig: str
    people: int
    received_ns: int


class Turns:
    """Chooses the streams of every step."""

    def __init__(self) -> None:
        self._now_ns, self._cost = 0, 0
        self._pace = _Pace()
        self._least, self._least_ns = 1 << 30, 0
        self._served: dict[str, int] = {}
        self._floor = 0

    def choose(self, waiting: Sequence[Waiting], now_ns: int) -> list[int]:
        """Return the indices of the streams whose oldest frame is taken now, in any order.

        All are, unless these people would need more than STEP_NS at the pace of the last steps and
        some rigs want much more than others. At least one is.

        Args:
            waiting: Oldest frame of every stream that has one.
            now_ns: Time of the step; rises from call to call.
        """
        self._measure(waiting, now_ns)
        costs = [_FRAME_COST + frame.people for frame in waiting]
        chosen, total = list(range(len(waiting))), sum(costs)
        room = self._pace.room(total)
        if chosen and self._is_uneven(waiting, costs, now_ns) and room < total:
            chosen = self._in_turn(waiting, costs, room)
            total = sum(costs[index] for index in chosen)
        elif self._served:
            self._served.clear()
            self._floor = 0
        self._now_ns, self._cost = now_ns, total
        return chosen

    def _measure(self, waiting: Sequence[Waiting], now_ns: int) -> None:
        """Measure the pace, where frames arrived in the first half of the step before."""
        taken_ns = min(now_ns - self._now_ns, _LONGEST_STEP_NS)
        busy_ns = self._now_ns + taken_ns // 2
        if self._cost and any(frame.received_ns < busy_ns for frame in waiting):
            self._pace.add(self._cost, taken_ns)

    def _is_uneven(self, waiting: Sequence[Waiting], costs: Sequence[int], now_ns: int) -> bool:
        """Return True if some rig wants much more than one of the last second."""
        wanted: Counter[str] = Counter()
        for frame, cost in zip(waiting, costs, strict=True):
            wanted[frame.rig] += cost
        least = min(wanted.values())
        if least <= self._least or now_ns - self._least_ns > NS_PER_S:
            self._least, self._least_ns = least, now_ns
        return max(wanted.values()) > UNEVEN * self._least

    def _in_turn(self, waiting: Sequence[Waiting], costs: Sequence[int], room: float) -> list[int]:
        """Choose frames, always of the rig that will have been served least, until it is full."""
        queues: dict[str, list[int]] = {}
        for index in sorted(range(len(waiting)), key=lambda index: waiting[index].received_ns):
            queues.setdefault(waiting[index].rig, []).append(index)
        self._served |= {rig: self._served.get(rig, self._floor) for rig in queues}
        turns = [(self._served[rig] + costs[own[0]], rig) for rig, own in queues.items()]
        heapq.heapify(turns)
        chosen: list[int] = []
        while turns and (costs[queues[turns[0][1]][0]] <= room or not chosen):
            served, rig = heapq.heappop(turns)
            chosen.append(index := queues[rig].pop(0))
            room -= costs[index]
            self._served[rig] = served
            if queues[rig]:
                heapq.heappush(turns, (served + costs[queues[rig][0]], rig))
        if turns:
            self._floor = min(self._served[rig] for _, rig in turns)
        self._served = {
            rig: served
            for rig, served in self._served.items()
            if rig in queues or served > self._floor
        }
        return chosen


class _Pace:
    """Time of a step as a line over its cost, fitted to the last steps."""

    def __init__(self) -> None:
        self._cost = self._ns = self._variance = self._covariance = 0.0
        self._ns_per_cost = 0.0

    def add(self, cost: int, ns: int) -> None:
        """Note a step."""
        if not self._cost:
            self._cost, self._ns, self._ns_per_cost = cost, ns, ns / cost
            return
        off_cost, off_ns = cost - self._cost, ns - self._ns
        self._cost += _SMOOTHING * off_cost
        self._ns += _SMOOTHING * off_ns
        self._variance += _SMOOTHING * (off_cost * off_cost - self._variance)
        self._covariance += _SMOOTHING * (off_cost * off_ns - self._covariance)
        if self._variance > 1:
            self._ns_per_cost = max(self._covariance / self._variance, 0.0)

    def room(self, wanted: int) -> float:
        """Return the cost that a step of STEP_NS has, or all that is wanted if less is no use."""
        left_ns = STEP_NS - (self._ns - self._ns_per_cost * self._cost)
        if self._ns_per_cost * wanted <= left_ns or left_ns <= 0 or not self._ns_per_cost:
            return float(wanted)
        return left_ns / self._ns_per_cost
