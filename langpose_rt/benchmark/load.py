"""Load test of a server: a crowd at camera rate, and the outcome of every frame."""

import time
from dataclasses import dataclass, field

from langpose_rt.benchmark.child_server import ChildServer
from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.benchmark.listening import LatencySummary, Listener
from langpose_rt.benchmark.playback import publisher_of_clip, wait_for_server
from langpose_rt.client.address import Connection

_LAST_POSES_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """A camera with a number of people."""

    persons: int
    rate_hz: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """Result of a load test.

    Attributes:
        frames_sent, frames_answered, shed: Counted by the rig, the consumer and the server.
        latency: Server-added latency, without the first second.
        resident_mb: Resident memory of the server, sampled once a second.
    """

    frames_sent: int
    frames_answered: int
    shed: int
    latency: LatencySummary
    resident_mb: list[float] = field(default_factory=list)


def run_load(server: ChildServer, load: Load) -> LoadResult:
    """Publish at camera rate for the given time, and wait for the last poses.

    Raises:
        LangPoseError: If the server does not subscribe to the stream.
    """
    crowd = Crowd(load.persons, rate_hz=load.rate_hz, first_ns=time.time_ns())
    clip, ids = crowd.clip, list(range(load.persons))
    memory: list[float] = []
    frames = max(1, round(load.seconds * load.rate_hz))
    with (
        publisher_of_clip(
            clip, Connection(endpoint=server.keypoint_endpoint), "bench", "cam0"
        ) as publisher,
        Listener(server.pose_endpoint, "bench") as listener,
    ):
        wait_for_server(publisher)
        start_s = time.perf_counter()
        for frame in range(frames):
            wait_s = start_s + frame / load.rate_hz - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            publisher.publish(crowd.keypoints(frame), ids, time.time_ns())
            if frame % max(1, round(load.rate_hz)) == 0:
                memory += [value for value in (server.resident_mb(),) if value is not None]
        listener.wait_for(frames, _LAST_POSES_S)
    return LoadResult(
        frames_sent=frames,
        frames_answered=len(listener.messages),
        shed=sum(message.drop.shed for message in listener.messages),
        latency=listener.latency(),
        resident_mb=memory,
    )
