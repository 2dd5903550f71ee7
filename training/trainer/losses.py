"""Loss terms: position, velocity, sigma, and alignment of motion with text.

They apply at lag 0 to every frame, and with a smaller weight at one random lag per clip.
"""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from langpose_rt.model.encoder import seconds
from langpose_rt.model.langpose import LangPose
from training.trainer.text_alignment import Aligner


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the loss terms.

    Args:
        velocity: Weight of the velocity error (body units per second) against the position error.
        sigma: Weight of the negative log likelihood.
        lag: Weight of all terms at the random lag; a large weight degrades lag 0.
        alignment: Weight of the agreement of motion and text in stage 1.
        longest_lag_s: Upper limit of the uniformly drawn lags.
        most_lag_frames: Upper limit of the lags in frames.
        shortest_step_s: Lower limit of the time step in velocities, so that fast cameras and
            jittered times do not dominate.

    Source:
        Position and velocity: LangPose (second-hand), weights ours. Sigma and lag: ours.
    """

    velocity: float = 0.1
    sigma: float = 0.02
    lag: float = 0.25
    alignment: float = 0.02
    longest_lag_s: float = 0.2
    most_lag_frames: int = 24
    shortest_step_s: float = 1 / 60


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Batch as tensors; the fields are those of batches.Batch."""

    rows: Float[Tensor, "clip frame 17 3"]
    extras: Float[Tensor, "clip frame extra"]
    time_ns: Int[Tensor, "clip frame"]
    pose: Float[Tensor, "clip frame 17 3"]
    rotation: Float[Tensor, "clip frame 3 3"]
    stature_m: Float[Tensor, " clip"]
    text: Int[Tensor, " clip"]


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Total loss to minimise, and its terms for the log (body units; detached)."""

    total: Tensor
    position: Tensor
    velocity: Tensor
    sigma: Tensor
    lag_position: Tensor
    alignment: Tensor


def clip_losses(
    model: LangPose,
    batch: Tensors,
    lag_frames: Int[Tensor, " clip"],
    start: int,
    config: LossConfig,
    *,
    half: bool = False,
    aligner: Aligner | None = None,
) -> Losses:
    """Compute the losses of one batch.

    Args:
        model: Model without flip averaging.
        batch: Inputs and targets.
        lag_frames: Random lag of every clip in frames; 0 gives that clip no weight there.
        start: First latest frame of the lagged terms, which use half as many frames as the clip.
        config: Weights of the terms.
        half: Compute the encoder and the hidden layer of the lifter in bfloat16; poses and losses
            stay in float32.
        aligner: Text alignment; None trains lifting only.
    """
    features = _features(model, batch, half=half)
    pose, log_sigma = _lift(
        model, features, features, torch.zeros_like(batch.extras[..., 0]), half=half
    )
    every = torch.ones_like(batch.time_ns, dtype=torch.bool)
    now = _terms(pose - batch.pose, log_sigma, batch.rotation, batch.time_ns, every, config=config)
    total, lag_position = _weighted(now, config), torch.zeros_like(now[0])
    if config.lag > 0:
        late = _lagged_terms(
            model, features, batch, lag_frames, start=start, config=config, half=half
        )
        total, lag_position = total + config.lag * _weighted(late, config), late[0]
    alignment = torch.zeros_like(now[0])
    if aligner is not None:
        motion = model.encoder.embedding(features).mean(dim=1)
        alignment = aligner(motion, batch.text)
        total = total + config.alignment * alignment
    position, velocity, sigma = (term.detach() for term in now)
    return Losses(
        total=total,
        position=position,
        velocity=velocity,
        sigma=sigma,
        lag_position=lag_position.detach(),
        alignment=alignment.detach(),
    )


def _weighted(terms: tuple[Tensor, Tensor, Tensor], config: LossConfig) -> Tensor:
    position, velocity, sigma = terms
    return position + config.velocity * velocity + config.sigma * sigma


def _features(
    model: LangPose, batch: Tensors, *, half: bool
) -> Float[Tensor, "clip frame token rep"]:
    """Encode the batch, with a float32 result; in bfloat16 a CPU uses plain matrix products.

    Flash attention's backward pass took a third of a bfloat16 step there, and torch selects it even
    if plain products have priority.
    """
    inputs = (batch.rows, batch.extras, batch.time_ns)
    if not half:
        features: Tensor = model.encoder(*inputs)
        return features
    kind = batch.rows.device.type
    attention = sdpa_kernel(SDPBackend.MATH) if kind == "cpu" else nullcontext()
    with torch.autocast(kind, torch.bfloat16), attention:
        features = model.encoder(*inputs)
    return features.float()


def _lift(
    model: LangPose, latest: Tensor, target: Tensor, lag_s: Tensor, *, half: bool
) -> tuple[Float[Tensor, "*batch 17 3"], Float[Tensor, "*batch 17"]]:
    """Lift the target frames; in half the hidden channels are bfloat16 and poses still float32."""
    lifter = model.lifter
    if not half:
        pose, log_sigma = lifter(latest, target, lag_s)
        return pose, log_sigma
    with torch.autocast(latest.device.type, torch.bfloat16):
        hidden = lifter.join(latest, target, lag_s)
    return lifter.read(hidden.float())


def _lagged_terms(
    model: LangPose,
    features: Float[Tensor, "clip frame token rep"],
    batch: Tensors,
    lag_frames: Int[Tensor, " clip"],
    *,
    start: int,
    config: LossConfig,
    half: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    clips, frames = batch.time_ns.shape
    newest = torch.arange(start, min(start + max(frames // 2, 1), frames), device=features.device)
    answered = newest[None] - lag_frames[:, None]
    valid = (answered >= 0) & (lag_frames[:, None] > 0)
    answered = answered.clamp(min=0)
    clip = torch.arange(clips, device=features.device)[:, None]
    times = batch.time_ns[clip, answered]
    lag_s = seconds(batch.time_ns[:, newest] - times)
    pose, log_sigma = _lift(model, features[:, newest], features[clip, answered], lag_s, half=half)
    error = pose - batch.pose[clip, answered]
    rotation = batch.rotation[clip, answered]
    return _terms(error, log_sigma, rotation, times, valid, config=config)


def _terms(
    error: Float[Tensor, "clip frame 17 3"],
    log_sigma: Float[Tensor, "clip frame 17"],
    rotation: Float[Tensor, "clip frame 3 3"],
    time_ns: Int[Tensor, "clip frame"],
    valid: Bool[Tensor, "clip frame"],
    *,
    config: LossConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute position, velocity and sigma terms over the valid frames.

    The person frame rotates from frame to frame, so velocities are computed in camera axes. The
    sigma term uses a detached error, so that it does not change the gradient of the pose.
    """
    weight = valid.float()
    distance = _norm(error)
    position = _mean(distance.mean(-1), weight)
    in_camera = error @ rotation
    step_s = seconds(time_ns[:, 1:] - time_ns[:, :-1]).clamp(min=config.shortest_step_s)
    change = _norm(in_camera[:, 1:] - in_camera[:, :-1]).mean(-1) / step_s
    velocity = _mean(change, weight[:, 1:] * weight[:, :-1])
    variance = distance.detach()[..., 1:].square() / 3
    log_sigma = log_sigma[..., 1:]
    surprise = 3 * log_sigma + 1.5 * variance * torch.exp(-2 * log_sigma)
    return position, velocity, _mean(surprise.mean(-1), weight)


def _norm(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    return torch.sqrt(vectors.square().sum(-1) + 1e-10)


def _mean(values: Float[Tensor, "clip frame"], weight: Float[Tensor, "clip frame"]) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)
