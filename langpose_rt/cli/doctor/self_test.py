"""Self-test: two seconds of the bundled clip through a server and real sockets."""

from typing import TYPE_CHECKING

import numpy as np

from langpose_rt.cli.doctor.check import Check
from langpose_rt.formats.clip import DEMO_CLIP, Clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.offline import lift_clip

if TYPE_CHECKING:
    import argparse

    from langpose_rt.benchmark.listening import LatencySummary
    from langpose_rt.formats.lifted_npz import PoseSequence
    from langpose_rt.protocol.messages import PoseMessage

RIG, CAMERA = "doctor", "cam0"
_LAST_POSES_S = 3.0
_LARGEST_MM = 0.1
"""Live and offline poses differ only by the rounding of the wire."""

_SLOW_MS = 33.0


def check_self_test(arguments: "argparse.Namespace") -> list[Check]:
    """Compare live poses of the bundled clip with the same clip lifted offline.

    Args:
        arguments: Parsed flags of the model.

    Raises:
        LangPoseError: If the server does not start.
    """
    from langpose_rt.cli.arguments.options import backend_from_arguments

    clip = read_clip(DEMO_CLIP)
    messages, latency = _played(clip, arguments)
    lifted = lift_clip(clip, backend_from_arguments(arguments, slots=8), PipelineConfig())
    return [verdict_of(len(clip.t_ns), len(messages), worst_mm(messages, lifted), latency)]


def verdict_of(sent: int, answered: int, off_mm: float, latency: "LatencySummary") -> Check:
    """Return the verdict on the measured values.

    Args:
        sent, answered: Numbers of frames.
        off_mm: Largest distance of a joint from the same frame lifted offline.
        latency: Server-added latency.
    """
    found = (
        f"{answered} of {sent} frames answered live, server adds "
        f"{latency.p50_ms:.1f} ms (p50), {latency.p95_ms:.1f} ms (p95); "
        f"{off_mm:.4f} mm from the file at worst"
    )
    if not answered:
        advice = "run 'langpose-rt serve' and 'langpose-rt demo' and see what they say"
        return Check(name="self-test", verdict="fail", found="no pose came back", advice=advice)
    if answered < sent or latency.p95_ms > _SLOW_MS:
        advice = "this machine is busy or slow; when it is quiet: langpose-rt bench --persons 1,4"
        return Check(name="self-test", verdict="warn", found=found, advice=advice)
    if off_mm > _LARGEST_MM:
        advice = "live and file must agree: please report this page"
        return Check(name="self-test", verdict="fail", found=found, advice=advice)
    return Check(name="self-test", verdict="ok", found=found)


def worst_mm(messages: "list[PoseMessage]", lifted: "PoseSequence") -> float:
    """Return the largest distance between a live and an offline joint of one person."""
    apart = [0.0]
    for message in messages:
        known = lifted.pose[message.src.seq, 0]
        if len(message.ids) == 1 and np.isfinite(known).all():
            apart.append(float(np.linalg.norm(message.poses[0, :, :3] - known, axis=-1).max()))
    return 1000.0 * max(apart)


def _played(
    clip: Clip, arguments: "argparse.Namespace"
) -> tuple["list[PoseMessage]", "LatencySummary"]:
    """Return the poses and the latency of a child server that lifts the clip."""
    from langpose_rt.benchmark.child_server import child_server
    from langpose_rt.benchmark.listening import Listener
    from langpose_rt.benchmark.playback import Playback, play, publisher_of_clip, wait_for_server
    from langpose_rt.cli.arguments.options import model_flags
    from langpose_rt.client.address import Connection

    with (
        child_server(model_flags(arguments)) as server,
        Listener(server.pose_endpoint, RIG) as listener,
        publisher_of_clip(
            clip, Connection(endpoint=server.keypoint_endpoint), RIG, CAMERA
        ) as publisher,
    ):
        wait_for_server(publisher)
        listener.wait_for_server(_LAST_POSES_S)
        sent = play(clip, publisher, Playback())
        listener.wait_for(sent, _LAST_POSES_S)
        return listener.messages, listener.latency(skip_s=0.0)
