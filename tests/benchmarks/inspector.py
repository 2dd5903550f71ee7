"""A consumer that reads every pose and believes none: numbers, ids, order, epochs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from langpose_rt.errors import MessageError
from langpose_rt.protocol.messages import PoseMessage, decode_pose
from tests.benchmarks.ledger import hearing
from tests.benchmarks.mischief import Tally

FARTHEST_M = 1000.0
MOST_COMPLAINTS = 20


@dataclass
class Inspector:
    """What was found of every message so far."""

    _count: int = 0
    _complaints: list[str] = field(default_factory=list)
    _answered: list[tuple[str, int, int, int]] = field(default_factory=list)
    _next_seq: dict[str, int] = field(default_factory=dict)
    _place: dict[str, tuple[int, int]] = field(default_factory=dict)
    _old_epochs: dict[str, set[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self._count

    def look(self, parts: list[bytes]) -> None:
        """Check one message as it comes."""
        self._count += 1
        try:
            message = decode_pose(parts)
        except MessageError as error:
            self._complain(f"unreadable pose: {error}")
            return
        self._look_at_people(message)
        self._look_at_order(message)
        source = message.src
        seen = sum(state != "held" for state in message.state)
        self._answered.append((message.rig, source.epoch, source.seq, seen))

    def wrong(self, tally: Tally) -> list[str]:
        """What was wrong since the last call; answers to what no rig has sent are too."""
        answered, self._answered = self._answered, []
        for rig, epoch, seq, people in answered:
            sent = tally.people.get((rig, epoch), {}).pop(seq, None)
            if sent is None:
                self._complain(f"{rig} never sent frame {seq} of epoch {epoch}, or it came twice")
            elif people > sent:
                self._complain(f"{rig} sent {sent} people in frame {seq}, {people} came")
        complaints, self._complaints = self._complaints, []
        return complaints

    def _look_at_people(self, message: PoseMessage) -> None:
        where = f"{message.topic} {message.src.seq}"
        numbers = message.poses if message.root is None else message.poses[..., :3]
        if not np.isfinite(message.poses).all() or (np.abs(numbers) > FARTHEST_M).any():
            self._complain(f"{where}: impossible numbers")
        if message.root is not None and not np.isfinite(message.root).all():
            self._complain(f"{where}: an impossible root")
        if (message.poses[..., 3] < 0).any():
            self._complain(f"{where}: a negative deviation")
        ids = message.ids.tolist()
        if len(set(ids)) < len(ids) or any(number < 0 for number in ids):
            self._complain(f"{where}: ids {ids}")

    def _look_at_order(self, message: PoseMessage) -> None:
        topic, source = message.topic, message.src
        expected = self._next_seq.get(topic, message.seq)
        if message.seq < expected:
            self._complain(f"{topic}: message {message.seq} after {expected - 1}")
        self._next_seq[topic] = message.seq + 1
        epoch, seq = self._place.get(topic, (source.epoch, -1))
        if source.epoch != epoch:
            self._old_epochs.setdefault(topic, set()).add(epoch)
        elif source.seq <= seq:
            self._complain(f"{topic}: frame {source.seq} after {seq}")
        if source.epoch in self._old_epochs.get(topic, ()):
            self._complain(f"{topic}: a pose of an epoch that is over")
        self._place[topic] = source.epoch, source.seq

    def _complain(self, sentence: str) -> None:
        if len(self._complaints) < MOST_COMPLAINTS:
            self._complaints.append(sentence)


@contextmanager
def inspecting(endpoint: str) -> Iterator[Inspector]:
    """An inspector of every pose of a server, in a thread while the block runs."""
    inspector = Inspector()
    with hearing(endpoint, inspector.look):
        yield inspector
