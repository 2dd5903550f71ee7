"""Input masking: hide joints, frames, body parts, time windows, or a limb for a whole clip.

Every kind has its own rate; some clips are not masked. A hidden joint has score 0 and x = y = 0.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from langpose_rt.config import NUM_JOINTS
from langpose_rt.geometry.skeleton import PARTS
from training.synthesis.random_processes import bursts, steps_s

Rng = np.random.Generator

LIMB_GROUPS: tuple[tuple[int, ...], ...] = (
    *PARTS.values(),
    (1, 2, 3, 4, 5, 6),
    (2, 3, 5, 6),
    (3, 6),
    (12, 13, 15, 16),
    (13,),
    (16,),
)
"""Groups hidden together: body parts, both legs, all below the hips or knees, hands."""

NEVER_SEEN_CHANCES = np.array([3, 3, 3, 3, 3, 4, 3, 3, 1, 1, 1], np.float64)
"""Weight of each group to be hidden for a whole clip; both legs most often, as behind tables."""


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Rates of the masks.

    Args:
        whole: Share of clips in which nothing is hidden.
        joint_rate: Largest share of single joints, in pieces of 20 ms to 0.5 s.
        frame_rate: Largest share of frames in which all joints are hidden.
        part_rate: Largest share of the time that each body part is hidden, in pieces of 0.1 to 2 s.
        window_share: Share of clips with one time window in which most or all joints are hidden.
        never_share: Share of clips in which one limb is hidden throughout.

    Source:
        Kinds: LangPose (second-hand). Rates: ours, because the paper does not publish them.
    """

    whole: float = 0.3
    joint_rate: float = 0.2
    frame_rate: float = 0.15
    part_rate: float = 0.12
    window_share: float = 0.15
    never_share: float = 0.12


def draw_masks(
    rng: Rng, time_ns: Int64[np.ndarray, "clip frame"], config: MaskConfig
) -> Bool[np.ndarray, "clip frame 17"]:
    """Draw the masks; True marks a visible joint."""
    clips = len(time_ns)
    dt_s = steps_s(time_ns)
    some = rng.random((4, clips)) < 0.6
    joint_share = rng.uniform(0, config.joint_rate, (clips, 1)) * some[0, :, None]
    log_s = rng.uniform(np.log(0.02), np.log(0.5), clips)
    hidden = bursts(rng, dt_s, np.repeat(joint_share, NUM_JOINTS, 1), np.exp(log_s))
    frame_share = rng.uniform(0, config.frame_rate, (clips, 1)) * some[1, :, None]
    hidden |= bursts(rng, dt_s, frame_share, rng.uniform(0.02, 0.15, clips))
    hidden |= _hide_parts(rng, dt_s, config.part_rate * some[2])
    hidden |= _hide_window(rng, time_ns, config.window_share)
    never = _draw_never(rng, clips, config.never_share)
    hidden |= never[:, None]
    hidden[rng.random(clips) < config.whole] = False
    return np.asarray(~hidden)


def apply_masks(
    joints: Float32[np.ndarray, "clip frame 17 2"],
    scores: Float32[np.ndarray, "clip frame 17"],
    seen: Bool[np.ndarray, "clip frame 17"],
) -> tuple[Float32[np.ndarray, "clip frame 17 2"], Float32[np.ndarray, "clip frame 17"]]:
    """Set keypoints and scores of hidden joints to 0."""
    return joints * seen[..., None], scores * seen


def _hide_parts(
    rng: Rng, dt_s: Float32[np.ndarray, "clip frame"], rate: Float[np.ndarray, " clip"]
) -> Bool[np.ndarray, "clip frame 17"]:
    clips, frames = dt_s.shape
    share = rng.uniform(0, 1, (clips, len(LIMB_GROUPS))) * rate[:, None]
    share *= rng.random((clips, len(LIMB_GROUPS))) < 0.4
    mean_s = np.exp(rng.uniform(np.log(0.1), np.log(2.0), clips))
    gone = bursts(rng, dt_s, share, mean_s)
    hidden = np.zeros((clips, frames, NUM_JOINTS), bool)
    for group, joints in enumerate(LIMB_GROUPS):
        hidden[:, :, joints] |= gone[:, :, group, None]
    return hidden


def _hide_window(
    rng: Rng, time_ns: Int64[np.ndarray, "clip frame"], share: float
) -> Bool[np.ndarray, "clip frame 17"]:
    """Hide most joints for 0.1 to 1 s, in half of the cases all joints."""
    clips = len(time_ns)
    end_s = time_ns[:, -1] * 1e-9
    start_s = rng.uniform(0, 1, clips) * end_s
    length_s = np.exp(rng.uniform(np.log(0.1), np.log(1.0), clips))
    time_s = time_ns * 1e-9
    within = (time_s >= start_s[:, None]) & (time_s < (start_s + length_s)[:, None])
    within &= (rng.random(clips) < share)[:, None]
    gone = rng.random((clips, NUM_JOINTS)) < np.where(rng.random((clips, 1)) < 0.5, 1.0, 0.6)
    return np.asarray(within[:, :, None] & gone[:, None])


def _draw_never(rng: Rng, clips: int, share: float) -> Bool[np.ndarray, "clip 17"]:
    chances = NEVER_SEEN_CHANCES / NEVER_SEEN_CHANCES.sum()
    group = rng.choice(len(LIMB_GROUPS), clips, p=chances)
    table = np.zeros((len(LIMB_GROUPS), NUM_JOINTS), bool)
    for row, joints in zip(table, LIMB_GROUPS, strict=True):
        row[list(joints)] = True
    return np.asarray(table[group] & (rng.random((clips, 1)) < share))
