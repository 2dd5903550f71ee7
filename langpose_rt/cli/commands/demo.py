"""`langpose-rt demo`: lift the bundled clip live through a server and real sockets.

The picture is drawn by `visualization/demo_picture.py`.

"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.options import add_model_arguments, check_writable, model_flags
from langpose_rt.cli.terminal.figure_table import ERRORS, FUSED_ERRORS, Figure, figure_lines
from langpose_rt.cli.terminal.progress_line import counted
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    import numpy as np

    from langpose_rt.benchmark.listening import Listener
    from langpose_rt.evaluation.clip_scores import Scores
    from langpose_rt.formats.clip import Clip
    from langpose_rt.protocol.messages import PoseMessage

SUMMARY = "lift the bundled real clip live through a real server, print the figures, save a picture"
EXAMPLE = """langpose-rt demo --frames 1000 --out langpose-demo.png
  langpose-rt demo --fuse                several cameras, fused live"""

RIG, CAMERA = "demo", "cam01"
_LAST_ANSWERS_S = 3.0
_MOST_FRAMES = 1_000_000
_PICTURES = (".png", ".jpg", ".jpeg")

_HALF, _MOST = "half of the answers take no longer in the server", "99 of 100 take no longer"
_SHOWN = {
    "model": Figure("model"),
    "frames_sent": Figure("frames sent"),
    "poses_received": Figure("poses received", "3D poses of one person that came back"),
    "poses_per_second": Figure("poses per second", digits=1),
    "server_added_latency_p50_ms": Figure("server adds, p50", _HALF, "ms", 2),
    "server_added_latency_p95_ms": Figure("server adds, p95", "95 of 100 take no longer", "ms", 2),
    "server_added_latency_p99_ms": Figure("server adds, p99", _MOST, "ms", 2),
    **ERRORS,
    "picture": Figure("picture"),
}
_SHOWN_FUSED = {
    "model": Figure("model"),
    "cameras": Figure("cameras"),
    "frames_sent": Figure("frames sent"),
    "instants_fused": Figure("instants fused", "moments at which the cameras became one answer"),
    "poses_per_second": Figure("poses per second", digits=1),
    "instant_to_answer_p50_ms": Figure("instant to answer, p50", "half take no longer", "ms", 2),
    "instant_to_answer_p99_ms": Figure("instant to answer, p99", _MOST, "ms", 2),
    "people_with_truth": Figure("people with truth"),
    "ids_of_them": FUSED_ERRORS["ids"],
    "found_share": FUSED_ERRORS["found"],
    "median_mm": FUSED_ERRORS["median_mm"],
    "mpjpe_mm": FUSED_ERRORS["mpjpe_mm"],
    "picture": Figure("picture"),
}
"""Label, meaning and unit of each figure, by its name in JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for flag, default, metavar, text in (
        ("--frames", 1000, "N", "play at least so many"),
        ("--out", Path("langpose-demo.png"), "FILE.png", "picture to save"),
        ("--lookahead-ms", 0.0, "MS", "lookahead of the server"),
    ):
        shown = f"{text} (default: {default})"
        parser.add_argument(flag, type=type(default), default=default, metavar=metavar, help=shown)
    parser.add_argument(
        "--fuse", action="store_true", help="play the clips of four cameras, and fuse them"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start a server, play the clip, collect the poses, print the results and draw the picture."""
    from langpose_rt.benchmark.child_server import child_server
    from langpose_rt.benchmark.listening import Listener
    from langpose_rt.formats.clip import DEMO_CLIP
    from langpose_rt.formats.readers import read_clip
    from langpose_rt.visualization.demo_picture import save_demo_picture

    _check(arguments)
    if arguments.fuse:
        from langpose_rt.cli.fused_demo import run_fused_demo

        return _print(arguments, run_fused_demo(arguments, model_flags(arguments)))
    clip = read_clip(DEMO_CLIP)
    loops = math.ceil(arguments.frames / len(clip.t_ns))
    flags = ["--lookahead-ms", str(arguments.lookahead_ms), *model_flags(arguments)]
    with child_server(flags) as server, Listener(server.pose_endpoint, RIG) as listener:
        sent = _play(clip, server.keypoint_endpoint, loops)
        listener.wait_for(sent, _LAST_ANSWERS_S)
    if not any(len(message.ids) for message in listener.messages):
        raise LangPoseError("the server answered no frame; run 'langpose-rt serve' and see its log")
    figures = _figures(listener, sent, server.announcement) | _accuracy(listener, clip)
    save_demo_picture(arguments.out, clip, listener.messages, figures)
    return _print(arguments, figures)


def _print(arguments: argparse.Namespace, figures: dict[str, Any]) -> int:
    if arguments.json:
        print(json.dumps(figures | {"picture": str(arguments.out)}))
        return 0
    shown = _SHOWN_FUSED if arguments.fuse else _SHOWN
    print("\n".join(figure_lines(figures | {"picture": str(arguments.out)}, shown)))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if not 1 <= arguments.frames <= _MOST_FRAMES:
        raise ConfigError(f"--frames is {arguments.frames}; expected 1 to {_MOST_FRAMES}")
    if arguments.out.suffix.lower() not in _PICTURES:
        raise ConfigError(f"--out is {arguments.out}; expected a name that ends in .png or .jpg")
    check_writable(arguments.out, "picture")


def _play(clip: "Clip", endpoint: str, loops: int) -> int:
    from langpose_rt.benchmark.playback import Playback, play, publisher_of_clip, wait_for_server
    from langpose_rt.client.address import Connection

    with publisher_of_clip(clip, Connection(endpoint=endpoint), RIG, CAMERA) as publisher:
        wait_for_server(publisher)
        with counted("playing the clip at camera rate", loops * len(clip.t_ns)) as report:
            playback = Playback(loops=loops, own_epochs=True)
            return play(clip, publisher, playback, on_frame=report)


def poses_by_loop(messages: "Sequence[PoseMessage]", frames: int) -> list["np.ndarray"]:
    """Return poses [frame, 17, 3] of every loop (epoch) of one person, NaN without an answer."""
    import numpy as np

    from langpose_rt.config import NUM_JOINTS

    loops: dict[int, np.ndarray] = {}
    for message in messages:
        poses = loops.setdefault(message.src.epoch, np.full((frames, NUM_JOINTS, 3), np.nan))
        if len(message.ids) == 1:
            poses[message.src.seq] = message.poses[0, :, :3]
    return [poses for poses in loops.values() if np.isfinite(poses).any()]


def _figures(listener: "Listener", sent: int, server: dict[str, str | int]) -> dict[str, Any]:
    latency = listener.latency()
    return {
        "model": "{model} {precision} on {backend} ({licence})".format(**server),
        "frames_sent": sent,
        "poses_received": sum(len(message.ids) for message in listener.messages),
        "poses_per_second": listener.poses_per_s(),
        "server_added_latency_p50_ms": latency.p50_ms,
        "server_added_latency_p95_ms": latency.p95_ms,
        "server_added_latency_p99_ms": latency.p99_ms,
    }


def _accuracy(listener: "Listener", clip: "Clip") -> dict[str, float]:
    """Return the errors of one loop, averaged over the loops."""
    from langpose_rt.evaluation.clip_scores import scores_of_poses

    loops = poses_by_loop(listener.messages, len(clip.t_ns))
    scores: list[Scores] = [scores_of_poses(poses, clip) for poses in loops]

    def mean(field: str) -> float:
        return float(sum(getattr(one, field) for one in scores) / len(scores))

    names = ("mpjpe_mm", "p_mpjpe_mm", "constant_p_mpjpe_mm", "velocity_error_mm_s")
    return {name: mean(name) for name in names}
