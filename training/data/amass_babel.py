"""Command ``python -m training.data.amass_babel``: convert AMASS and BABEL to a mocap folder.

    AMASS   SUBSET/SUBJECT/NAME_poses.npz: poses (T,156) axis-angle, trans (T,3) metres,
            betas (16,), gender, mocap_framerate; z up
    SMPL-H  GENDER/model.npz: v_template, shapedirs, posedirs, J_regressor, weights, kintree_table
    joints  J_regressor_h36m_correct.npy (17, vertices)
    BABEL   train.json, val.json, ...: {id: {feat_p, dur, seq_ann, frame_ann}}; in extra_*.json the
            annotations are lists, seq_anns and frame_anns

One clip per segment of a frame annotation, or per sequence if there is none. All of these are for
research only; neither they nor derived files may be shipped.

Source: AMASS (Mahmood et al. 2019), BABEL (Punnakkal et al. 2021), layouts of their public files;
    the conversion follows MotionBERT.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError, LangPoseError
from training.data.body_model import BodyModel, read_body_model

EXAMPLE = """python -m training.data.amass_babel --amass AMASS --babel babel_v1.0_release \\
      --body-models smplh --regressor J_regressor_h36m_correct.npy --out data/amass"""

FPS = 60
LEAST_S = 0.5
LICENCE = "AMASS and BABEL, CC BY-NC 4.0: research only, not to be shipped"
POSE_SCALE_M = 1e-4

_RENAMED = {"BioMotionLab_NTroje": "BMLrub", "DFaust_67": "DFaust"}
_NOTHING = {"transition"}
"""Labels of segments without an action."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Labelled part of a recording.

    Attributes:
        recording: Path of the AMASS file below its folder.
        start_s, end_s: Start and end in the recording.
        text: Text of the annotator.
        action: BABEL's category, or the text if it has none.
    """

    recording: str
    start_s: float
    end_s: float
    text: str
    action: str


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        run(_parser().parse_args(argv))
    except LangPoseError as error:
        print(f"training.data.amass_babel: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Convert both splits."""
    regressor = read_regressor(arguments.regressor)
    bodies: dict[str, BodyModel] = {}
    arguments.out.mkdir(parents=True, exist_ok=True)
    clips: list[dict[str, Any]] = []
    for split, names in (("train", ("train", "extra_train")), ("val", ("val", "extra_val"))):
        found = [path for name in names if (path := arguments.babel / f"{name}.json").exists()]
        if not found:
            raise ConfigError(f"no {names[0]}.json in {arguments.babel}; expected BABEL's release")
        segments = [segment for path in found for segment in segments_from_babel(path)]
        clips += _convert(arguments, split, segments, bodies, regressor)
    index = {"fps": "per clip", "up": "z", "unit": "metre", "pose_scale": POSE_SCALE_M}
    (arguments.out / "index.json").write_text(json.dumps(index | {"clips": clips}))
    print(f"{len(clips)} clips in {arguments.out}; train with --mocap {arguments.out.name}")


def segments_from_babel(path: Path) -> list[Segment]:
    """Read all labelled segments of a BABEL file, in its order.

    Raises:
        ConfigError: If the file is missing or not a BABEL file.
    """
    try:
        sequences = json.loads(path.read_text())
        return [item for entry in sequences.values() for item in _segments(entry)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error!r}; expected BABEL's {{id: {{feat_p, dur, seq_ann, "
            "frame_ann}}}"
        ) from error


def amass_path(feat_p: str) -> str:
    """Convert BABEL's `feat_p` to an AMASS path: one folder less, and two subsets renamed."""
    _, subset, *rest = feat_p.split("/")
    return "/".join((_RENAMED.get(subset, subset), *rest))


def joints_from_amass(
    path: Path,
    bodies: dict[str, BodyModel],
    models: Path,
    regressor: Float[np.ndarray, "17 vertex"],
) -> Float32[np.ndarray, "frame 17 3"]:
    """Compute the Human3.6M joints of a recording at about 60 Hz, metres, z up.

    Args:
        path: AMASS file of the recording.
        bodies: Cache of body models by gender; filled as needed.
        models: Folder of the body models.
        regressor: Joint regressor over the vertices.

    Raises:
        ConfigError: If a file is missing or has an unexpected layout.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            rate_hz = float(file["mocap_framerate"])
            step = max(1, round(rate_hz / FPS))
            poses, trans_m = file["poses"][::step], file["trans"][::step]
            betas, gender = file["betas"], str(file["gender"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected an AMASS npz with poses (T,156), trans (T,3), "
            "betas, gender and mocap_framerate"
        ) from error
    gender = gender.removeprefix("b'").removesuffix("'")
    gender = gender if gender in ("male", "female") else "female"
    if gender not in bodies:
        bodies[gender] = read_body_model(models / gender / "model.npz")
    return bodies[gender].joints(poses, trans_m, betas, regressor)


def read_regressor(path: Path) -> Float[np.ndarray, "17 vertex"]:
    """Read the regressor of the Human3.6M joints over the vertices of SMPL.

    Raises:
        ConfigError: If the file is missing or has an unexpected shape.
    """
    try:
        regressor = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected an npy of shape (17, vertices)"
        ) from error
    if regressor.ndim != 2 or len(regressor) != NUM_JOINTS:
        raise ConfigError(f"{path} has shape {regressor.shape}; expected (17, vertices)")
    return np.asarray(regressor, np.float32)


def _segments(entry: Mapping[str, Any]) -> Iterator[Segment]:
    recording, duration_s = amass_path(entry["feat_p"]), float(entry["dur"])
    frames = entry.get("frame_anns") or [entry.get("frame_ann")]
    frames = [annotation for annotation in frames if annotation]
    whole = entry.get("seq_anns") or [entry.get("seq_ann")]
    for annotation in frames or [annotation for annotation in whole if annotation]:
        for label in annotation["labels"]:
            text = label["raw_label"] or label["proc_label"]
            action = (label.get("act_cat") or [label["proc_label"]])[0]
            if not text or label["proc_label"] in _NOTHING:
                continue
            start_s, end_s = float(label.get("start_t", 0.0)), float(label.get("end_t", duration_s))
            if min(end_s, duration_s) - start_s >= LEAST_S:
                yield Segment(
                    recording=recording, start_s=start_s, end_s=min(end_s, duration_s), text=text,
                    action=action,
                )  # fmt: skip


def _convert(
    arguments: argparse.Namespace,
    split: str,
    segments: list[Segment],
    bodies: dict[str, BodyModel],
    regressor: Float[np.ndarray, "17 vertex"],
) -> list[dict[str, Any]]:
    """Write one split; missing recordings are counted and reported."""
    from rich.progress import track

    by_recording: dict[str, list[Segment]] = {}
    for segment in segments:
        by_recording.setdefault(segment.recording, []).append(segment)
    parts: list[Float32[np.ndarray, "frame 17 3"]] = []
    clips: list[dict[str, Any]] = []
    start = missing = 0
    for recording, named in track(by_recording.items(), description=split):
        path = arguments.amass / recording
        if not path.exists():
            missing += 1
            continue
        joints_m = joints_from_amass(path, bodies, arguments.body_models, regressor)
        clips += _entries(named, split, start, len(joints_m))
        parts.append(joints_m)
        start += len(joints_m)
    if missing:
        print(f"{missing} recordings of {split} are not in {arguments.amass}", file=sys.stderr)
    if not clips:
        raise ConfigError(f"no recording of {split} is in {arguments.amass}; expected AMASS there")
    joined = np.concatenate(parts)
    pose = np.round((joined - joined[:, :1]) / POSE_SCALE_M).astype(np.int16)
    np.savez_compressed(arguments.out / f"{split}_amass.npz", pose=pose, root=joined[:, 0])
    return clips


def _entries(named: list[Segment], split: str, start: int, frames: int) -> list[dict[str, Any]]:
    entries = []
    for number, segment in enumerate(named):
        first, last = round(segment.start_s * FPS), min(round(segment.end_s * FPS), frames)
        if last - first < LEAST_S * FPS:
            continue
        entries.append(
            {
                "id": f"{segment.recording}#{number}", "split": split, "fps": FPS,
                "file": f"{split}_amass.npz", "start": start + first, "frames": last - first,
                "subject": "/".join(segment.recording.split("/")[:2]), "text": segment.text,
                "action": segment.action, "source": "amass", "licence": LICENCE,
            }
        )  # fmt: skip
    return entries


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.data.amass_babel",
        description="Make a mocap folder from AMASS recordings and BABEL labels.",
        epilog=f"example:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for flag, text in (
        ("--amass", "folder of the AMASS subsets (SMPL-H)"),
        ("--babel", "folder of train.json, val.json, ..."),
        ("--body-models", "folder with male/model.npz and female/model.npz of SMPL-H"),
        ("--regressor", "J_regressor_h36m_correct.npy"),
        ("--out", "mocap folder to write"),
    ):
        parser.add_argument(flag, type=Path, required=True, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
