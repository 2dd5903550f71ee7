"""Pack the motion that a short run needs into a small folder, to be carried to another machine.

    python -m training.tools.pack_motion --mocap DIR --out DIR

The commercial training clips at 30 Hz, in the layout of the mocap folder itself, and the validation
files as they are, because benchmarks are drawn from them. Held-out people stay held out.
"""

import argparse
import json
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from langpose_rt.errors import ConfigError, LangPoseError
from training.data.mocap import is_commercial

RATE_HZ = 30.0
_SUBJECTS_FILE = "trial_map.json"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not exist")
    parser.add_argument("--most-mib", type=float, default=32.0, help="refuse to write more")
    try:
        run(parser.parse_args(argv))
    except LangPoseError as error:
        print(f"training.tools.pack_motion: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Write the folder and print what is in it."""
    folder, out = arguments.mocap, arguments.out
    if out.exists():
        raise ConfigError(f"{out} exists; remove it or choose another --out")
    try:
        index = json.loads((folder / "index.json").read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {folder / 'index.json'}: {error}") from error
    out.mkdir(parents=True)
    try:
        clips = pack(folder, index, out)
        (out / "index.json").write_text(json.dumps(index | {"clips": clips}))
        if (folder / _SUBJECTS_FILE).exists():
            shutil.copy(folder / _SUBJECTS_FILE, out / _SUBJECTS_FILE)
        size_mib = sum(path.stat().st_size for path in out.iterdir()) / 2**20
        if size_mib > arguments.most_mib:
            raise ConfigError(
                f"the packed motion has {size_mib:.1f} MiB, more than --most-mib "
                f"{arguments.most_mib:g}; give fewer sources or a higher limit"
            )
    except BaseException:
        shutil.rmtree(out)
        raise
    minutes = sum(clip["frames"] / clip["fps"] for clip in clips if clip["split"] == "train") / 60
    print(f"{size_mib:.1f} MiB: {minutes:.0f} minutes of training motion at most {RATE_HZ:g} Hz")


def pack(folder: Path, index: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    """Write the npz files and return their clips, in the order of the index.

    Args:
        folder: The mocap folder.
        index: Its index.
        out: Folder to write into.
    """
    clips = [
        dict(clip)
        for clip in index["clips"]
        if clip["split"] != "train" or is_commercial(clip["licence"])
    ]
    files: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for clip in clips:
        files[clip["file"]].append(clip)
    for name, inside in files.items():
        if inside[0]["split"] != "train":
            shutil.copy(folder / name, out / name)
            continue
        with np.load(folder / name) as file:
            pose, root_m = file["pose"], file["root"]
        poses, roots, at = [], [], 0
        for clip in inside:
            own = slice(clip["start"], clip["start"] + clip["frames"])
            thin_pose, thin_root, fps = thinned(pose[own], root_m[own], float(clip["fps"]))
            clip |= {"start": at, "frames": len(thin_pose), "fps": fps}
            at += len(thin_pose)
            poses.append(thin_pose)
            roots.append(thin_root)
        np.savez_compressed(out / name, pose=np.concatenate(poses), root=np.concatenate(roots))
    return clips


def thinned(
    pose: Int16[np.ndarray, "frame 17 3"], root_m: Float32[np.ndarray, "frame 3"], fps: float
) -> tuple[Int16[np.ndarray, "kept 17 3"], Float32[np.ndarray, "kept 3"], float]:
    """Keep every n-th frame, so that at least RATE_HZ are left; return the new rate too."""
    step = max(int(fps // RATE_HZ), 1)
    return pose[::step], np.round(root_m[::step], 3), fps / step


if __name__ == "__main__":
    sys.exit(main())
