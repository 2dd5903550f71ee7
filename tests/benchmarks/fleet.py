"""Rigs for load: so many cameras with so many people, published by a process of their own."""

import heapq
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe

import numpy as np

from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.benchmark.playback import publisher_of_clip, wait_for_server
from langpose_rt.client.address import Connection
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import LangPoseError

_MOMENTS = 240
_LINGER_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Rigs ``load0``, ``load1``, ... with one camera ``cam0`` each; their frames do not coincide.

    Args:
        rigs, persons: So many rigs, so many people before each.
        tracked: Whether the rigs say who is who.
        seed: Of the moments the rigs begin.
    """

    rigs: int
    persons: int
    tracked: bool = True
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Phase:
    """So many frames a second of every rig, for so long."""

    rate_hz: float
    seconds: float


@dataclass(kw_only=True)
class Sent:
    """What was published.

    Attributes:
        begun_ns: Unix time every phase began at, and the end of the last.
        frames: Of every phase, the frames of every rig.
        behind_ms: Of every phase, the 99th percentile of how late a frame was sent.
        most_behind_ms: And the most: when the whole machine stops for a moment, it shows here too.
        cpu_s: What the publishing process needed.
    """

    begun_ns: list[int] = field(default_factory=list)
    frames: list[list[int]] = field(default_factory=list)
    behind_ms: list[float] = field(default_factory=list)
    most_behind_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


class FleetProcess:
    """A fleet that publishes; `wait` says what it sent."""

    def __init__(self, pipe: "Pipe", seconds: float) -> None:
        self._pipe, self._seconds = pipe, seconds

    def wait(self) -> Sent:
        """Wait for the last frame.

        Raises:
            LangPoseError: If the process died or a publisher failed.
        """
        if not self._pipe.poll(self._seconds * 2 + 60):
            raise LangPoseError("the rigs did not end in time")
        try:
            sent = self._pipe.recv()
        except EOFError:
            raise LangPoseError("the process of the rigs died; its own words are above") from None
        assert isinstance(sent, Sent)
        return sent


@contextmanager
def fleet_process(endpoint: str, fleet: Fleet, phases: Sequence[Phase]) -> Iterator[FleetProcess]:
    """Publish while the block runs; returns once every rig is wanted by the server."""
    here, there = multiprocessing.Pipe()
    arguments = endpoint, fleet, phases, there
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_publish, args=arguments, daemon=True)
    process.start()
    there.close()
    try:
        here.recv()
        yield FleetProcess(here, sum(phase.seconds for phase in phases))
    except EOFError:
        raise LangPoseError("the process of the rigs died; its own words are above") from None
    finally:
        process.terminate()
        process.join()


def _publish(endpoint: str, fleet: Fleet, phases: Sequence[Phase], pipe: "Pipe") -> None:
    crowd = Crowd(fleet.persons, rate_hz=60.0, first_ns=0)
    moments = [crowd.keypoints(frame) for frame in range(_MOMENTS)]
    ids = list(range(fleet.persons)) if fleet.tracked else None
    with ExitStack() as stack:
        server = Connection(endpoint=endpoint)
        publishers = [
            stack.enter_context(publisher_of_clip(crowd.clip, server, f"load{rig}", "cam0"))
            for rig in range(fleet.rigs)
        ]
        for publisher in publishers:
            wait_for_server(publisher)
        pipe.send("wanted")
        sent, starts = Sent(), np.random.default_rng(fleet.seed).random(fleet.rigs)
        for phase in phases:
            sent.begun_ns.append(time.time_ns())
            frames, behind_s = [0] * fleet.rigs, []
            begin_s = time.perf_counter()
            due = [(float(start) / phase.rate_hz, rig) for rig, start in enumerate(starts)]
            heapq.heapify(due)
            while due[0][0] < phase.seconds:
                due_s, rig = due[0]
                wait_s = begin_s + due_s - time.perf_counter()
                if wait_s > 0:
                    time.sleep(wait_s)
                behind_s.append(time.perf_counter() - begin_s - due_s)
                moment = moments[(frames[rig] + 17 * rig) % _MOMENTS]
                publishers[rig].publish(moment, ids)
                frames[rig] += 1
                heapq.heapreplace(due, (due_s + 1 / phase.rate_hz, rig))
            sent.frames.append(frames)
            p99_s, most_s = np.quantile(behind_s, (0.99, 1.0)).tolist()
            sent.behind_ms.append(1e3 * p99_s)
            sent.most_behind_ms.append(1e3 * most_s)
        sent.begun_ns.append(time.time_ns())
        sent.cpu_s = time.process_time()
        pipe.send(sent)
        time.sleep(_LINGER_S)


def frames_per_s(sent: Sent, phase: int) -> float:
    """What the fleet really published in a phase."""
    seconds = (sent.begun_ns[phase + 1] - sent.begun_ns[phase]) / NS_PER_S
    return sum(sent.frames[phase]) / seconds
