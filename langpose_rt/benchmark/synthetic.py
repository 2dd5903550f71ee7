"""Synthetic rigs for load tests: many unsynchronised cameras in one process.

plan = plan_from_text("16x2@60")
with SyntheticRigs(Connection(endpoint="tcp://127.0.0.1:5555"), plan) as rigs:
    rigs.wait_for_server(10.0)
    summary = rigs.play(seconds=30.0)
"""

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.benchmark.playback import publisher_of_clip
from langpose_rt.client.address import Connection
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError

MAX_RIGS = 1024
MAX_PERSONS = 64
_PATTERN = re.compile(r"(\d{1,4})x(\d{1,2})@(\d{1,4}(?:\.\d{1,3})?)")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Number of synthetic rigs, persons and frames per second; one camera per rig.

    Args:
        rigs: Number of rigs.
        persons: People in view of every camera.
        rate_hz: Frames per second of every camera.
        seed: Seed of every rig's phase within a frame and of its start in the motion.
        prefix: Prefix of the rig names, before their number.

    Raises:
        ConfigError: If a number is out of range.
    """

    rigs: int
    persons: int
    rate_hz: float
    seed: int = 0
    prefix: str = "synth"

    def __post_init__(self) -> None:
        for name, least, most in (
            ("rigs", 1, MAX_RIGS), ("persons", 0, MAX_PERSONS), ("rate_hz", 1, 1000)
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"--synthetic has {value:g} {name}; expected {least} to {most}")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Result of playing a plan.

    Attributes:
        frames: Frames sent by all rigs together.
        seconds: Duration.
        late: Frames that were sent more than one frame interval after they were due.
        worst_late_ms: Largest delay of a frame.
    """

    frames: int
    seconds: float
    late: int
    worst_late_ms: float


def plan_from_text(text: str, *, seed: int = 0, prefix: str = "synth") -> Plan:
    """Parse a plan such as "16x2@60": rigs, persons, frames per second.

    Raises:
        ConfigError: If the text is not a plan.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ConfigError(f"--synthetic is {text!r}; expected RIGSxPERSONS@HZ such as 16x2@60")
    rigs, persons, rate_hz = match.groups()
    return Plan(
        rigs=int(rigs), persons=int(persons), rate_hz=float(rate_hz), seed=seed, prefix=prefix
    )


class SyntheticRigs:
    """Publishers of a plan, one socket each; close them, or use `with`.

    Args:
        server: The server they connect to.
        plan: Number and rates.
    """

    def __init__(self, server: Connection, plan: Plan) -> None:
        rng = np.random.default_rng(plan.seed)
        self.plan = plan
        self._crowd = Crowd(plan.persons, rate_hz=plan.rate_hz, first_ns=0)
        # Sorted, so that due times only rise.
        self._phases_s = np.sort(rng.uniform(0, 1 / plan.rate_hz, plan.rigs)).tolist()
        self._moments = rng.integers(0, 2 * len(self._crowd.clip.t_ns), plan.rigs).tolist()
        self._ids = list(range(plan.persons))
        names = [f"{plan.prefix}{number}" for number in rng.permutation(plan.rigs)]
        with contextlib.ExitStack() as opened:
            self._publishers = [
                opened.enter_context(publisher_of_clip(self._crowd.clip, server, name, "cam0"))
                for name in names
            ]
            self._opened = opened.pop_all()

    def __enter__(self) -> "SyntheticRigs":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every socket; queued messages are sent for a second at most."""
        self._opened.close()

    def wait_for_server(self, timeout_s: float) -> bool:
        """Wait until a server has subscribed to every stream; return False if it has not."""
        until_s = time.monotonic() + timeout_s
        left_s = (max(0.0, until_s - time.monotonic()) for _ in self._publishers)
        return all(
            publisher.wait_for_server(left)
            for publisher, left in zip(self._publishers, left_s, strict=True)
        )

    def play(
        self, *, seconds: float | None = None, on_round: Callable[[Sent], None] | None = None
    ) -> Sent:
        """Send every frame when it is due; its capture time is its due time.

        A late frame is sent at once: the schedule never shifts, so the rate is exact over any time,
        and lateness is counted.

        Args:
            seconds: Duration; None sends until interrupted (KeyboardInterrupt ends it as well).
            on_round: Called after every frame of all rigs with the result so far.
        """
        rate_hz = self.plan.rate_hz
        frames = None if seconds is None else max(1, round(seconds * rate_hz))
        start_s, start_ns = time.perf_counter(), time.time_ns()
        sent = late = 0
        worst_s = 0.0
        with contextlib.suppress(KeyboardInterrupt):
            for rig, frame in self._schedule(frames):
                due_s = self._phases_s[rig] + frame / rate_hz
                late_s = time.perf_counter() - start_s - due_s
                if late_s < 0:
                    time.sleep(-late_s)
                people = self._crowd.keypoints(frame + self._moments[rig])
                t_ns = start_ns + round(due_s * NS_PER_S)
                self._publishers[rig].publish(people, self._ids, t_ns)
                sent += 1
                late += late_s > 1 / rate_hz
                worst_s = max(worst_s, late_s)
                if on_round is not None and rig == self.plan.rigs - 1:
                    on_round(_sent(sent, start_s, late, worst_s))
        return _sent(sent, start_s, late, worst_s)

    def _schedule(self, frames: int | None) -> Iterator[tuple[int, int]]:
        """Iterate over (rig, frame) in the order they are due."""
        for frame in itertools.count() if frames is None else range(frames):
            for rig in range(self.plan.rigs):
                yield rig, frame


def _sent(frames: int, start_s: float, late: int, worst_s: float) -> Sent:
    return Sent(
        frames=frames,
        seconds=time.perf_counter() - start_s,
        late=late,
        worst_late_ms=1e3 * worst_s,
    )
