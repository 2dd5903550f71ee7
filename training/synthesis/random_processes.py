"""Random processes in continuous time: Ornstein-Uhlenbeck drift and two-state bursts.

Noise and masks use them, so that their statistics do not depend on the frame rate.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

Rng = np.random.Generator


def steps_s(time_ns: Int64[np.ndarray, "clip frame"]) -> Float32[np.ndarray, "clip frame"]:
    """Return the seconds since the previous frame; 0 at the first frame."""
    return np.asarray(np.diff(time_ns, axis=1, prepend=time_ns[:, :1]) * 1e-9, np.float32)


def drift(
    rng: Rng,
    dt_s: Float32[np.ndarray, "clip frame"],
    tau_s: Float[np.ndarray, " clip"],
    channels: tuple[int, ...],
) -> Float32[np.ndarray, "clip frame *channel"]:
    """Draw Ornstein-Uhlenbeck noise of unit variance with correlation time tau.

    The first frame has the stationary distribution; successive frames correlate by exp(-dt/tau).
    """
    clips, frames = dt_s.shape
    noise = rng.standard_normal((clips, frames, *channels), dtype=np.float32)
    keep = np.exp(-dt_s / np.asarray(tau_s, np.float32)[:, None])
    fresh = np.sqrt(1 - keep**2)
    shape = (clips,) + (1,) * len(channels)
    for frame in range(1, frames):
        noise[:, frame] *= fresh[:, frame].reshape(shape)
        noise[:, frame] += keep[:, frame].reshape(shape) * noise[:, frame - 1]
    return noise


def bursts(
    rng: Rng,
    dt_s: Float32[np.ndarray, "clip frame"],
    share: Float[np.ndarray, "clip channel"],
    mean_s: Float[np.ndarray, " clip"],
) -> Bool[np.ndarray, "clip frame channel"]:
    """Draw an on/off signal that is on for `share` of the time, for `mean_s` on average.

    A two-state Markov process in continuous time; share is limited to 95 %.
    """
    clips, frames = dt_s.shape
    dice = rng.random((clips, frames, share.shape[1]), dtype=np.float32)
    share = np.clip(share, 0, 0.95).astype(np.float32)
    on_rate = share / (1 - share)
    decay = np.exp(-dt_s[:, :, None] / (mean_s[:, None, None] * (1 - share[:, None])))
    turn_on = share[:, None] * (1 - decay)
    stay_on = share[:, None] + (1 - share[:, None]) * decay
    state = np.empty(dice.shape, bool)
    state[:, 0] = dice[:, 0] < share
    for frame in range(1, frames):
        chance = np.where(state[:, frame - 1], stay_on[:, frame], turn_on[:, frame])
        state[:, frame] = (dice[:, frame] < chance) & (on_rate > 0)
    return state
