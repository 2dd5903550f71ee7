"""How far people who are held are from the truth, beside repeating their last pose.

    python -m tests.benchmarks.held

Every second and a half somebody is taken out of the messages for a while. Three answers to the
frames they are missing from: what the server holds, the last pose before, and what it would have
said had they been seen. Prints machine, commit and command with the figures; asserts nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from langpose_rt.cli.commands.evaluate import first_person
from langpose_rt.config import NS_PER_S
from langpose_rt.formats.clip import DEMO_CLIP, Clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import skeleton_named
from langpose_rt.pipeline.config import NS_PER_MS, PipelineConfig
from langpose_rt.pipeline.offline import lift_clip
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.registry import open_backend
from tests.benchmarks.origin import origin
from tests.crossings import MOCAP
from training.data.mocap import Mocap, MotionClip, read_mocap
from training.synthesis.cameras import project, to_camera
from training.synthesis.detector_noise import NoiseConfig, detect

GAPS_MS = (50, 100, 200, 400)
SEEN_MS, EVERY_MS, AFTER_MS = 700, 1500, 100
"""How long somebody is seen at first, from one gap to the next, and what counts as the return."""

CLIPS, SECONDS, RATE_HZ = 40, 6, 60
SIZE_PX, FOCAL_PX = (1280, 720), 1000.0
REAL = (DEMO_CLIP, Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam04.npz")


def main() -> None:
    """Print the table."""
    print(origin("python -m tests.benchmarks.held"))
    print("mean distance of a joint from the truth, mm: roots laid on each other / absolute, less")
    print(
        f"the clip's mean root error; after: the first {AFTER_MS} ms in which they are seen again"
    )
    sets = {"real": [first_person(read_clip(path)) for path in REAL]}
    if MOCAP.is_dir():
        sets["mocap"] = list(mocap_clips(read_mocap(MOCAP, "val")))
    backend = open_backend()
    columns = ("seen", "held", "repeated", "held at the end", "repeated at the end")
    columns += ("after: held", "not held")
    print(f"{'clips':<8}{'gap':>8}" + "".join(f"{name:>21}" for name in columns))
    for name, clips in sets.items():
        wholes = [_lifted(clip, backend, coast_ms=0.0) for clip in clips]
        pairs = list(zip(clips, wholes, strict=True))
        for gap_ms in GAPS_MS:
            errors = np.mean([_errors_mm(*pair, backend, gap_ms) for pair in pairs], axis=0)
            cells = (f"{relative:.1f} / {absolute:.1f}" for relative, absolute in errors)
            print(f"{name:<8}{gap_ms:>5} ms" + "".join(f"{cell:>21}" for cell in cells))


def mocap_clips(mocap: Mocap) -> Iterator[Clip]:
    """People of many actions in front of a camera, as a detector sees them."""
    rng = np.random.default_rng(0)
    long = [clip for clip in mocap.clips if clip.duration_s > SECONDS]
    for index in rng.permutation(len(long))[:CLIPS]:
        yield _filmed(rng, mocap, long[index])


def _filmed(rng: np.random.Generator, mocap: Mocap, motion: MotionClip) -> Clip:
    every = round(motion.fps / min(RATE_HZ, motion.fps))
    frames = mocap.joints_m[motion.start : motion.start + motion.frames : every]
    frames = frames[: int(SECONDS * motion.fps / every)]
    middle_m = frames[:, 0].mean(0)
    distance_m = 3.0 + 1.2 * np.ptp(frames[:, 0, :2], axis=0).max()
    around = rng.uniform(0, 2 * np.pi)
    forward = np.array([np.cos(around), np.sin(around), -0.1])
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])[None]
    place_m = (middle_m - distance_m * forward)[None]
    pose_m = to_camera(frames[None], rotation, place_m)
    exact_px = project(pose_m, np.array([FOCAL_PX], np.float32), np.array([SIZE_PX]) / 2)
    time_ns = np.arange(len(frames), dtype=np.int64) * round(NS_PER_S * every / motion.fps)
    stature_px = 1.7 * FOCAL_PX / pose_m[:, :, 0, 2]
    inside = ((exact_px >= 0) & (exact_px < np.array(SIZE_PX))).all(-1)
    noise = NoiseConfig(strongest=1.0, clean=0.0)
    found = detect(
        rng, exact_px.astype(np.float32), stature_px, inside, time_ns[None], config=noise
    )
    keypoints = np.concatenate([found.joints_px, found.scores[..., None]], -1)
    return Clip(
        keypoints=keypoints.swapaxes(0, 1).astype(np.float32),
        skeleton=skeleton_named("h36m17"),
        size=SIZE_PX,
        t_ns=time_ns,
        ids=np.zeros((len(frames), 1), np.int64),
        intrinsics=Intrinsics(
            fx_px=FOCAL_PX, fy_px=FOCAL_PX, cx_px=SIZE_PX[0] / 2, cy_px=SIZE_PX[1] / 2,
            width_px=SIZE_PX[0], height_px=SIZE_PX[1],
        ),
        pose3d=pose_m[0].astype(np.float32),
    )  # fmt: skip


@dataclass(frozen=True)
class _Gaps:
    """Which frames somebody is missing from, and around that."""

    missing: np.ndarray
    last: np.ndarray
    ends: np.ndarray
    after: np.ndarray


def _gaps(t_ns: np.ndarray, gap_ms: int) -> _Gaps:
    """Gaps at even distances, each with the frame before it."""
    at_ms = (t_ns - t_ns[0]) / NS_PER_MS - SEEN_MS
    into_ms = np.where(at_ms >= 0, at_ms % EVERY_MS, np.inf)
    missing = into_ms < gap_ms
    last = np.arange(len(t_ns))
    for frame in np.flatnonzero(missing):
        last[frame] = last[frame - 1]
    ends = missing & ~np.append(missing[1:], True)
    after = (into_ms >= gap_ms) & (into_ms < gap_ms + AFTER_MS)
    return _Gaps(missing, last, ends, after)


def _errors_mm(clip: Clip, whole: np.ndarray, backend: Backend, gap_ms: int) -> np.ndarray:
    """Root-relative and absolute error of every column."""
    assert clip.pose3d is not None
    gaps = _gaps(clip.t_ns, gap_ms)
    keypoints = np.where(gaps.missing[:, None, None, None], np.float32(0), clip.keypoints)
    cut = replace(clip, keypoints=keypoints)
    held, absent = (_lifted(cut, backend, coast_ms=coast_ms) for coast_ms in (2000.0, 0.0))
    repeated = absent[gaps.last]
    bias = np.nanmean(whole[:, 0] - clip.pose3d[:, 0], axis=0)
    columns = (
        (whole, gaps.missing), (held, gaps.missing), (repeated, gaps.missing),
        (held, gaps.ends), (repeated, gaps.ends), (held, gaps.after), (absent, gaps.after),
    )  # fmt: skip
    return np.array([_error_mm(clip, poses, bias, frames) for poses, frames in columns])


def _lifted(clip: Clip, backend: Backend, coast_ms: float) -> np.ndarray:
    """Absolute joints of the only person; NaN where nobody is answered for."""
    backend.reset(np.arange(backend.slots, dtype=np.int32))
    lifted = lift_clip(clip, backend, PipelineConfig(coast_ms=coast_ms))
    return np.asarray(lifted.pose[:, 0] + lifted.root[:, 0, None])


def _error_mm(
    clip: Clip, poses: np.ndarray, bias: np.ndarray, frames: np.ndarray
) -> tuple[float, float]:
    assert clip.pose3d is not None
    counted = clip.counted & np.isfinite(clip.pose3d).all(-1) & frames[:, None]
    true = clip.pose3d
    relative = (poses - poses[:, :1]) - (true - true[:, :1])
    absolute = poses - bias - true
    found = [np.linalg.norm(away, axis=-1)[counted].mean() for away in (relative, absolute)]
    return 1000 * found[0], 1000 * found[1]


if __name__ == "__main__":
    main()
