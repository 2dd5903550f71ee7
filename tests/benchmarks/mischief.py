"""Rigs that do everything a rig should not, and know exactly what they have done."""

import secrets
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import zmq

from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.config import NS_PER_S
from langpose_rt.protocol.frames import empty_frame, frame_with_people
from langpose_rt.protocol.header import MAX_MESSAGE_BYTES, MAX_PEOPLE, MAX_UINT
from langpose_rt.protocol.keypoints import encode_keypoints

MAX_PERSONS = 6
CROWD = MAX_PEOPLE + 6
LONGEST_GAP = 5
FAULTS = {
    "duplicate": 0.01,
    "late": 0.005,
    "gap": 0.01,
    "garbage": 0.01,
    "unseen joints": 0.03,
    "infinite joints": 0.01,
    "crowd": 0.0005,
    "the same id twice": 0.005,
    "other people": 0.005,
    "clock step": 0.0005,
    "restart": 0.001,
}
"""How often each comes, a frame."""

_MOMENTS = 240
_LINGER_MS = 5000
_WANTED_MS = 10_000


@dataclass
class Tally:
    """What was sent, in the server's words.

    Attributes:
        counts: messages, rejected, late, dup, gap, clipped, people_dropped, duplicate_ids,
            clock_steps and restarts, as the server should count them.
        good: Frames that should be accepted.
        faults: How often each fault was made.
        people: Of (rig, epoch), how many people every good frame had, by its number.
    """

    counts: Counter[str] = field(default_factory=Counter)
    good: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    people: dict[tuple[str, int], dict[int, int]] = field(default_factory=dict)


class NaughtyRig:
    """One camera of a rig; it sends every frame that is due, and faults in between.

    Args:
        name: Of the rig.
        endpoint: Where the server listens.
        rng: What decides.
        tally: Written to.
    """

    def __init__(self, name: str, endpoint: str, rng: np.random.Generator, tally: Tally) -> None:
        self.name, self._endpoint, self._rng, self._tally = name, endpoint, rng, tally
        self.rate_hz, self.due_s = float(rng.uniform(10, 60)), 0.0
        self._crowd = Crowd(CROWD, rate_hz=60.0, first_ns=0)
        self._moments = [self._crowd.keypoints(moment) for moment in range(_MOMENTS)]
        self._tracked = bool(rng.random() < 0.5)
        self._persons = int(rng.integers(0, MAX_PERSONS + 1))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._begin()

    def close(self) -> None:
        """Leave; what is queued is still sent."""
        self._socket.close(linger=_LINGER_MS)
        self._context.term()

    def send(self, now_ns: int) -> None:
        """One frame as it should be, or a fault and then perhaps one."""
        for fault, chance in FAULTS.items():
            if self._rng.random() < chance:
                self._tally.faults[fault] += 1
                _DEEDS[fault](self)
        people, ids = self._people()
        self._send_frame(people, ids, now_ns)

    def _begin(self) -> None:
        self._epoch = secrets.randbelow(MAX_UINT + 1)
        self._seq, self._ahead_ns, self._last = 0, 0, list[bytes]()
        self._shape: str | None = None
        self._oddities: Counter[str] = Counter()
        self._skipped = 0
        self._nobody = empty_frame(
            self.name,
            "cam0",
            epoch=self._epoch,
            skeleton=self._crowd.clip.skeleton.name,
            size=self._crowd.clip.size,
        )
        self._tally.people[self.name, self._epoch] = {}
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.connect(self._endpoint)
        assert self._socket.poll(_WANTED_MS), "the server did not subscribe to a new rig"

    def _people(self) -> tuple[np.ndarray, np.ndarray]:
        self._oddities.clear()
        count = CROWD if self._shape == "crowd" else self._persons
        people = self._moments[self._seq % _MOMENTS][:count].copy()
        ids = np.arange(count) if self._tracked else np.full(count, -1)
        if self._shape == "unseen joints":
            people[self._rng.random(people.shape[:2]) < self._rng.random()] = np.nan
        if self._shape == "infinite joints" and count:
            far = self._rng.random(people.shape[:2]) < 0.1
            people[far, 0] = self._rng.choice([np.inf, -np.inf, 1e30])
            self._oddities["clipped"] += int(far.sum())
        if self._shape == "the same id twice" and count >= 2 and self._tracked:
            ids[1] = ids[0]
            self._oddities["duplicate_ids"] += 1
        if self._shape == "crowd":
            self._oddities["people_dropped"] += CROWD - MAX_PEOPLE
        self._shape = None
        return people, ids

    def _send_frame(self, people: np.ndarray, ids: np.ndarray, now_ns: int) -> None:
        t_ns = now_ns + self._ahead_ns
        frame = frame_with_people(self._nobody, people, ids, seq=self._seq, t_ns=t_ns)
        self._last = encode_keypoints(replace(frame))
        self._put(self._last)
        self._tally.counts += self._oddities
        self._tally.counts["gap"] += self._skipped  # a gap is one once something comes after it
        self._skipped = 0
        self._tally.good += 1
        kept = min(len(people), MAX_PEOPLE)
        self._tally.people[self.name, self._epoch][self._seq] = kept
        self._seq += 1

    def _put(self, parts: list[bytes]) -> None:
        self._socket.send_multipart(parts)
        self._tally.counts["messages"] += 1

    def _duplicate(self) -> None:
        if self._last:
            self._put(self._last)
            self._tally.counts += self._oddities  # what is in a message is counted before its order
            self._tally.counts["dup"] += 1

    def _late(self) -> None:
        if self._seq < 2:
            return
        people, ids = np.zeros((1, *self._moments[0].shape[1:])), [0]
        frame = frame_with_people(self._nobody, people, ids, seq=self._seq - 2, t_ns=0)
        self._put(encode_keypoints(frame))
        self._tally.counts["late"] += 1

    def _gap(self) -> None:
        if self._last:
            lost = int(self._rng.integers(1, LONGEST_GAP + 1))
            self._seq += lost
            self._skipped += lost

    def _garbage(self) -> None:
        topic, noise = self._nobody.topic.encode(), self._rng.bytes(64)
        header, payload = (self._last or encode_keypoints(self._nobody))[1:3]
        kinds = [
            [noise],
            [topic],
            [topic, b"\xc1" + noise, payload],
            [topic, header, payload + b"x"],
            [topic, header[: len(header) // 2], payload],
            [topic, b'{"people": ' + noise],
            [topic, header.replace(b"kp2d/1", b"kp2d/7"), payload],
            [b"kp2d/no/such/place/", header, payload],
            [topic, header, payload] + [b"x"] * 40,
            [topic, b"\x81\xa1p" + b"\x91" * 5000, payload],
        ]
        self._put(kinds[self._rng.integers(len(kinds))])
        self._tally.counts["rejected"] += 1

    def _take_shape(self, shape: str) -> None:
        self._shape = shape

    def _other_people(self) -> None:
        self._persons = int(self._rng.integers(0, MAX_PERSONS + 1))

    def _step_clock(self) -> None:
        if self._last:
            step_s = self._rng.choice([-1, 1]) * self._rng.uniform(2, 1000)
            self._ahead_ns += round(step_s * NS_PER_S)
            self._tally.counts["clock_steps"] += 1

    def _restart(self) -> None:
        if self._last:
            self._socket.close(linger=_LINGER_MS)
            self._begin()
            self._tally.counts["restarts"] += 1


_DEEDS = {
    "duplicate": NaughtyRig._duplicate,
    "late": NaughtyRig._late,
    "gap": NaughtyRig._gap,
    "garbage": NaughtyRig._garbage,
    "unseen joints": lambda rig: rig._take_shape("unseen joints"),
    "infinite joints": lambda rig: rig._take_shape("infinite joints"),
    "crowd": lambda rig: rig._take_shape("crowd"),
    "the same id twice": lambda rig: rig._take_shape("the same id twice"),
    "other people": NaughtyRig._other_people,
    "clock step": NaughtyRig._step_clock,
    "restart": NaughtyRig._restart,
}


class Flooder:
    """A peer that sends what is too long to be a message; the server cuts it every time."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.set(zmq.SNDHWM, 2)
        self._socket.connect(endpoint)

    def send(self) -> None:
        """One message beyond the limit."""
        self._socket.send_multipart([b"kp2d/flood/cam0/", b"x" * (MAX_MESSAGE_BYTES + 1)])

    def close(self) -> None:
        """Leave."""
        self._socket.close(linger=0)
        self._context.term()
