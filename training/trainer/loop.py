"""Training loop: steps, schedule, averaged weights, checkpoints, exact resume.

losses.py defines the losses, batches.py the data.
"""

import json
import math
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ConfigError
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import LangPose, seeded
from training.synthesis.batches import Batch
from training.trainer.config import TrainConfig
from training.trainer.distributed import ALONE, World, agree, average_gradients
from training.trainer.frame_numbers import number_frames
from training.trainer.interrupts import StopRequest
from training.trainer.losses import Losses, Tensors, clip_losses
from training.trainer.muon import MuonAdamW
from training.trainer.text_alignment import Aligner
from training.trainer.text_encoder import TEXT_FILE, save_text, text_sha256

STATE_FILE = "state.pt"
WEIGHTS_FILE = "model.safetensors"

_TORN_FILE = (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError)
"""Exceptions of torch.load for a truncated file."""

_EMBED = "encoder.embed.weight"
_NOT_OF_WEIGHTS = frozenset({"name", "bone_input", "mirrored"})
"""Config fields that may differ between a model and the checkpoint it starts from."""

Validate = Callable[[LangPose], dict[str, float]]


@dataclass
class RunState:
    """State of a run: everything that changes during training; saved as a whole."""

    model: LangPose
    averaged: LangPose
    optimiser: MuonAdamW
    aligner: Aligner | None = None
    step: int = 0
    used_s: float = 0.0
    world: World = ALONE


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a run at a log step."""

    step: int
    share: float
    frames_per_s: float
    left_s: float
    values: dict[str, float]


def start_run(
    model_config: ModelConfig,
    config: TrainConfig,
    aligner: Aligner | None = None,
    world: World = ALONE,
) -> RunState:
    """Start a new run; weights depend on the seed alone.

    Args:
        model_config: Config of the model.
        config: Options of the run.
        aligner: Text alignment; None in stage 2.
        world: Processes of the run and the device of this one.
    """
    plain = replace(model_config, mirrored=False)
    model = seeded(plain, config.seed).train().to(world.device)
    if config.align_only:
        model.requires_grad_(False).encoder.to_embedding.requires_grad_(True)
    averaged = seeded(model_config, config.seed).eval().requires_grad_(False).to(world.device)
    if config.frame_numbers:
        number_frames(model)
        number_frames(averaged)
    if aligner is not None:
        aligner.to(world.device)
    optimiser = MuonAdamW(
        model,
        aligner,
        learning_rate=config.learning_rate,
        matrix_learning_rate=config.matrix_learning_rate,
        weight_decay=config.weight_decay,
    )
    return RunState(model, averaged, optimiser, aligner, world=world)


def start_from(state: RunState, path: Path) -> list[dict[str, Any]]:
    """Load the weights of a checkpoint into a new run, in place.

    Weights without bone input keep their predictions: the new channels start at zero.

    Returns:
        The commands that made those weights, for the model card.

    Raises:
        ConfigError: If the checkpoint is unreadable or of another model config.
    """
    model, card = checkpoint.load(path)
    theirs, ours = model.config.to_dict(), state.model.config.to_dict()
    if any(theirs[name] != ours[name] for name in theirs.keys() - _NOT_OF_WEIGHTS):
        raise ConfigError(f"{path} belongs to another model config; choose the same --preset")
    values = model.state_dict()
    missing = state.model.state_dict()[_EMBED].shape[-1] - values[_EMBED].shape[-1]
    if missing < 0:
        raise ConfigError(f"{path} has bone input; give --bone-input true")
    values[_EMBED] = torch.nn.functional.pad(values[_EMBED], (0, missing))
    state.model.load_state_dict(values)
    state.averaged.load_state_dict(values)
    commands: list[dict[str, Any]] = card.get("commands", [])
    return commands


def save_run(state: RunState, out: Path, card: dict[str, Any]) -> None:
    """Write the state to resume from and the averaged weights; files are replaced atomically."""
    payload = {
        "config": json.dumps(state.model.config.to_dict()),
        "model": state.model.state_dict(),
        "averaged": state.averaged.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "used_s": state.used_s,
        "torch_rng": torch.get_rng_state(),
    }
    space = {}
    if state.aligner is not None:
        payload["aligner"] = state.aligner.learned()
        save_text(out / TEXT_FILE, state.aligner.text)
        space = {"text_sha256": text_sha256(out / TEXT_FILE)}
    part = out / (STATE_FILE + ".part")
    torch.save(payload, part)
    part.replace(out / STATE_FILE)
    checkpoint.save(out / WEIGHTS_FILE, state.averaged, card | {"step": state.step} | space)


def resume_run(state: RunState, out: Path) -> None:
    """Load a saved run into `state`, in place.

    Raises:
        ConfigError: If the file is damaged or belongs to another model.
    """
    path = out / STATE_FILE
    try:
        payload = torch.load(path, map_location=state.world.device, weights_only=True)
    except _TORN_FILE as error:
        raise ConfigError(f"cannot resume from {path}: {error}") from error
    if payload["config"] != json.dumps(state.model.config.to_dict()):
        raise ConfigError(f"{path} belongs to another model config; choose another --out")
    state.model.load_state_dict(payload["model"])
    state.averaged.load_state_dict(payload["averaged"])
    if (state.aligner is None) != ("aligner" not in payload):
        raise ConfigError(f"{path} belongs to another stage; choose another --out")
    if state.aligner is not None:
        state.aligner.load_state_dict(state.aligner.state_dict() | payload["aligner"])
    state.optimiser.load_state_dict(payload["optimiser"])
    state.step, state.used_s = payload["step"], payload["used_s"]
    torch.set_rng_state(payload["torch_rng"].cpu())


def share_of_peak_at(share: float, config: TrainConfig) -> float:
    """Return the learning-rate factor: linear warm-up, then half a cosine down to 1 %."""
    if share < config.warm_up:
        return max(share / config.warm_up, 0.01)
    fall = (share - config.warm_up) / max(1 - config.warm_up, 1e-9)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(fall, 1)))


def train(
    state: RunState,
    batches: Iterable[Batch],
    config: TrainConfig,
    *,
    out: Path,
    card: dict[str, Any],
    validate: Validate | None = None,
    stop: StopRequest | None = None,
) -> Iterator[Progress]:
    """Train until the run is over or a stop is asked for; save at intervals and at the end.

    Yields at every log step, at the first one, so that speed and what is left are known early, and
    at the last one.

    Args:
        state: State of the run; changed in place.
        batches: Batches from number `state.step` on.
        config: Options of the run.
        out: Folder of the checkpoints.
        card: Model card of the weights.
        validate: Evaluates the averaged weights; its values are added to the log.
        stop: Asks for a stop before the next step.
    """
    begun, before_s = time.monotonic(), state.used_s
    logged_at, logged_step, saved_at, first = begun, state.step, begun, state.step + 1
    for batch in batches:
        stopped = stop is not None and stop.asked
        share = agree(math.inf if stopped else share_of_run(state, config), state.world)
        if share >= 1:
            break
        losses = _step(state, batch, config, share)
        state.step += 1
        now = time.monotonic()
        state.used_s = before_s + now - begun
        at_validation = state.step % config.validate_every == 0
        due = at_validation or state.step in (first, config.steps)
        if state.world.leads and (due or state.step % config.log_every == 0):
            values = _values(losses)
            if at_validation and validate is not None:
                values |= validate(state.averaged)
            frames = (state.step - logged_step) * batch.time_ns.size * state.world.size
            yield _progress(state, config, values, frames / max(now - logged_at, 1e-9))
            logged_at, logged_step = time.monotonic(), state.step
        late = 0 < 60 * config.save_minutes <= time.monotonic() - saved_at
        if (late or state.step % config.save_every == 0) and state.world.leads:
            save_run(state, out, card)
            saved_at = time.monotonic()
    if state.world.leads:
        save_run(state, out, card)


def tensors_from_batch(batch: Batch, device: torch.device) -> Tensors:
    """Convert a batch to tensors; on the CPU they share its memory."""
    names = [item.name for item in fields(Tensors)]
    tensors = {name: torch.from_numpy(getattr(batch, name)) for name in names}
    return Tensors(**{name: value.to(device) for name, value in tensors.items()})


def _step(state: RunState, batch: Batch, config: TrainConfig, share: float) -> Losses:
    lag_frames, start = _draw_lags(batch, state.step, config)
    losses = clip_losses(
        state.model,
        tensors_from_batch(batch, state.world.device),
        lag_frames.to(state.world.device),
        start,
        config.loss,
        half=share < config.half_until,
        aligner=state.aligner,
    )
    losses.total.backward()
    learning = list(state.model.parameters())
    if state.aligner is not None:
        learning += list(state.aligner.parameters())
    average_gradients(learning, state.world)
    norm = torch.nn.utils.clip_grad_norm_(learning, config.gradient_norm)
    if torch.isfinite(norm):
        state.optimiser.step(share_of_peak_at(share, config))
    else:
        state.optimiser.forget_gradients()
    _average(state, config.ema)
    return losses


def _draw_lags(batch: Batch, step: int, config: TrainConfig) -> tuple[Tensor, int]:
    """Draw a lag in frames for every clip and the first target frame; fixed by seed and step."""
    rng = np.random.default_rng([config.seed, step, 1])
    frames = batch.time_ns.shape[1]
    period_s = np.maximum(np.median(np.diff(batch.time_ns, axis=1), axis=1) * 1e-9, 1e-3)
    lag_s = rng.uniform(0, config.loss.longest_lag_s, len(period_s))
    most = min(config.loss.most_lag_frames, frames - 1)
    lag_frames = np.clip(np.ceil(lag_s / period_s), 1, most).astype(np.int64)
    return torch.from_numpy(lag_frames), int(rng.integers(0, frames - frames // 2 + 1))


@torch.no_grad()
def _average(state: RunState, ema: float) -> None:
    decay = min(ema, (1 + state.step) / (10 + state.step))
    averaged: list[Tensor] = list(state.averaged.parameters())
    latest: list[Tensor] = list(state.model.parameters())
    torch._foreach_lerp_(averaged, latest, 1 - decay)


def share_of_run(state: RunState, config: TrainConfig) -> float:
    """Return how much of the run is done; 1 and more is all of it."""
    if config.steps > 0:
        return state.step / config.steps
    return state.used_s / (60 * config.minutes)


def _progress(
    state: RunState, config: TrainConfig, values: dict[str, float], frames_per_s: float
) -> Progress:
    share = share_of_run(state, config)
    left_s = max(state.used_s * (1 - share) / max(share, 1e-9), 0.0)
    return Progress(
        step=state.step, share=share, frames_per_s=frames_per_s, left_s=left_s, values=values
    )


def _values(losses: Losses) -> dict[str, float]:
    return {
        "loss": float(losses.total.detach()),
        "position": float(losses.position),
        "velocity": float(losses.velocity),
        "sigma": float(losses.sigma),
        "lag": float(losses.lag_position),
        "alignment": float(losses.alignment),
    }
