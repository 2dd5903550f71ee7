"""`langpose-rt publish`: plays a file of keypoints as a rig, at its true rate."""

import argparse
import json
import signal
import sys
from pathlib import Path

from langpose_rt.cli.connection import add_connection_arguments, connection_from_arguments
from langpose_rt.cli.lift import add_clip_arguments, clip_from_arguments
from langpose_rt.errors import ConfigError, LangPoseError

SUMMARY = "play a file of 2D keypoints to a server as a rig, at its true rate"
_IS_THE_KEY_KNOWN = (
    "see that it runs with --keys, that its folder holds this rig's public key, and that "
    "--server-key is its own"
)
EXAMPLE = "langpose-rt publish clip.npz --rig rig0 --camera cam0 --loop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for flag, default, metavar, text in (
        ("--rig", "rig0", "NAME", "name of this rig"),
        ("--camera", "cam0", "NAME", "name of the camera"),
        ("--speed", 1.0, "X", "2 plays twice as fast, with the same capture times"),
        ("--wait-s", 10.0, "S", "wait so long for a server"),
    ):
        shown = f"{text} (default: {default})"
        parser.add_argument(flag, type=type(default), default=default, metavar=metavar, help=shown)
    add_connection_arguments(
        parser, default="tcp://127.0.0.1:5555", text="where the server takes keypoints"
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="npz clip, or a folder of OpenPose JSON"
    )
    parser.add_argument(
        "--loop", action="store_true", help="start again at the end, as a new epoch"
    )
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_clip_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Play the file until its end, or until interrupted or terminated."""
    from langpose_rt.cli.playback import Playback, play, publisher_of_clip

    if not 0.01 <= arguments.speed <= 100:
        raise ConfigError(f"--speed is {arguments.speed:g}; expected 0.01 to 100")
    if not 0 <= arguments.wait_s <= 86_400:
        raise ConfigError(f"--wait-s is {arguments.wait_s:g}; expected 0 to 86400")
    clip = clip_from_arguments(arguments, arguments.file)
    playback = Playback(speed=arguments.speed, loops=0 if arguments.loop else 1)
    stream = f"{arguments.rig}/{arguments.camera}"
    sent = 0

    def count(frames: int) -> None:
        nonlocal sent
        sent = frames

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = connection_from_arguments(arguments)
    with publisher_of_clip(clip, server, arguments.rig, arguments.camera) as publisher:
        if not publisher.wait_for_server(arguments.wait_s):
            raise LangPoseError(
                f"no server took {stream} at {server.endpoint} within {arguments.wait_s:g} s; "
                + (_IS_THE_KEY_KNOWN if server.keys else "start one with 'langpose-rt serve'")
            )
        print(f"publishing {arguments.file} as {stream}", file=sys.stderr, flush=True)
        try:
            play(clip, publisher, playback, on_frame=count)
        except KeyboardInterrupt:  # the usual end of --loop
            print(file=sys.stderr)
    summary = {"rig": arguments.rig, "camera": arguments.camera, "frames": sent}
    print(json.dumps(summary) if arguments.json else f"{sent} frames published")
    return 0
