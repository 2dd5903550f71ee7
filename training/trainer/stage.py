"""Run a training stage: open the data, create or resume the run, write the model card."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ConfigError
from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import LangPose
from training.evaluation.validation import validation_mm
from training.trainer.bfloat16 import faster_than_float32
from training.trainer.config import TrainConfig, config_from_arguments, default_out
from training.trainer.data_sources import lessons_from_arguments
from training.trainer.distributed import World, leave, world_from_environment
from training.trainer.interrupts import stop_on_signals
from training.trainer.loader import BatchLoader
from training.trainer.loop import (
    STATE_FILE,
    WEIGHTS_FILE,
    RunState,
    resume_run,
    share_of_run,
    start_from,
    start_run,
    train,
)
from training.trainer.progress_report import report
from training.trainer.text_alignment import Aligner
from training.trainer.text_encoder import TextEncoder


def run(stage: str, arguments: argparse.Namespace, words: str) -> None:
    """Train with the given flags; `words` is the command line for the model card.

    Raises:
        KeyboardInterrupt: If a signal stopped the run; it is saved.
    """
    config, model_config = _fitted(*config_from_arguments(arguments))
    out = default_out(arguments.out, model_config.name)
    _check_unused(out, resume=arguments.resume)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    world = world_from_environment(config.device)
    config = _without_emulation(config, world)
    lessons = lessons_from_arguments(arguments, config, world)
    aligner = _aligner(config, model_config, lessons.texts) if stage == "pretrain" else None
    state = start_run(model_config, config, aligner, world)
    card = lessons.card | {"seed": config.seed, "training": config.to_dict()}
    card["commands"] = _begin(state, arguments, out, f"{stage} {words}")
    resumed = state.step > 0
    if resumed and share_of_run(state, config) >= 1:
        print(f"{out} holds a run that is over; a longer --steps or --minutes goes on with it")
        leave(world)
        return
    with (
        stop_on_signals() as stop,
        BatchLoader(lessons.make, first=state.step, workers=config.workers) as loader,
    ):

        def validate(model: LangPose) -> dict[str, float]:
            return validation_mm(model, lessons.fixed)

        progress = train(state, loader, config, out=out, card=card, validate=validate, stop=stop)
        report(progress, out, resumed=resumed)
    leave(world)
    if stop.asked:
        raise KeyboardInterrupt


def _check_unused(out: Path, *, resume: bool) -> None:
    """Refuse to start a run in the folder of another one.

    Raises:
        ConfigError: If the folder holds a run that is not resumed, or weights alone.
    """
    state, weights = out / STATE_FILE, out / WEIGHTS_FILE
    if state.exists() and not resume:
        raise ConfigError(
            f"{out} holds a run already; go on with it with --resume, or choose another --out"
        )
    if weights.exists() and not state.exists():
        raise ConfigError(
            f"{out} holds {WEIGHTS_FILE} without the {STATE_FILE} that --resume needs; choose "
            f"another --out, and begin with these weights with --start-from {weights}"
        )


def _fitted(config: TrainConfig, model: ModelConfig) -> tuple[TrainConfig, ModelConfig]:
    """Adapt the run to the model: its input, and no lag for a bidirectional model.

    Raises:
        ConfigError: If clips are longer than the window of a bidirectional model.
    """
    config = replace(config, data=replace(config.data, screen=model.input == "screen"))
    if model.causal:
        return config, model
    if config.data.frames > model.window:
        raise ConfigError(
            f"clips of {config.data.frames} frames, but {model.name} sees {model.window} at once; "
            f"choose --frames {model.window} or fewer"
        )
    return replace(config, loss=replace(config.loss, lag=0.0)), model


def _without_emulation(config: TrainConfig, world: World) -> TrainConfig:
    """Return the run in float32 throughout, and say so, where the device would emulate bfloat16."""
    if config.half_until == 0 or faster_than_float32(world.device):
        return config
    if world.leads:
        print(
            f"half_until {config.half_until:g} is left out: this CPU has no bfloat16 "
            "(AVX512-BF16 or AMX) and would emulate it at a tenth of the speed of float32"
        )
    return replace(config, half_until=0.0)


def _begin(
    state: RunState, arguments: argparse.Namespace, out: Path, words: str
) -> list[dict[str, Any]]:
    """Resume a run or start from other weights; return the commands that made the weights."""
    earlier: list[dict[str, Any]] = []
    if arguments.resume and (out / STATE_FILE).exists():
        resume_run(state, out)
    elif arguments.start_from:
        earlier = start_from(state, arguments.start_from)
    return [*earlier, *_commands(out, state.step, words)]


def _aligner(config: TrainConfig, model_config: ModelConfig, texts: tuple[str, ...]) -> Aligner:
    """Create the text alignment of stage 1; its new weights depend on the seed alone.

    Raises:
        ConfigError: If the data has no sentences.
    """
    if not texts:
        raise ConfigError("stage 1 needs motion with sentences; give --mocap FOLDER")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Aligner(TextEncoder(config.text, model_config.embedding), texts)


def _commands(out: Path, step: int, words: str) -> list[dict[str, Any]]:
    """List the commands that made these weights with their first steps; resumed runs append."""
    earlier: list[dict[str, Any]] = []
    if step > 0:
        earlier = load(out / WEIGHTS_FILE)[1].get("commands", [])
    placeless = " ".join(_without_place(word) for word in words.split(" "))
    own = {"from_step": step, "command": f"python -m training.{placeless}"}
    return [*earlier, own]


def _without_place(word: str) -> str:
    """Shorten an absolute path to its name, because the folder depends on the machine."""
    return Path(word).name if word.startswith("/") else word
