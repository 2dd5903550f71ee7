"""Make the demo clip, and the clip of the accuracy test, from the Pose2Sim balancing trial.

    python -m training.tools.make_demo_clip FOLDER

FOLDER holds `cam01.npz` and `cam04.npz` of the trial as prepared for this project (OpenPose
BODY_25B keypoints of the balancing person, 3D triangulated from the other three cameras) and the
trial's LICENSE under `original/`. Nothing is trained on these clips.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from langpose_rt.formats.clip import DEMO_CLIP, Clip, keypoints_normalised, times_from_fps
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import JOINTS, skeleton_named

TEST_CLIP = Path(__file__).parents[2] / "tests" / "data" / "pose2sim_balancing_cam04.npz"
FEWEST_VALID = 0.9
"""A joint counts if at least this share of its frames was triangulated in every camera."""

WORLD_DOWN = np.array([0.0, 0.0, -1.0])


def main() -> None:
    """Write both clips and copy the licence beside each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the prepared Pose2Sim balancing trial")
    folder: Path = parser.parse_args().folder
    sources = {"cam01": DEMO_CLIP, "cam04": TEST_CLIP}
    trials = {name: dict(np.load(folder / f"{name}.npz", allow_pickle=False)) for name in sources}
    joints = joints_that_count(list(trials.values()))
    for name, target in sources.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        clip_to_npz(target, clip_from_trial(trials[name], joints))
        shutil.copyfile(folder / "original" / "LICENSE", target.parent / "LICENSE")
        print(f"{target.name}: {target.stat().st_size} bytes, joints {joints}")


def joints_that_count(trials: list[dict[str, np.ndarray]]) -> tuple[int, ...]:
    """Return the joints that were triangulated in nearly every frame for each camera.

    This excludes only the nose, whose 3D point (its tip) also differs from the joint a model
    predicts.
    """
    share = np.min([trial["gt3d_loo_valid"].mean(0) for trial in trials], axis=0)
    return tuple(joint for joint in range(len(JOINTS)) if share[joint] >= FEWEST_VALID)


def clip_from_trial(trial: dict[str, np.ndarray], joints: tuple[int, ...]) -> Clip:
    """Convert one camera of the trial to a clip; its 3D is absolute, in camera axes."""
    width, height = (int(side) for side in trial["size"])
    keypoints = trial["kp2d_body25b"]
    valid = trial["gt3d_loo_valid"]
    return Clip(
        keypoints=keypoints_normalised(keypoints)[:, None],
        skeleton=skeleton_named("body25b"),
        size=(width, height),
        t_ns=times_from_fps(np.arange(len(keypoints)), float(trial["fps"])),
        ids=np.zeros((len(keypoints), 1), np.int64),
        intrinsics=Intrinsics.from_matrix(trial["K"], width, height, trial["dist"].tolist()),
        gravity=trial["R"] @ WORLD_DOWN,
        pose3d=np.where(valid[..., None], trial["gt3d_loo_cam"], np.nan).astype(np.float32),
        valid=np.asarray(valid[:, list(joints)].all(1)),
        valid_joints=valid,
        joints=joints,
    )


if __name__ == "__main__":
    main()
