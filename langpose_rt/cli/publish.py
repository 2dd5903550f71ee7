"""`langpose-rt publish`: plays a file of keypoints as a rig, at its true rate."""

import argparse
import json
import sys
from pathlib import Path

from langpose_rt.cli.lift import add_clip_arguments, clip_from_arguments
from langpose_rt.errors import ConfigError, LangPoseError

SUMMARY = "play a file of 2D keypoints to a server as a rig, at its true rate"
EXAMPLE = "langpose-rt publish openpose_json/ --size 1920x1080 --fps 60 --rig rig0 --camera cam0 --loop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="npz clip, or a folder of OpenPose JSON")
    parser.add_argument("--rig", default="rig0", metavar="NAME", help="name of this rig (default: %(default)s)")
    parser.add_argument("--camera", default="cam0", metavar="NAME", help="name of the camera (default: %(default)s)")
    parser.add_argument(
        "--server", default="tcp://127.0.0.1:5555", metavar="URL",
        help="where the server listens for keypoints (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--loop", action="store_true", help="start again at the end, as a new epoch")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="2 plays twice as fast")
    parser.add_argument("--wait-s", type=float, default=10.0, metavar="S", help="wait so long for a server")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_clip_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Play the file until its end, or until interrupted."""
    from langpose_rt.cli.playback import Playback, play, publisher_of_clip

    if not 0.01 <= arguments.speed <= 100:
        raise ConfigError(f"--speed is {arguments.speed}; expected 0.01 to 100")
    clip = clip_from_arguments(arguments, arguments.file)
    playback = Playback(speed=arguments.speed, loops=0 if arguments.loop else 1)
    sent = 0

    def count(frames: int) -> None:
        nonlocal sent
        sent = frames

    with publisher_of_clip(clip, arguments.server, arguments.rig, arguments.camera) as publisher:
        if not publisher.wait_for_server(arguments.wait_s):
            raise LangPoseError(
                f"no server took {arguments.rig}/{arguments.camera} at {arguments.server} within "
                f"{arguments.wait_s:g} s; start one with 'langpose-rt serve'"
            )
        print(f"publishing {arguments.file} as {arguments.rig}/{arguments.camera}", file=sys.stderr)
        try:
            play(clip, publisher, playback, on_frame=count)
        except KeyboardInterrupt:
            print(file=sys.stderr)
    summary = {"rig": arguments.rig, "camera": arguments.camera, "frames": sent}
    print(json.dumps(summary) if arguments.json else f"{sent} frames published")
    return 0
