"""Absolute error of fused people: motion capture, virtual cameras, the trainer's detector noise.

People are lifted by the model that ships, as a server that fuses does.
Clocks that drift are brought to one by the server's own `CaptureClock`, over ten minutes of frames
whose delay varies as a network's does; what is left is the clock error of the scene.

python -m tests.benchmarks.fusion_accuracy --scenes 12 --first 100
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.volume import CaptureVolume, VolumeConfig
from langpose_rt.fusion.volume_tracker import TrackerConfig
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.pipeline.capture_clock import CaptureClock
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.registry import open_backend
from tests.benchmarks.fusion_lifts import lifted_by
from tests.benchmarks.fusion_scenes import (
    CameraTiming,
    Scene,
    draw_person,
    ring_of_cameras,
    shoot,
)
from tests.benchmarks.origin import print_report

SECONDS = 4.0
TEN_MINUTES_S = 600
DRIFT = 100e-6


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
    *,
    first: int = 0,
    lifts: bool = True,
    bones_known: bool = False,
    **options: object,
) -> float:
    """Mean over scenes, people, frames and joints; `lifted` scenes bring lifts of their own."""
    own = lifts and "lifted" not in options
    found = []
    for drawn in scenes(count, cameras, people, first, **options):
        scene = lifted_by(_backend(), drawn, bones_known=bones_known) if own else drawn
        found.append(errors_mm(scene, fused_frames(scene, config)))
    return float(np.nanmean(np.concatenate(found)))


@lru_cache(maxsize=1)
def _backend() -> Backend:
    return open_backend()


def rays_and_published_mm(count: int, cameras: int, first: int = 0) -> list[float]:
    """Errors of one person's joints from rays alone, and as published, where there are both."""
    alone, published = [], []
    config = VolumeConfig(tracker=TrackerConfig(measured=True))
    for drawn in scenes(count, cameras, 1, first):
        scene = lifted_by(_backend(), drawn)
        frames = [frame for frame in fused_frames(scene, config) if len(frame.ids) == 1]
        truth = scene.truth(np.array([frame.t_ns for frame in frames]) / NS_PER_S)[0]
        for joints, frame in zip(truth, frames, strict=True):
            assert frame.measured is not None
            measured = frame.measured[0, frame.layout.h36m]
            both = np.isfinite(measured[:, 0]) & np.isfinite(frame.joints17[0, :, 0])
            alone.append(np.linalg.norm(measured - joints, axis=-1)[both])
            published.append(np.linalg.norm(frame.joints17[0] - joints, axis=-1)[both])
    return [1000 * float(np.concatenate(errors).mean()) for errors in (alone, published)]


def one_view_doubt_m(count: int, since_s: float, first: int = 0) -> list[float]:
    """Return the error along the rays of the one camera that sees people, and the stated one.

    Three cameras, of which two see nobody any more from some time on; root mean squares over
    joints, frames and scenes, from 0.3 s later on. Lifts are as wrong as ours.
    """
    off_m2, said_m2 = [], []
    for seed in range(first, first + count):
        rng = np.random.default_rng([seed, 3, 1])
        rig = ring_of_cameras(rng, 3)
        crowd = [draw_person(rng, rng.uniform(-1, 1, 2).tolist(), SECONDS)]
        scene = shoot(rng, rig, crowd, SECONDS, lifted=True)
        frames = [
            frame
            if frame.camera == "cam1" or frame.t_ns < since_s * NS_PER_S
            else replace(frame, keypoints=frame.keypoints[:0], who=[], lifts=None)
            for frame in scene.frames
        ]
        T = rig["cam1"].T_world_camera
        assert T is not None
        for fused in fused_frames(replace(scene, frames=frames)):
            if fused.t_ns < (since_s + 0.3) * NS_PER_S or len(fused.ids) != 1:
                continue
            truth = scene.truth(fused.t_ns / NS_PER_S)[0, 0]
            ray = truth - T[:3, 3]
            ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
            spread = fused.covariance_m2[0, fused.layout.h36m]
            off_m2.append(np.square(((fused.joints17[0] - truth) * ray).sum(-1)))
            known = np.isfinite(fused.joints17[0, :, 0])
            said = np.einsum("ji,jik,jk->j", ray, np.nan_to_num(spread), ray)
            said_m2.append(np.where(known, said, np.nan))
    return [float(np.sqrt(np.nanmean(squares))) for squares in (off_m2, said_m2)]


def clock_error_s(drift: float, seed: int = 0) -> float:
    """What a server thinks a capture time shows too much, after ten minutes of a drifting clock."""
    rng = np.random.default_rng([seed, 31])
    t_s = np.arange(0, TEN_MINUTES_S, 1 / 60)
    arrival_ns = np.rint((t_s + 0.002 + rng.exponential(0.003, len(t_s))) * NS_PER_S).astype(int)
    stamps_ns = np.rint(t_s * (1 + drift) * NS_PER_S).astype(int)
    clock = CaptureClock(int(stamps_ns[0]), int(arrival_ns[0]))
    for stamp_ns, now_ns in zip(stamps_ns.tolist(), arrival_ns.tolist(), strict=True):
        found = clock.stamp(stamp_ns, now_ns)
    return found.t_srv_ns / NS_PER_S - float(t_s[-1]) - 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=12, help="scenes for every figure")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    count, first = arguments.scenes, arguments.first
    report: dict[str, object] = {}
    for cameras in (2, 4):
        for people in (1, 6):
            name = f"{cameras} cameras {people} people mm"
            report[name] = mean_error_mm(count, cameras, people, first=first)
        alone = mean_error_mm(count, cameras, 1, first=first, lifts=False)
        report[f"{cameras} cameras 1 person without lifts mm"] = alone
        hidden = mean_error_mm(count, cameras, 1, first=first, half_hidden_from="cam1")
        report[f"{cameras} cameras half hidden from one mm"] = hidden
        for name, hiding in (
            ("1 person", {}),
            ("half hidden from one", {"half_hidden_from": "cam1"}),
        ):
            known = mean_error_mm(count, cameras, 1, first=first, bones_known=True, **hiding)
            report[f"{cameras} cameras {name}, bone lengths known mm"] = known
        exact = mean_error_mm(
            count, cameras, 1, first=first, half_hidden_from="cam1", lifted=True, lift_errors=0.0
        )
        report[f"{cameras} cameras half hidden from one, exact lifts mm"] = exact
        both = rays_and_published_mm(count, cameras, first)
        report[f"{cameras} cameras 1 person rays alone, published mm"] = both
    for since_s in (0.0, 1.5):
        name = f"one camera alone since {since_s:g} s: off along its rays, said m"
        report[name] = one_view_doubt_m(count, since_s, first)
    late = {"cam1": CameraTiming(phase_s=0.0, delay_s=0.033)}
    report["4 cameras one 33 ms late mm"] = mean_error_mm(count, 4, 1, first=first, timing=late)
    slow = {"cam1": CameraTiming(rate_hz=30.0, phase_s=0.004)}
    report["4 cameras one of 30 Hz mm"] = mean_error_mm(count, 4, 1, first=first, timing=slow)
    errors_s = {"cam1": clock_error_s(DRIFT), "cam2": clock_error_s(-DRIFT)}
    drifting = {name: CameraTiming(clock_s=error) for name, error in errors_s.items()}
    report["clock errors after ten minutes at 100 ppm ms"] = [1000 * e for e in errors_s.values()]
    report["4 cameras two 100 ppm apart for ten minutes mm"] = mean_error_mm(
        count, 4, 1, first=first, timing=drifting
    )
    print_report("fusion_accuracy", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
