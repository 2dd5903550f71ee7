"""Absolute error of fused people: motion capture, virtual cameras, the trainer's detector noise.

python -m tests.benchmarks.fusion_accuracy --scenes 12
"""

import argparse
from collections.abc import Iterator

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.volume import CaptureVolume, VolumeConfig
from langpose_rt.geometry.skeleton import SKELETONS
from tests.benchmarks.fusion_scenes import (
    CameraTiming,
    Scene,
    draw_person,
    ring_of_cameras,
    shoot,
)
from tests.benchmarks.origin import print_report

SECONDS = 4.0


def fused_frames(scene: Scene, config: VolumeConfig | None = None) -> list[FusedFrame]:
    """Everything a volume says of a scene, frames fed as they arrive."""
    volume = CaptureVolume(scene.cameras, SKELETONS["h36m17"], config)
    out: list[FusedFrame] = []
    now_ns = 0
    for place, frame in enumerate(scene.frames):
        now_ns = frame.arrival_ns
        volume.feed(frame.camera, frame.stamp_ns, frame.keypoints, now_ns=now_ns, lifts=frame.lifts)
        more = scene.frames[place + 1 : place + 2]
        if not more or more[0].arrival_ns > now_ns:
            out += volume.tick(now_ns)
    return out + volume.flush(now_ns + NS_PER_S)


def errors_mm(scene: Scene, frames: list[FusedFrame], since_s: float = 0.5) -> np.ndarray:
    """Distance of every fused joint from the person it is nearest to [pose, 17]."""
    found = []
    truth = scene.truth(np.array([frame.t_ns for frame in frames]) / NS_PER_S)
    for index, frame in enumerate(frames):
        if frame.t_ns < since_s * NS_PER_S:
            continue
        for joints in frame.joints17:
            away = np.linalg.norm(truth[:, index] - joints, axis=-1)
            usable = np.isfinite(away).any(1)
            if usable.any():
                mean = np.where(usable, np.nanmean(np.where(usable[:, None], away, 9.0), 1), 9.0)
                found.append(1000 * away[mean.argmin()])
    return np.array(found).reshape(-1, 17)


def scenes(
    count: int, cameras: int, people: int, first: int = 0, **options: object
) -> Iterator[Scene]:
    """Scenes of that many cameras and people, one a seed."""
    for seed in range(first, first + count):
        rng = np.random.default_rng([seed, cameras, people])
        angles = None
        if cameras == 2:
            start = rng.uniform(0, 360)
            angles = [start, start + 90]
        rig = ring_of_cameras(rng, cameras, angles_deg=angles)
        spots = rng.permutation([(x, y) for x in (-0.9, 0.0, 0.9) for y in (-0.9, 0.0, 0.9)])
        crowd = [draw_person(rng, spots[n], SECONDS) for n in range(people)]
        yield shoot(rng, rig, crowd, SECONDS, **options)  # type: ignore[arg-type]


def mean_error_mm(
    count: int,
    cameras: int,
    people: int,
    config: VolumeConfig | None = None,
    **options: object,
) -> float:
    """Mean over scenes, people, frames and joints."""
    found = [
        errors_mm(scene, fused_frames(scene, config))
        for scene in scenes(count, cameras, people, **options)
    ]
    return float(np.nanmean(np.concatenate(found)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=12, help="scenes for every figure")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    count = arguments.scenes
    report: dict[str, object] = {}
    for cameras in (2, 4):
        for people in (1, 6):
            name = f"{cameras} cameras {people} people mm"
            report[name] = mean_error_mm(count, cameras, people)
        hidden = mean_error_mm(count, cameras, 1, half_hidden_from="cam1")
        report[f"{cameras} cameras half hidden from one mm"] = hidden
    late = {"cam1": CameraTiming(phase_s=0.0, delay_s=0.033)}
    report["4 cameras one 33 ms late mm"] = mean_error_mm(count, 4, 1, timing=late)
    slow = {"cam1": CameraTiming(rate_hz=30.0, phase_s=0.004)}
    report["4 cameras one of 30 Hz mm"] = mean_error_mm(count, 4, 1, timing=slow)
    print_report("fusion_accuracy", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
