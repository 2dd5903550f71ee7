"""`langpose-rt calibrate`: clips of somebody who walks about become a calibration file."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.formats.clip import Clip
    from langpose_rt.fusion.calibration.calibration_from_people import Calibration
    from langpose_rt.geometry.camera import Camera

SUMMARY = "calibrate cameras from somebody who walks about in front of them"
EXAMPLE = """langpose-rt calibrate cam1.npz cam2.npz --height 1.78 -o calib.toml --picture rig.png
  langpose-rt calibrate --server tcp://127.0.0.1:5555 --seconds 30 --offsets -o calib.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from langpose_rt.cli.arguments.clip_files import add_clip_arguments
    from langpose_rt.cli.calibration_walk import add_walk_arguments

    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="npz clip or folder of OpenPose JSON, one a camera, of the same time, or a recording",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT.toml", help="calibration to write"
    )
    parser.add_argument(
        "--height", type=float, default=1.70, metavar="M",
        help="height of the walker in metres, which gives the scale (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--distance", nargs=3, metavar=("CAMERA", "CAMERA", "M"),
        help="measured distance of two cameras in metres, which gives the scale better than a "
        "height does",
    )  # fmt: skip
    parser.add_argument(
        "--lenses", type=Path, metavar="TOML",
        help="calibration file whose lenses are kept; without, the clips' own or 60 degrees",
    )  # fmt: skip
    parser.add_argument(
        "--offsets", action="store_true", help="the clocks of the cameras differ; find by how much"
    )
    parser.add_argument("--focals", action="store_true", help="find the focal lengths too")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw the rig from above")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_walk_arguments(parser)
    add_clip_arguments(parser, camera=False)


def run(arguments: argparse.Namespace) -> int:
    """Calibrate, write the file, and say how good it is."""
    from langpose_rt.cli.arguments.options import check_not_input, check_writable
    from langpose_rt.formats.calibration import OFFSET_KEY, cameras_from_toml, cameras_to_toml
    from langpose_rt.fusion.calibration.calibration_from_people import CalibrationOptions, calibrate
    from langpose_rt.fusion.calibration.coverage import gaps_in_view

    check_writable(arguments.out, "calibration")
    for path in (*arguments.files, *([arguments.lenses] if arguments.lenses else [])):
        check_not_input(arguments.out, path)
    if arguments.picture is not None:
        check_writable(arguments.picture, "picture")
    options = CalibrationOptions(
        height_m=arguments.height,
        distance=_distance(arguments.distance),
        offsets=arguments.offsets,
        focals=arguments.focals,
    )
    lenses = None if arguments.lenses is None else cameras_from_toml(arguments.lenses)
    clips = _clips(arguments, lenses)
    found = calibrate(clips, options)
    found = replace(found, advice=(*gaps_in_view(clips), *found.advice))
    offsets = {f"{OFFSET_KEY}{n}": f"{1000 * s:.1f}" for n, s in found.offsets_s.items()}
    remarks = {"made_by": "langpose-rt calibrate"} | (offsets if arguments.offsets else {})
    cameras_to_toml(arguments.out, found.cameras, remarks)
    if arguments.picture is not None:
        _draw(arguments.picture, found)
    if arguments.json:
        print(json.dumps({"out": str(arguments.out)} | report(found)))
    else:
        print("\n".join(lines_of_report(arguments.out, found)))
    return 0


def _distance(words: list[str] | None) -> tuple[str, str, float] | None:
    if words is None:
        return None
    first, second, metres = words
    try:
        return first, second, float(metres)
    except ValueError:
        raise ConfigError(
            f'--distance ends with "{metres}"; expected two cameras and the metres between them'
        ) from None


def _clips(arguments: argparse.Namespace, lenses: "dict[str, Camera] | None") -> "dict[str, Clip]":
    """Return the clip of every camera, from files or from running rigs."""
    from langpose_rt.cli.arguments.clip_files import clips_of_cameras, clips_with_lenses
    from langpose_rt.cli.calibration_walk import clips_of_walk

    if (arguments.server is not None) == bool(arguments.files):
        raise ConfigError(
            "say either files of the cameras, or --server URL to listen to running rigs"
        )
    if arguments.server is not None:
        return clips_with_lenses(clips_of_walk(arguments), lenses)
    return clips_of_cameras(arguments, arguments.files, lenses)


def report(found: "Calibration") -> dict[str, object]:
    """Return the figures of a calibration, by name."""
    return {
        "cameras": {
            name: {
                "residual_px": round(found.residual_px[name], 2),
                "share_seen": round(found.share_seen[name], 3),
                "offset_ms": round(1000 * found.offsets_s[name], 2),
                "centre_m": [round(float(v), 4) for v in _centre(camera)],
                "focal_px": round(float(camera.intrinsics.fx_px), 1),
            }
            for name, camera in found.cameras.items()
        },
        "bone_spread": round(found.bone_spread, 4),
        "walked_m": round(found.walked_m, 2),
        "advice": list(found.advice),
    }


def lines_of_report(out: Path, found: "Calibration") -> list[str]:
    """Format the report as lines of text."""
    lines = [f"{out}: {len(found.cameras)} cameras, the walker got around {found.walked_m:.1f} m"]
    for name, camera in found.cameras.items():
        x, y, z = _centre(camera)
        lines.append(
            f"  {name}: at {x:.2f} {y:.2f} {z:.2f} m, {found.residual_px[name]:.1f} px off, saw "
            f"{100 * found.share_seen[name]:.0f} % of the walk"
            + (f", clock {1000 * s:+.1f} ms" if (s := found.offsets_s[name]) else "")
        )
    lines.append(f"  bones vary by {100 * found.bone_spread:.1f} % of their length")
    return lines + [f"  to do better: {sentence}" for sentence in found.advice]


def _draw(path: Path, found: "Calibration") -> None:
    from langpose_rt.visualization.picture import save_picture
    from langpose_rt.visualization.rig_plan import draw_plan

    save_picture(path, draw_plan(found.cameras, found.residual_px, found.joints_world[:, 0]))


def _centre(camera: "Camera") -> tuple[float, float, float]:
    assert camera.T_world_camera is not None
    x, y, z = camera.T_world_camera[:3, 3].tolist()
    return x, y, z
