"""Published evaluation protocols, one per convention.

    h36m-motionbert     clips of T frames side by side, the rest of a video dropped (a video shorter
                        than T is stretched to T); P1 and P2 per frame, mean per action, then of the
                        actions
    h36m-videopose3d    every frame, the last clip of a video overlaps the one before; mean per
                        action, then of the actions
    mpi-inf-3dhp        valid frames, each the middle of its own window, edges repeated; MPJPE over
                        17 joints, PCK (150 mm) and AUC (0, 5 .. 150 mm) over 14; averaged over
                        frames and over sequences, both named

P1 is MPJPE with the root counted as a joint of error 0, P2 is Procrustes-aligned.

Source: MotionBERT, VideoPose3D, P-STMO and D3DP, public code.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int

from langpose_rt.config import NUM_JOINTS
from langpose_rt.evaluation.metrics import auc, mpjpe_mm, p_mpjpe_mm, pck
from langpose_rt.geometry.skeleton import FLIP_INDICES
from training.data.screen_videos import Convention, ScreenVideo

Rows = Float32[np.ndarray, "clip frame 17 3"]
Lift = Callable[[Rows], Rows]
"""Predicts poses for clips of T frames, in units of the convention, camera axes."""

Table = dict[str, dict[str, float]]

JOINTS_3DHP = tuple(joint for joint in range(NUM_JOINTS) if joint not in (0, 7, 9))
"""The 14 joints of PCK and AUC: without pelvis, spine and nose."""

_CLIPS_AT_ONCE = 64


def flipped(lift: Lift) -> Lift:
    """Return a model with flip averaging."""
    sign = np.array([-1, 1, 1], np.float32)

    def both(rows: Rows) -> Rows:
        mirrored = rows[:, :, FLIP_INDICES] * sign
        again = lift(mirrored)[:, :, FLIP_INDICES] * sign
        return np.asarray((lift(rows) + again) / 2, np.float32)

    return both


def protocol_scores(
    convention: Convention, videos: Sequence[ScreenVideo], lift: Lift, frames: int
) -> Table:
    """Compute one row of scores per action or sequence, and the averages of the convention.

    Args:
        convention: Name of the convention.
        videos: Videos of the test split.
        lift: Model.
        frames: T, the clip length of the model.
    """
    if convention == "mpi-inf-3dhp":
        return _scores_3dhp(videos, lift, frames)
    answer = _side_by_side if convention == "h36m-motionbert" else _every_frame
    by_action: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for video in videos:
        found_mm, kept = answer(video, lift, frames)
        if len(kept):
            by_action.setdefault(video.action, []).append((found_mm, video.truth_mm[kept]))
    rows = {
        action: _errors_mm(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
        for action, pairs in sorted(by_action.items())
    }
    mean = {name: float(np.mean([row[name] for row in rows.values()])) for name in ("P1", "P2")}
    return rows | {"mean of actions": mean}


def _errors_mm(found_mm: np.ndarray, truth_mm: np.ndarray) -> dict[str, float]:
    found_m, truth_m = found_mm / 1000, truth_mm / 1000
    return {"P1": mpjpe_mm(found_m, truth_m), "P2": p_mpjpe_mm(found_m, truth_m)}


def _side_by_side(
    video: ScreenVideo, lift: Lift, frames: int
) -> tuple[np.ndarray, Int[np.ndarray, " kept"]]:
    count = len(video.rows)
    if count >= frames:
        places = np.arange(count // frames * frames).reshape(-1, frames)
    else:
        places = np.linspace(0, count - 1, frames).round().astype(np.int64)[None]
    found_mm = _lifted_mm(video, lift, places)
    kept, place = np.unique(places, return_inverse=True)
    total = np.zeros((len(kept), NUM_JOINTS, 3))
    np.add.at(total, place.reshape(-1), found_mm.reshape(-1, NUM_JOINTS, 3))
    return total / np.bincount(place.reshape(-1))[:, None, None], kept


def _every_frame(
    video: ScreenVideo, lift: Lift, frames: int
) -> tuple[np.ndarray, Int[np.ndarray, " kept"]]:
    count = len(video.rows)
    starts = [*range(0, max(count - frames, 0), frames), max(count - frames, 0)]
    places = np.minimum(np.array(starts)[:, None] + np.arange(frames), count - 1)
    found_mm = _lifted_mm(video, lift, places)
    kept, first = np.unique(places, return_index=True)
    return found_mm.reshape(-1, NUM_JOINTS, 3)[first], kept


def _scores_3dhp(videos: Sequence[ScreenVideo], lift: Lift, frames: int) -> Table:
    rows, counts = {}, []
    for video in videos:
        kept = np.nonzero(video.valid)[0]
        places = kept[:, None] + np.arange(frames) - frames // 2
        places = np.clip(places, 0, len(video.rows) - 1)
        found_m = _lifted_mm(video, lift, places)[:, frames // 2] / 1000
        truth_m = video.truth_mm[kept] / 1000
        rows[video.name] = {
            "MPJPE": mpjpe_mm(found_m, truth_m),
            "PCK": 100 * pck(found_m, truth_m, joints=JOINTS_3DHP),
            "AUC": 100 * auc(found_m, truth_m, joints=JOINTS_3DHP),
        }
        counts.append(len(kept))
    names = ("MPJPE", "PCK", "AUC")
    figures = np.array([[row[name] for name in names] for row in rows.values()])
    by_frames = np.average(figures, axis=0, weights=counts)
    return rows | {
        "mean over frames": dict(zip(names, by_frames.tolist(), strict=True)),
        "mean over sequences": dict(zip(names, figures.mean(0).tolist(), strict=True)),
    }


def _lifted_mm(
    video: ScreenVideo, lift: Lift, places: Int[np.ndarray, "clip frame"]
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Lift the given frames; return mm relative to joint 0."""
    parts = [
        lift(video.rows[places[start : start + _CLIPS_AT_ONCE]])
        for start in range(0, len(places), _CLIPS_AT_ONCE)
    ]
    found = np.concatenate(parts)
    return np.asarray((found - found[:, :, :1]) * video.mm_per_unit[places][..., None, None])
