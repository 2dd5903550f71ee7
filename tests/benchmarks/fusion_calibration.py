"""Calibration from one walker: a virtual rig of four, 30 s, the trainer's detector noise.

Distances are after the best rigid fit of the camera centres, rotations likewise: where the world
begins is a matter of taste. The fused error compares the calibration found with the true one.

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
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import SKELETONS, bone_lengths, stature_m
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


def calibrated(scene: Scene, *, offsets: bool = False) -> Calibration:
    """The calibration from a walker whose true height is known."""
    truth = scene.truth(np.linspace(0, SECONDS, 50))[0]
    height_m = float(stature_m(np.median(bone_lengths(truth), axis=0)))
    return calibrate(clips_of_scene(scene), CalibrationOptions(height_m=height_m, offsets=offsets))


def fused_error_mm(seed: int, scene: Scene, cameras: dict[str, Camera]) -> float:
    """Error of another person, fused with a calibration of the scene's cameras."""
    rng = np.random.default_rng([seed, 99])
    seen = shoot(rng, scene.cameras, [draw_person(rng, (0.3, 0.2), 4.0)], 4.0)
    return float(np.nanmean(errors_mm(seen, fused_frames(replace(seen, cameras=cameras)))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=6, help="walks")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    centres, turns, worse, took_s, apart_ms, floor_mm = [], [], [], [], [], []
    for seed in range(arguments.first, arguments.first + arguments.count):
        scene = draw_walk(seed)
        start_s = time.process_time()
        found = calibrated(scene)
        took_s.append(time.process_time() - start_s)
        off_mm, off_deg, R, t = aligned(found.cameras, scene.cameras)
        centres.append(float(off_mm.mean()))
        turns.append(float(off_deg.mean()))
        here = in_true_world(found.cameras, R, t)
        worse.append(fused_error_mm(seed, scene, here) - fused_error_mm(seed, scene, scene.cameras))
        floor_mm.append(1000 * abs(float(t[2])))
        rng = np.random.default_rng([seed, 5])
        shift_s = {name: float(rng.uniform(-0.1, 0.1)) for name in scene.cameras}
        late = draw_walk(seed, {name: CameraTiming(clock_s=s) for name, s in shift_s.items()})
        clocks = calibrated(late, offsets=True).offsets_s
        first = shift_s[next(iter(shift_s))]
        apart_ms += [1000 * abs(clocks[n] - (s - first)) for n, s in shift_s.items()]
    report: dict[str, object] = {
        "centres mm, each walk": centres,
        "centres mm, mean": float(np.mean(centres)),
        "rotations degrees, each walk": turns,
        "rotations degrees, mean": float(np.mean(turns)),
        "fused error worse by mm, each walk": worse,
        "fused error worse by mm, mean": float(np.mean(worse)),
        "height of the floor off by mm, mean": float(np.mean(floor_mm)),
        "clock offsets of up to 100 ms off by ms, mean": float(np.mean(apart_ms)),
        "clock offsets off by ms, worst": float(np.max(apart_ms)),
        "CPU s for one calibration, mean": float(np.mean(took_s)),
    }
    print_report("fusion_calibration", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
