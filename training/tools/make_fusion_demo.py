"""Make the bundled clips of `demo --fuse` from the two-person trial of Pose2Sim.

    python -m training.tools.make_fusion_demo [OUT]

One clip a camera. Column 0 is the person whose 3D the clip carries, the first one in cameras 1 and
3 and the second one in cameras 2 and 4, so that `evaluate` scores each clip alone and all of them
fused; nobody has an id. Nothing is trained on these clips.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from langpose_rt.config import NUM_JOINTS
from langpose_rt.formats.calibration import cameras_from_toml
from langpose_rt.formats.clip import FUSION_DEMO, Clip, times_from_fps
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import SKELETONS

TRIAL = Path(__file__).parents[2] / "tests" / "data" / "pose2sim_two_people.npz"
BODY = SKELETONS["body25b"]
FPS = 60
FARTHEST_RAY = 0.05
"""A detection whose rays are farther than this from a person's joints is somebody else."""


def main() -> None:
    """Write the clips, the calibration and the licence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=FUSION_DEMO, help="folder to write")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    trial = dict(np.load(TRIAL))
    cameras = cameras_from_toml(TRIAL.with_suffix(".toml"))
    for number, (name, camera) in enumerate(cameras.items()):
        path = out / f"{name}.npz"
        clip_to_npz(path, clip_of_camera(trial, camera, trial["trc"][number % 2]))
        print(f"{path.name}: {path.stat().st_size} bytes")
    shutil.copyfile(TRIAL.with_suffix(".toml"), out / "calib.toml")
    shutil.copyfile(TRIAL.parent / "LICENSE", out / "LICENSE")


def clip_of_camera(trial: dict[str, np.ndarray], camera: Camera, markers_world: np.ndarray) -> Clip:
    """Return the clip of one camera, with the 3D of one person.

    Args:
        trial: Arrays of the trial.
        camera: The camera.
        markers_world: Of the person of column 0 [frame, marker, 3].
    """
    found = trial[camera.name]
    assert camera.T_world_camera is not None
    R, centre = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
    joints = (joints17(markers_world, trial["trc_keypoints"]) - centre) @ R
    markers = (markers_world - centre) @ R
    return Clip(
        keypoints=np.stack(
            [
                _first(people, camera, own, trial["trc_keypoints"])
                for people, own in zip(found, markers, strict=True)
            ]
        ),
        skeleton=BODY,
        size=(round(camera.intrinsics.width_px), round(camera.intrinsics.height_px)),
        t_ns=times_from_fps(np.arange(len(found)), FPS),
        ids=np.full(found.shape[:2], -1, np.int64),
        intrinsics=camera.intrinsics,
        gravity=camera.gravity,
        pose3d=joints.astype(np.float32),
    )


def joints17(markers: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Return the 17 joints [frame, 17, 3] as the same sums of markers as of keypoints."""
    place = {int(keypoint): marker for marker, keypoint in enumerate(keypoints)}
    joints = np.zeros((len(markers), NUM_JOINTS, 3))
    for joint, terms in enumerate(BODY.to_h36m):
        for keypoint, weight in terms:
            joints[:, joint] += weight * markers[:, place[keypoint]]
    return joints


def _first(
    people: np.ndarray, camera: Camera, markers: np.ndarray, keypoints: np.ndarray
) -> np.ndarray:
    """Return the people of a frame, the one who is seen where the markers are first."""
    lens = camera.intrinsics
    focal, middle = np.array([lens.fx_px, lens.fy_px]), np.array([lens.cx_px, lens.cy_px])
    rays = (people[:, keypoints, :2] - middle) / focal
    away = np.linalg.norm(rays - markers[:, :2] / markers[:, 2:], axis=-1)
    away[people[:, keypoints, 2] <= 0] = np.nan
    off = np.array([np.nanmedian(one) if np.isfinite(one).any() else np.inf for one in away])
    first = int(off.argmin())
    assert off[first] < FARTHEST_RAY, "every camera sees both people in every frame"
    return np.concatenate([people[first : first + 1], np.delete(people, first, 0)])


if __name__ == "__main__":
    main()
