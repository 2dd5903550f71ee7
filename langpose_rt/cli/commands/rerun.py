"""`langpose-rt rerun`: show every stream in the Rerun viewer, or save it to a file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.bridging import add_stream_arguments, bridge
from langpose_rt.cli.arguments.options import check_writable
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from langpose_rt.protocol.messages import PoseMessage

SUMMARY = "show every stream in the Rerun viewer with a time line, or save it as a .rrd file"
EXAMPLE = "langpose-rt rerun --save evening.rrd"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_stream_arguments(parser, absent="all")
    parser.add_argument(
        "--save", type=Path, metavar="FILE.rrd", help="write a file instead of opening the viewer"
    )
    parser.add_argument("--force", action="store_true", help="replace a file of that name")


def run(arguments: argparse.Namespace) -> int:
    """Log every frame until interrupted."""
    if arguments.save is not None:
        check_writable(arguments.save, "recording", "--save")
        if arguments.save.exists() and not arguments.force:
            raise ConfigError(f"{arguments.save} exists; choose another name or say --force")
    rerun = _rerun()
    from langpose_rt.bridges.rerun import RerunScene
    from langpose_rt.bridges.rerun_viewer import RerunViewer

    recording = rerun.RecordingStream("langpose-rt")
    viewer = RerunViewer() if arguments.save is None else None
    if viewer is not None:
        recording.connect_grpc(viewer.url)
    else:
        recording.save(arguments.save)
    scene = RerunScene(recording)

    def log(message: "PoseMessage") -> bool:
        if viewer is not None:
            viewer.check()
        scene.log(message)
        return len(message.ids) > 0

    what = "the Rerun viewer" if viewer is not None else str(arguments.save)
    code = bridge(arguments, log, what=what, latest=viewer is not None)
    try:
        recording.flush()
        recording.disconnect()
    except RuntimeError as error:
        raise LangPoseError(f"{what} did not take everything: {error}") from None
    return code


def _rerun() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise ConfigError(
            f"rerun needs rerun-sdk, which cannot be imported ({error}); "
            "install it with 'pip install \".[view]\"'"
        ) from None
    return rerun
