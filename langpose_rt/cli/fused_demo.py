"""The demo of a capture volume: four cameras through real sockets, fused live, and a picture."""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langpose_rt.errors import LangPoseError

if TYPE_CHECKING:
    from pathlib import Path

    from langpose_rt.formats.clip import Clip
    from langpose_rt.formats.lifted_npz import PoseSequence
    from langpose_rt.protocol.messages import PoseMessage

RIG = "demo"
_LAST_ANSWERS_S = 3.0
_START_S = 4.0
"""From now to the first capture time: the publishers are connected by then."""

_TRAIL = 45
_NOTES = (
    "clips: Pose2Sim multi-person trial, four cameras, OpenPose detections (BSD 3-Clause)",
    "compared with Pose2Sim's own triangulation of two of the people",
)


def run_fused_demo(arguments: argparse.Namespace, model: Sequence[str]) -> dict[str, Any]:
    """Play the bundled clips to a server that fuses them, save a picture, return the figures.

    Args:
        arguments: Parsed flags of `demo`.
        model: Flags of the model.

    Raises:
        LangPoseError: If the server fused nobody.
    """
    from rich.console import Console
    from rich.progress import Progress

    from langpose_rt.benchmark.child_server import child_server
    from langpose_rt.benchmark.listening import Listener
    from langpose_rt.benchmark.volume_playback import play_together, there_and_back
    from langpose_rt.client.address import Connection
    from langpose_rt.formats.calibration import cameras_from_toml
    from langpose_rt.formats.clip import FUSION_DEMO
    from langpose_rt.formats.readers import read_clip

    calibration = FUSION_DEMO / "calib.toml"
    cameras = cameras_from_toml(calibration)
    short = {name: read_clip(FUSION_DEMO / f"{name}.npz") for name in cameras}
    flags = ["--cameras", str(calibration), "--fuse"]
    flags += ["--lookahead-ms", str(arguments.lookahead_ms), *model]
    frames = max(arguments.frames // len(short), 2)
    console = Console(stderr=True)
    with (
        child_server(flags) as server,
        Listener(server.pose_endpoint, calibration.stem) as listener,
        Progress(console=console, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("playing four cameras at camera rate", total=frames)
        start_ns = time.time_ns() + round(_START_S * 1e9)
        clips = {name: there_and_back(clip, frames, start_ns) for name, clip in short.items()}
        sent = play_together(
            clips,
            Connection(endpoint=server.keypoint_endpoint),
            RIG,
            on_frame=lambda done: bar.update(task, completed=done),
        )
        listener.wait_for(frames, _LAST_ANSWERS_S)
    fused = [message for message in listener.messages if message.fused is not None]
    if not any(len(message.ids) for message in fused):
        raise LangPoseError("the server fused nobody; run 'langpose-rt serve --fuse', see its log")
    latency = listener.latency()
    figures = {
        "model": "{model} {precision} on {backend} ({licence})".format(**server.announcement),
        "cameras": len(clips),
        "frames_sent": sent,
        "instants_fused": len(fused),
        "poses_per_second": listener.poses_per_s(),
        "instant_to_answer_p50_ms": latency.p50_ms,
        "instant_to_answer_p99_ms": latency.p99_ms,
    } | _agreement(fused, clips, calibration)
    _draw(arguments.out, fused, clips, figures)
    return figures


def sequence_of_messages(messages: "Sequence[PoseMessage]") -> "PoseSequence":
    """Return fused messages as poses in world axes, one column a person."""
    import numpy as np

    from langpose_rt.formats.lifted_npz import PoseSequence, columns_of_ids

    columns = columns_of_ids([message.ids for message in messages])
    count = 1 + max((int(own.max(initial=0)) for own in columns), default=0)
    times = np.array([message.t_srv for message in messages], np.int64)
    poses = replace(PoseSequence.empty(times, count), frame="world")
    for index, (message, own) in enumerate(zip(messages, columns, strict=True)):
        poses.ids[index, own] = message.ids
        poses.pose[index, own] = message.poses[..., :3]
        poses.sigma_m[index, own] = message.poses[..., 3]
        if message.root is not None:
            poses.root[index, own] = message.root
    return poses


def _agreement(
    messages: "Sequence[PoseMessage]", clips: "Mapping[str, Clip]", calibration: "Path"
) -> dict[str, float]:
    from langpose_rt.evaluation.fused_scores import scores_of_fused
    from langpose_rt.formats.calibration import cameras_from_toml

    start_ns = int(next(iter(clips.values())).t_ns[0])
    there = [message for message in messages if message.t_srv >= start_ns]
    scores = scores_of_fused(sequence_of_messages(there), clips, cameras_from_toml(calibration))
    return {
        "people_with_truth": scores.people,
        "ids_of_them": scores.ids,
        "found_share": scores.found,
        "median_mm": scores.median_mm,
        "mpjpe_mm": scores.mpjpe_mm,
    }


def _draw(
    path: "Path",
    messages: "Sequence[PoseMessage]",
    clips: "Mapping[str, Clip]",
    figures: Mapping[str, Any],
) -> None:
    """Draw the last instant with the most people."""
    import numpy as np

    from langpose_rt.visualization.fused_picture import FusedScene, save_fused_picture

    most = max(len(message.ids) for message in messages)
    last = max(i for i, message in enumerate(messages) if len(message.ids) == most)
    shown, poses = messages[last], sequence_of_messages(messages[max(last - _TRAIL, 0) : last + 1])
    joints = poses.pose + poses.root[:, :, None]
    columns = [int(np.flatnonzero(poses.ids[-1] == person)[0]) for person in shown.ids]
    frames = {name: int(np.abs(clip.t_ns - shown.t_srv).argmin()) for name, clip in clips.items()}
    scene = FusedScene(
        clips=clips,
        frames=frames,
        joints_world=joints[-1, columns],
        sigma_m=poses.sigma_m[-1, columns],
        tracks_world=tuple(joints[:, column] for column in columns),
        title="langpose-rt: four cameras in, everybody once in world axes",
        facts={
            "fused instants": str(figures["instants_fused"]),
            "instant to answer, p50 / p99": "{:.1f} / {:.1f} ms".format(
                figures["instant_to_answer_p50_ms"], figures["instant_to_answer_p99_ms"]
            ),
            "median from the published 3D": f"{figures['median_mm']:.0f} mm",
            "ids of two people": str(figures["ids_of_them"]),
        },
        notes=(f"model {figures['model']}", *_NOTES),
    )
    save_fused_picture(path, scene)
