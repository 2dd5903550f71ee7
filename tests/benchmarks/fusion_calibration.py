"""Calibration from one walker: a virtual rig of four, 30 s, the trainer's detector noise.

Centres and rotations are after the best rigid fit, for where the world begins and where x points
to is a matter of taste: metres count. "shape" scales the rig as well, and leaves out what comes
from the size of the walker. Up and the floor are compared without any fit. The fused error compares
the calibration found with the true one.

python -m tests.benchmarks.fusion_calibration --count 6
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from langpose_rt.formats.clip import Clip
from langpose_rt.fusion.calibration.calibration_from_people import (
    Calibration,
    CalibrationOptions,
    calibrate,
)
from langpose_rt.fusion.calibration.world_axes import ANKLE_HEIGHT_M
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import (
    REFERENCE_STATURE_M,
    SKELETONS,
    bone_lengths,
    stature_m,
)
from tests.benchmarks.fusion_accuracy import errors_mm, fused_frames
from tests.benchmarks.fusion_scenes import (
    SIZE_PX,
    CameraTiming,
    Person,
    Scene,
    draw_person,
    joints_of,
    mocap,
    ring_of_cameras,
    shoot,
)
from tests.benchmarks.origin import print_report

SECONDS = 30.0


def walkers() -> list:
    """Clips in which somebody gets around, at least 2 m in some direction."""
    found = []
    for clip in mocap().clips:
        if clip.duration_s >= 5:
            still = Person(clip=clip, start_s=0.0, place_m=np.zeros(3), angle=0.0)
            hips = joints_of(still, np.linspace(0, clip.duration_s, 60))[:, 0, :2]
            if 2.0 < float(np.ptp(hips, axis=0).max()) < 4.5:
                found.append(clip)
    return found


def draw_walk(seed: int, timing: dict[str, CameraTiming] | None = None) -> Scene:
    """A walker of that seed in front of four cameras."""
    rng = np.random.default_rng([seed, 1234])
    rig = ring_of_cameras(rng, 4)
    person = draw_person(rng, (0.0, 0.0), SECONDS, clips=walkers())
    return shoot(rng, rig, [person], SECONDS, timing=timing)


def clips_of_scene(scene: Scene) -> dict[str, Clip]:
    """What each camera would have written to a file."""
    clips = {}
    for name, camera in scene.cameras.items():
        own = [frame for frame in scene.frames if frame.camera == name]
        keypoints = np.zeros((len(own), 1, 17, 3), np.float32)
        for index, frame in enumerate(own):
            if len(frame.who):
                keypoints[index, 0] = frame.keypoints[0]
        clips[name] = Clip(
            keypoints=keypoints,
            skeleton=SKELETONS["h36m17"],
            size=SIZE_PX,
            t_ns=np.array([frame.stamp_ns for frame in own]),
            ids=np.where((keypoints[..., 2] > 0).any(-1), 0, -1),
            intrinsics=camera.intrinsics,
        )
    return clips


def aligned(
    found: dict[str, Camera], true: dict[str, Camera]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Errors of centres (mm) and rotations (degrees), and the fit: true = R found + t."""
    T, G = (
        np.stack([one[name].T_world_camera for name in true])  # type: ignore[misc]
        for one in (found, true)
    )
    # rotations and centres together decide the fit: centres of a ring are nearly flat
    U, _, Vt = np.linalg.svd(np.einsum("cij,ckj->ik", G[:, :3, :3], T[:, :3, :3]))
    R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
    t = (G[:, :3, 3] - T[:, :3, 3] @ R.T).mean(0)
    centres = np.linalg.norm(T[:, :3, 3] @ R.T + t - G[:, :3, 3], axis=1)
    turn = np.einsum("ij,cjk,clk->cil", R, T[:, :3, :3], G[:, :3, :3])
    cosine = np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)
    return 1000 * centres, np.degrees(np.arccos(cosine)), R, t


def shape_mm(found: dict[str, Camera], true: dict[str, Camera], R: np.ndarray) -> float:
    """Mean error of the centres when the rig may be scaled too."""
    own, wanted = (
        np.stack([one[name].T_world_camera[:3, 3] for name in true])  # type: ignore[index]
        for one in (found, true)
    )
    own, wanted = (own - own.mean(0)) @ R.T, wanted - wanted.mean(0)
    scale = (own * wanted).sum() / (own * own).sum()
    return float(1000 * np.linalg.norm(scale * own - wanted, axis=1).mean())


def in_true_world(found: dict[str, Camera], R: np.ndarray, t: np.ndarray) -> dict[str, Camera]:
    """The cameras found, in the axes of the true ones."""
    cameras = {}
    for name, camera in found.items():
        T = np.eye(4)
        assert camera.T_world_camera is not None
        T[:3, :3] = R @ camera.T_world_camera[:3, :3]
        T[:3, 3] = R @ camera.T_world_camera[:3, 3] + t
        cameras[name] = replace(camera, T_world_camera=T)
    return cameras


def height_m(scene: Scene) -> float:
    """True height of the walker."""
    truth = scene.truth(np.linspace(0, SECONDS, 50))[0]
    return float(stature_m(np.median(bone_lengths(truth), axis=0)))


def calibrated(scene: Scene, *, offsets: bool = False) -> Calibration:
    """The calibration from a walker whose true height is known."""
    options = CalibrationOptions(height_m=height_m(scene), offsets=offsets)
    return calibrate(clips_of_scene(scene), options)


def fused_error_mm(seed: int, scene: Scene, cameras: dict[str, Camera]) -> float:
    """Error of another person, fused with a calibration of the scene's cameras."""
    rng = np.random.default_rng([seed, 99])
    seen = shoot(rng, scene.cameras, [draw_person(rng, (0.3, 0.2), 4.0)], 4.0)
    return float(np.nanmean(errors_mm(seen, fused_frames(replace(seen, cameras=cameras)))))


def scores_of_walk(seed: int) -> dict[str, float]:
    """Errors of the calibration from one walk, and of its clocks where they differ."""
    scene = draw_walk(seed)
    start_s = time.process_time()
    found = calibrated(scene)
    took_s = time.process_time() - start_s
    off_mm, off_deg, R, t = aligned(found.cameras, scene.cameras)
    fused = [
        fused_error_mm(seed, scene, cameras)
        for cameras in (in_true_world(found.cameras, R, t), scene.cameras)
    ]
    # the lowest ankle of a scene is at 0, the floor below it by the height of an ankle
    floor_m = float(t[2]) + ANKLE_HEIGHT_M * height_m(scene) / REFERENCE_STATURE_M
    rng = np.random.default_rng([seed, 5])
    shift_s = {name: float(rng.uniform(-0.1, 0.1)) for name in scene.cameras}
    late = draw_walk(seed, {name: CameraTiming(clock_s=s) for name, s in shift_s.items()})
    unsynchronised = calibrated(late, offsets=True)
    first, *others = shift_s
    clocks_ms = [
        1000 * abs(unsynchronised.offsets_s[n] - (shift_s[n] - shift_s[first])) for n in others
    ]
    late_mm, _, late_R, _ = aligned(unsynchronised.cameras, late.cameras)
    return {
        "centres mm": float(off_mm.mean()),
        "shape mm": shape_mm(found.cameras, scene.cameras, R),
        "rotations degrees": float(off_deg.mean()),
        "up degrees": float(np.degrees(np.arccos(np.clip(R[2, 2], -1, 1)))),
        "floor mm": 1000 * abs(floor_m),
        "fused error worse by mm": fused[0] - fused[1],
        "clocks ms": float(np.mean(clocks_ms)),
        "clocks, worst ms": float(np.max(clocks_ms)),
        "centres, clocks unknown mm": float(late_mm.mean()),
        "shape, clocks unknown mm": shape_mm(unsynchronised.cameras, late.cameras, late_R),
        "CPU s": took_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=6, help="walks")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.count)
    walks = [scores_of_walk(seed) for seed in seeds]
    report: dict[str, object] = {}
    for name in walks[0]:
        values = [walk[name] for walk in walks]
        report[f"{name}, each walk"] = values
        report[f"{name}, mean"] = float(np.mean(values))
    print_report("fusion_calibration", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
