"""`langpose-rt demo`: a real server lifts a real clip through real sockets, and draws what it saw."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.options import add_model_arguments
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    import numpy as np

    from langpose_rt.cli.listening import Listener
    from langpose_rt.cli.scores import Scores
    from langpose_rt.formats.clip import Clip

SUMMARY = "lift the bundled real clip live through a real server, print the figures, save a picture"
EXAMPLE = "langpose-rt demo --frames 1000 --out langpose-demo.png"

RIG, CAMERA = "demo", "cam01"
_SHOWN_FRAME = 48
_SHOWN_TRACK = 45
_LAST_ANSWERS_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--frames", type=int, default=1000, metavar="N", help="play at least so many (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("langpose-demo.png"), metavar="FILE.png", help="picture to save (default: %(default)s)")
    parser.add_argument("--lookahead-ms", type=float, default=0.0, metavar="MS", help="lookahead of the server (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve, play, listen, compare, draw."""
    from langpose_rt.cli.child_server import child_server
    from langpose_rt.cli.listening import Listener
    from langpose_rt.formats.clip import DEMO_CLIP, read_clip

    if not 1 <= arguments.frames <= 1_000_000:
        raise ConfigError(f"--frames is {arguments.frames}; expected 1 to 1000000")
    clip = read_clip(DEMO_CLIP)
    loops = math.ceil(arguments.frames / len(clip.t_ns))
    _check_writable(arguments.out)
    with child_server(_serve_options(arguments)) as server:
        with Listener(server.pose_endpoint, RIG) as listener:
            sent = _play(clip, server.keypoint_endpoint, loops)
            listener.wait_for(sent, _LAST_ANSWERS_S)
        said = server.said
    if not listener.messages:
        raise LangPoseError("the server answered no frame; run 'langpose-rt serve' and look at its log")
    loops_of_poses = _poses_by_loop(listener, len(clip.t_ns))
    figures = _figures(listener, sent, said) | _accuracy(loops_of_poses, clip)
    _save(arguments.out, clip, listener, figures)
    if arguments.json:
        print(json.dumps(figures | {"picture": str(arguments.out)}))
        return 0
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<32}{value if isinstance(value, str) else f'{value:,.2f}'}")
    print(f"picture: {arguments.out}")
    return 0


def _video_frame() -> "np.ndarray | None":
    """The camera's image of the moment that is shown."""
    import cv2

    from langpose_rt.formats.clip import DEMO_CLIP

    return cv2.imread(str(DEMO_CLIP.with_name(f"{DEMO_CLIP.stem}_{_SHOWN_FRAME:04}.jpg")))


def _serve_options(arguments: argparse.Namespace) -> list[str]:
    options = ["--lookahead-ms", str(arguments.lookahead_ms), "--backend", arguments.backend]
    options += ["--precision", arguments.precision, "--threads", str(arguments.threads)]
    return options + (["--model", str(arguments.model)] if arguments.model else [])


def _check_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent} to save the picture in; choose another --out")


def _play(clip: "Clip", endpoint: str, loops: int) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from langpose_rt.cli.playback import Playback, play, publisher_of_clip

    with publisher_of_clip(clip, endpoint, RIG, CAMERA) as publisher:
        if not publisher.wait_for_server(10.0):
            raise LangPoseError("the server never asked for keypoints; is something blocking loopback?")
        console = Console(file=sys.stderr)
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("playing the clip at camera rate", total=loops * len(clip.t_ns))
            return play(
                clip, publisher, Playback(loops=loops), on_frame=lambda n: bar.update(task, completed=n)
            )


def _poses_by_loop(listener: "Listener", frames: int) -> list["np.ndarray"]:
    """Poses [frame, 17, 3] of every loop (epoch), NaN where no answer came."""
    import numpy as np

    loops: dict[int, np.ndarray] = {}
    for message in listener.messages:
        poses = loops.setdefault(message.src.epoch, np.full((frames, 17, 3), np.nan))
        if len(message.ids) == 1:
            poses[message.src.seq] = message.poses[0, :, :3]
    return list(loops.values())


def _figures(listener: "Listener", sent: int, said: dict[str, str | int]) -> dict[str, Any]:
    latency = listener.latency()
    return {
        "model": f"{said['model']} {said['precision']} on {said['backend']} ({said['licence']})",
        "frames_sent": sent,
        "poses_received": sum(len(message.ids) for message in listener.messages),
        "poses_per_second": listener.poses_per_s(),
        "server_added_latency_p50_ms": latency.p50_ms,
        "server_added_latency_p95_ms": latency.p95_ms,
        "server_added_latency_p99_ms": latency.p99_ms,
    }


def _accuracy(loops: list["np.ndarray"], clip: "Clip") -> dict[str, float]:
    from langpose_rt.cli.scores import scores_of_poses

    scores: list[Scores] = [scores_of_poses(poses, clip) for poses in loops]

    def mean(field: str) -> float:
        return float(sum(getattr(one, field) for one in scores) / len(scores))

    names = ("mpjpe_mm", "p_mpjpe_mm", "constant_p_mpjpe_mm", "velocity_error_mm_s")
    return {name: mean(name) for name in names}


def _save(path: Path, clip: "Clip", listener: "Listener", figures: dict[str, Any]) -> None:
    """Draw the moment that is shown, from the last loop that has it."""
    import numpy as np

    from langpose_rt.view.picture import draw_scene, save_picture
    from langpose_rt.view.scene import Person, Scene

    shown = [m for m in listener.messages if m.src.seq == _SHOWN_FRAME and len(m.ids) == 1]
    message = (shown or [m for m in listener.messages if len(m.ids) == 1] or listener.messages)[-1]
    track = [
        m.poses[0, :, :3] + m.root[0]
        for m in listener.messages
        if m.src.epoch == message.src.epoch and len(m.ids) == 1 and m.root is not None
        and 0 < message.src.seq - m.src.seq <= _SHOWN_TRACK
    ]  # fmt: skip
    seq = message.src.seq
    people = tuple(
        Person(
            pose_camera=pose[:, :3],
            root_camera=None if message.root is None else message.root[index],
            sigma_m=pose[:, 3],
            keypoints_px=clip.keypoints[seq, index],
            truth_camera=None if clip.pose3d is None else clip.pose3d[seq],
            past_camera=np.stack(track) if track else None,
        )
        for index, pose in enumerate(message.poses)
    )
    facts = {
        "poses a second": f"{figures['poses_per_second']:.1f}",
        "server adds, p50 / p99": f"{figures['server_added_latency_p50_ms']:.1f} / {figures['server_added_latency_p99_ms']:.1f} ms",
        "P-MPJPE": f"{figures['p_mpjpe_mm']:.0f} mm",
        "a pose that never moves": f"{figures['constant_p_mpjpe_mm']:.0f} mm",
    }
    scene = Scene(
        people=people, size_px=clip.size, skeleton=clip.skeleton,
        gravity_camera=clip.gravity,
        backdrop=_video_frame() if seq == _SHOWN_FRAME else None,
        title="langpose-rt: live keypoints in, 3D poses out", facts=facts,
        notes=(
            f"model {figures['model']}",
            "clip: Pose2Sim balancing trial, cam01, OpenPose detections (BSD 3-Clause); "
            "truth: triangulated from the other three cameras, 20 to 30 mm uncertain",
        ),
    )  # fmt: skip
    save_picture(path, draw_scene(scene))
