"""The two-person trial of Pose2Sim: identities, agreement, ghosts, and what two cameras give.

Leaving two cameras out is compared with what all four say (`measured`), over all pairs: rays and
bones and the lifts of our model (fused), rays alone, and the mean of the two lifts.

python -m tests.benchmarks.fusion_trial
"""

import argparse
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np

from langpose_rt.formats.calibration import cameras_from_toml
from langpose_rt.formats.clip import Clip
from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.volume import CaptureVolume, VolumeConfig
from langpose_rt.fusion.volume_tracker import TrackerConfig
from langpose_rt.geometry.camera import Camera, pixel_to_ray
from langpose_rt.geometry.skeleton import SKELETONS, to_h36m17
from tests.benchmarks.origin import print_report

TRIAL = Path(__file__).parents[1] / "data" / "pose2sim_two_people.npz"
BODY = SKELETONS["body25b"]
FRAMES = 100
TIMES = [round(frame * 1e9 / 60) for frame in range(FRAMES)]
GHOST_M = 0.3

Lifts = dict[str, list[MonocularLifts]]


def read_trial() -> tuple[dict[str, np.ndarray], dict[str, Camera]]:
    """Arrays of the trial, and its cameras."""
    data = np.load(TRIAL)
    return dict(data), cameras_from_toml(TRIAL.with_suffix(".toml"))


def present(data: dict[str, np.ndarray], camera: str, frame: int) -> np.ndarray:
    """Keypoints of everybody a camera saw in a frame."""
    keypoints = data[camera][frame].astype(np.float64)
    return keypoints[(keypoints[..., 2] > 0).any(-1)]


def fused(
    data: dict[str, np.ndarray], cameras: dict[str, Camera], lifts: Lifts | None = None
) -> list[FusedFrame]:
    """Everything the volume of these cameras says of the trial."""
    config = VolumeConfig(tracker=TrackerConfig(measured=True))
    volume = CaptureVolume(cameras, BODY, config)
    frames = []
    for frame, t_ns in enumerate(TIMES):
        for name in cameras:
            own = None if lifts is None else lifts[name][frame]
            volume.feed(name, t_ns, present(data, name, frame), now_ns=t_ns, lifts=own)
        frames += volume.tick(t_ns)
    return frames + volume.flush(TIMES[-1])


def lifted(data: dict[str, np.ndarray], cameras: dict[str, Camera]) -> Lifts:
    """What our model makes of every camera, by the pipeline that serves live."""
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.pipeline.offline import lift_clip
    from langpose_rt.runtime.backend import DEFAULT_MODEL
    from langpose_rt.runtime.registry import open_backend

    backend = open_backend(DEFAULT_MODEL, slots=128)
    found: Lifts = {}
    for name, camera in cameras.items():
        keypoints = data[name].astype(np.float32)
        clip = Clip(
            keypoints=keypoints,
            skeleton=BODY,
            size=(1088, 1920),
            t_ns=np.array(TIMES),
            ids=np.full(keypoints.shape[:2], -1, np.int64),
            intrinsics=camera.intrinsics,
            gravity=camera.gravity,
        )
        result = lift_clip(clip, backend, PipelineConfig())
        found[name] = [
            _of_detections(present(data, name, frame), camera, result, frame)
            for frame in range(FRAMES)
        ]
    return found


def _of_detections(
    keypoints: np.ndarray, camera: Camera, result: object, frame: int
) -> MonocularLifts:
    """The lift of each detection: the one that is seen where the detection is."""
    lifts = MonocularLifts.missing(len(keypoints))
    pose, root = result.pose[frame], result.root[frame]  # type: ignore[attr-defined]
    points = pose + root[:, None]
    joints = to_h36m17(keypoints, BODY)
    rays = pixel_to_ray(joints[..., :2].astype(np.float64), camera.intrinsics)
    T = camera.T_world_camera
    assert T is not None
    for row in range(len(keypoints)):
        away = np.linalg.norm(points[..., :2] / points[..., 2:] - rays[row], axis=-1)
        away[:, joints[row, :, 2] <= 0] = np.nan
        near = np.array([np.nanmedian(a) if np.isfinite(a).any() else np.inf for a in away])
        if len(near) and near.min() < 0.03:
            best = int(near.argmin())
            lifts.pose[row] = pose[best] @ T[:3, :3].T
            lifts.sigma_m[row] = result.sigma_m[frame, best]  # type: ignore[attr-defined]
            lifts.root[row] = T[:3, :3] @ root[best] + T[:3, 3]
    return lifts


def _measured(frame: FusedFrame) -> np.ndarray:
    assert frame.measured is not None
    return frame.measured


def agreement(
    data: dict[str, np.ndarray], frames: list[FusedFrame]
) -> tuple[list[float], list[int], list[int]]:
    """Median distance (mm), number of ids, and frames of each published person."""
    off, ids, there = [], [], []
    for truth in data["trc"]:
        found, who = [], Counter[int]()
        for index, frame in enumerate(frames):
            away = np.linalg.norm(
                _measured(frame)[:, data["trc_keypoints"]] - truth[index], axis=-1
            )
            middle = np.array([np.nanmedian(a) if np.isfinite(a).any() else 9.0 for a in away])
            if len(middle) and middle.min() < GHOST_M:
                found.append(away[middle.argmin()])
                who[int(frame.ids[middle.argmin()])] += 1
        off.append(1000 * float(np.nanmedian(found)))
        ids.append(len(who))
        there.append(len(found))
    return off, ids, there


def others(data: dict[str, np.ndarray], frames: list[FusedFrame]) -> dict[int, int]:
    """Frames of every further id, that is of none of the two people."""
    count = Counter[int]()
    for index, frame in enumerate(frames):
        for row, number in enumerate(frame.ids.tolist()):
            away = np.linalg.norm(
                frame.joints[row, data["trc_keypoints"]] - data["trc"][:, index], axis=-1
            )
            count[number] += int(np.nanmedian(away, axis=1).min() > GHOST_M)
    return {number: frames for number, frames in count.items() if frames}


def pair_errors_mm(
    data: dict[str, np.ndarray], cameras: dict[str, Camera], lifts: Lifts
) -> dict[str, float]:
    """Mean distance of what two cameras say from what all four say, over all pairs."""
    reference = fused(data, cameras)
    kinds = ("fused, all joints", "fused, joints of two rays", "rays alone", "mean of the lifts")
    sums: dict[str, list[float]] = {kind: [] for kind in kinds}
    for pair in combinations(cameras, 2):
        own = {name: cameras[name] for name in pair}
        for index, frame in enumerate(fused(data, own, {name: lifts[name] for name in pair})):
            truth = _measured(reference[index])[:, reference[index].layout.h36m]
            for person in range(2):
                target = _person_of(data, reference[index], index, person, truth)
                if target is None:
                    continue
                plain = _measured(frame)[:, frame.layout.h36m]
                _add(sums["fused, all joints"], frame.joints17, target)
                _add(sums["rays alone"], plain, target)
                seen = np.where(np.isfinite(plain), frame.joints17, np.nan)
                _add(sums["fused, joints of two rays"], seen, target)
                poses = [
                    lifts[name][index].pose + lifts[name][index].root[:, None] for name in pair
                ]
                nearest = [_nearest(some, target) for some in poses]
                if all(one is not None for one in nearest):
                    _add(sums["mean of the lifts"], np.mean(nearest, axis=0)[None], target)
    return {name: 1000 * float(np.mean(values)) for name, values in sums.items()}


def _person_of(
    data: dict[str, np.ndarray], frame: FusedFrame, index: int, person: int, truth: np.ndarray
) -> np.ndarray | None:
    away = np.linalg.norm(
        _measured(frame)[:, data["trc_keypoints"]] - data["trc"][person, index], axis=-1
    )
    middle = np.array([np.nanmedian(a) if np.isfinite(a).any() else 9.0 for a in away])
    return truth[middle.argmin()] if len(middle) and middle.min() < GHOST_M else None


def _nearest(poses: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    away = np.linalg.norm(poses - target, axis=-1)
    mean = np.array([np.nanmean(a) if np.isfinite(a).any() else 9.0 for a in away])
    return poses[mean.argmin()] if len(mean) and mean.min() < 1.0 else None


def _add(values: list[float], poses: np.ndarray, target: np.ndarray) -> None:
    nearest = _nearest(poses, target)
    if nearest is not None:
        away = np.linalg.norm(nearest - target, axis=-1)
        values += away[np.isfinite(away)].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-pairs", action="store_true", help="leave the pairs of cameras out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    data, cameras = read_trial()
    frames = fused(data, cameras)
    off, ids, there = agreement(data, frames)
    further = others(data, frames)
    report: dict[str, object] = {
        "median mm from the published TRC, each person": off,
        "ids, each person": ids,
        "frames of 100, each person": there,
        "frames of further ids (a third person is real)": str(further),
    }
    if not arguments.no_pairs:
        for name, value in pair_errors_mm(data, cameras, lifted(data, cameras)).items():
            report[f"two cameras against four mm, {name}"] = value
    print_report("fusion_trial", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
