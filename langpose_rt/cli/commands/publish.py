"""`langpose-rt publish`: run a rig from keypoints, a camera or a video, or many synthetic rigs."""

import argparse
import contextlib
import json
import math
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.clip_files import (
    add_clip_arguments,
    clip_from_arguments,
    gravity_from_arguments,
    rate_from_text,
)
from langpose_rt.cli.arguments.connection import (
    KEY_ADVICE,
    NO_SERVER_ADVICE,
    add_connection_arguments,
    connection_from_arguments,
)
from langpose_rt.cli.arguments.detection import (
    add_detector_arguments,
    check_video_flags,
    detector_from_arguments,
)
from langpose_rt.cli.terminal.printable import printable
from langpose_rt.cli.terminal.progress_line import ProgressLine
from langpose_rt.client.address import Connection
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from langpose_rt.capture.publish_loop import PublishCounts
    from langpose_rt.capture.video_source import VideoSource

SUMMARY = "be a rig: play keypoints, watch a camera or a video, or be many rigs for load"
EXAMPLE = """langpose-rt publish clip.npz --rig rig0 --camera cam0 --loop
  langpose-rt publish 0                  the first camera of this machine
  langpose-rt publish 0 --detector mediapipe
  langpose-rt publish video.mp4          or rtsp://camera/stream
  langpose-rt publish --synthetic 16x2@60 --seconds 30
FILE is the source of the pictures; --camera is only the name of the stream."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for flag, default, metavar, text in (
        ("--camera", "cam0", "NAME", "name of the camera"),
        ("--speed", 1.0, "X", "2 plays a file twice as fast, with the same capture times"),
        ("--wait-s", 10.0, "S", "wait so long for a server"),
    ):
        shown = f"{text} (default: {default})"
        parser.add_argument(flag, type=type(default), default=default, metavar=metavar, help=shown)
    parser.add_argument("--rig", metavar="NAME", help="name of this rig (default: rig0)")
    add_connection_arguments(
        parser, default="tcp://127.0.0.1:5555", text="where the server takes keypoints"
    )
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="npz clip, folder of OpenPose JSON, video file, device number or address of a camera",
    )
    parser.add_argument(
        "--loop", action="store_true",
        help="start a file again at the end; capture times go on, so that ids and windows do too",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so long")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_clip_arguments(parser, camera_name=False)
    add_detector_arguments(parser)
    parser.add_argument(
        "--latency-ms", type=float, default=0.0, metavar="X",
        help="of a camera, from the light to the arrival of a picture, if known (default: 0)",
    )  # fmt: skip
    group = parser.add_argument_group("many rigs")
    group.add_argument(
        "--synthetic", metavar="RxP@HZ", help="R rigs of P people at so many Hz, instead of FILE"
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the synthetic rigs (default: 0)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Publish until the end, or until interrupted or terminated."""
    if not 0.01 <= arguments.speed <= 100:
        raise ConfigError(f"--speed is {arguments.speed:g}; expected 0.01 to 100")
    if not 0 <= arguments.wait_s <= 86_400:
        raise ConfigError(f"--wait-s is {arguments.wait_s:g}; expected 0 to 86400")
    if arguments.seconds is not None and not 0 < arguments.seconds <= 1e9:
        raise ConfigError(f"--seconds is {arguments.seconds:g}; expected more than 0")
    if (arguments.file is None) == (arguments.synthetic is None):
        raise ConfigError("publish takes either FILE or --synthetic; try 'publish --help'")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = connection_from_arguments(arguments)
    if arguments.synthetic is not None:
        return _publish_synthetic(arguments, server)
    from langpose_rt.capture.video_source import is_video_source

    publish = _publish_video if is_video_source(arguments.file) else _publish_clip
    return publish(arguments, server)


def _publish_clip(arguments: argparse.Namespace, server: Connection) -> int:
    from langpose_rt.benchmark.playback import Playback, play, publisher_of_clip

    clip = clip_from_arguments(arguments, Path(arguments.file))
    for note in clip.notes:
        print(f"note: {printable(note)}", file=sys.stderr)
    playback = Playback(speed=arguments.speed, loops=0 if arguments.loop else 1)
    sent = 0
    stop = _stop_after(arguments.seconds)

    def count(frames: int) -> bool:
        nonlocal sent
        sent = frames
        return not stop()

    rig = arguments.rig or "rig0"
    with publisher_of_clip(clip, server, rig, arguments.camera) as publisher:
        _wait(publisher.wait_for_server, arguments, server, f"{rig}/{arguments.camera}")
        with contextlib.suppress(KeyboardInterrupt):  # the usual end of --loop
            play(clip, publisher, playback, on_frame=count)
    summary = {"rig": rig, "camera": arguments.camera, "frames": sent}
    return _done(arguments, summary, f"{sent} frames published")


def _publish_video(arguments: argparse.Namespace, server: Connection) -> int:
    from langpose_rt.capture.publish_loop import PublishCounts

    counts = PublishCounts()
    source = _video_source(arguments)
    with contextlib.closing(source):
        _run_capture(arguments, source, server, counts)
    summary: dict[str, object] = {"rig": arguments.rig or "rig0", "camera": arguments.camera}
    summary |= {"frames": counts.frames, "dropped": source.dropped, "people": counts.people}
    summary |= {"detector_ms": round(counts.detector_ms, 2)}
    return _done(
        arguments,
        summary,
        f"{counts.frames} frames published with {counts.people} people, {source.dropped} dropped; "
        f"the detector took {counts.detector_ms:.1f} ms a frame",
    )


def _run_capture(
    arguments: argparse.Namespace,
    source: "VideoSource",
    server: Connection,
    counts: "PublishCounts",
) -> None:
    from langpose_rt.capture.publish_loop import publish_detections
    from langpose_rt.capture.video_source import is_live
    from langpose_rt.client.publisher import RigPublisher
    from langpose_rt.protocol.messages import RigCamera

    gravity = gravity_from_arguments(arguments)
    detector = detector_from_arguments(arguments)
    rig, camera = arguments.rig or "rig0", arguments.camera
    with RigPublisher(
        server.endpoint,
        rig,
        camera,
        skeleton=detector.skeleton,
        size=source.size,
        fps=source.fps,
        intrinsics=None if gravity is None else RigCamera(gravity=tuple(gravity)),
        **server.keys,
    ) as publisher:
        _wait(publisher.wait_for_server, arguments, server, f"{rig}/{camera}")
        line = ProgressLine()
        due_fps = None if is_live(arguments.file) else source.fps * arguments.speed
        stop = _stop_after(arguments.seconds)
        keep_going = _progress(line, counts, source, stop, due_fps=due_fps)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end of a camera
            publish_detections(source, detector, publisher, counts=counts, on_frame=keep_going)
        line.close()


def _video_source(arguments: argparse.Namespace) -> "VideoSource":
    """Open the video source; flags without a meaning for it are refused."""
    from langpose_rt.capture.video_source import (
        CaptureRequest,
        device_number,
        is_live,
        open_video_source,
    )
    from langpose_rt.formats.clip import size_from_text

    device = device_number(arguments.file) is not None
    check_video_flags(arguments, arguments.file, ("size", "fps") if device else ())
    if arguments.loop and is_live(arguments.file):
        raise ConfigError(f"--loop says nothing about {arguments.file}: a camera has no end")
    if not 0 <= arguments.latency_ms <= 10_000:
        raise ConfigError(f"--latency-ms is {arguments.latency_ms:g}; expected 0 to 10000")
    request = CaptureRequest(
        size=None if arguments.size is None else size_from_text(arguments.size),
        fps=rate_from_text(arguments.fps),
        latency_ms=arguments.latency_ms,
    )
    return open_video_source(arguments.file, request, speed=arguments.speed, loop=arguments.loop)


def _progress(
    line: ProgressLine,
    counts: "PublishCounts",
    source: "VideoSource",
    stop: Callable[[], bool],
    *,
    due_fps: float | None,
) -> Callable[[], bool]:
    """Return the callback of every frame: it shows the progress and returns False to stop.

    Args:
        line: Where it shows.
        counts: What was published so far.
        source: Where the frames come from.
        stop: Whether to stop now.
        due_fps: Rate of a file at its own pace, which a slow detector does not reach; None for a
            camera, whose frames are dropped instead.
    """
    start_s = time.monotonic()
    due = "" if due_fps is None else f" of {due_fps:g}"

    def keep_going() -> bool:
        line.show(
            lambda: (
                f"{counts.frames / (time.monotonic() - start_s):.1f}{due} fps, detector "
                f"{counts.detector_ms:.1f} ms, {counts.people / counts.frames:.1f} people, "
                f"{source.dropped} dropped"
            )
        )
        return not stop()

    return keep_going


def _publish_synthetic(arguments: argparse.Namespace, server: Connection) -> int:
    from langpose_rt.benchmark.synthetic import SyntheticRigs, plan_from_text

    plan = plan_from_text(arguments.synthetic, seed=arguments.seed, prefix=arguments.rig or "synth")
    if server.keys and plan.rigs > 1:
        raise ConfigError(
            f"--synthetic has {plan.rigs} rigs, but a key is for one rig; choose 1x{plan.persons}, "
            f"with a key named {plan.prefix}0"
        )
    line = ProgressLine()
    with SyntheticRigs(server, plan) as rigs:
        _wait(rigs.wait_for_server, arguments, server, f"{plan.rigs} rigs")
        sent = rigs.play(
            seconds=arguments.seconds,
            on_round=lambda so_far: line.show(
                lambda: f"{so_far.frames / so_far.seconds:.0f} frames/s, {so_far.late} late"
            ),
        )
    line.close()
    rate_hz = sent.frames / sent.seconds
    summary = asdict(plan) | asdict(sent) | {"frames_per_s": round(rate_hz, 2)}
    return _done(
        arguments,
        summary,
        f"{sent.frames} frames of {plan.rigs} rigs with {plan.persons} people each in "
        f"{sent.seconds:.1f} s ({rate_hz:.1f}/s); {sent.late} late, "
        f"the latest {sent.worst_late_ms:.1f} ms",
    )


def _wait(
    wait_for_server: Callable[[float], bool],
    arguments: argparse.Namespace,
    server: Connection,
    what: str,
) -> None:
    if not wait_for_server(arguments.wait_s):
        raise LangPoseError(
            f"no server took {what} at {server.endpoint} within {arguments.wait_s:g} s; "
            + (KEY_ADVICE if server.keys else NO_SERVER_ADVICE)
        )
    source = arguments.synthetic or arguments.file
    print(f"publishing {source} as {what}", file=sys.stderr, flush=True)


def _stop_after(seconds: float | None) -> Callable[[], bool]:
    """Return a function that is True once the time has passed."""
    until_s = math.inf if seconds is None else time.monotonic() + seconds
    return lambda: time.monotonic() >= until_s


def _done(arguments: argparse.Namespace, summary: dict[str, object], sentence: str) -> int:
    print(json.dumps(summary) if arguments.json else sentence)
    return 0
