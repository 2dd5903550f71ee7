"""Configuration of a training run, and its command-line flags: one flag per field.

Nested dataclasses share one flat space of flags, so field names are unique across them.
"""

import argparse
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from langpose_rt.cli.arguments import options
from langpose_rt.config import PRESETS, ModelConfig
from langpose_rt.errors import ConfigError
from training.synthesis.batches import DataConfig
from training.trainer.losses import LossConfig
from training.trainer.text_encoder import TextConfig


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of a training run.

    Args:
        steps: Length of the run in steps; 0 uses minutes.
        minutes: Length by the clock if steps is 0; the schedule follows the clock too, so only
            runs by steps repeat exactly.
        learning_rate, matrix_learning_rate: Peak rates of AdamW, and of Muon for the layers'
            matrices.
        weight_decay, gradient_norm: Weight decay of both, and the norm gradients are clipped to.
        warm_up: Share of the run with a rising learning rate, which then decays as a cosine.
        ema: Decay of the averaged weights; shorter at the start.
        seed: Fixes weights and batches.
        half_until: Share of the run whose encoder computes in bfloat16; the rest is in float32.
        align_only: Train only the projections of motion and text; lifting stays unchanged, and the
            motion embedding is aligned again after fine-tuning.
        frame_numbers: For comparisons: phases by frame number at 50 Hz instead of by time.
        device: ``auto``, ``cpu`` or ``cuda``; auto uses a GPU if there is one.
        threads, workers: Threads of torch, and processes that make batches.
        log_every, save_every, validate_every: Intervals in steps.
        save_minutes: Save also when so much time has passed since the last time; 0 never does.

    Source:
        Weight decay as in MotionBERT; the rest ours, because the paper does not publish its values.
    """

    steps: int = 0
    minutes: float = 60.0
    learning_rate: float = 8e-4
    matrix_learning_rate: float = 2e-3
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    warm_up: float = 0.02
    ema: float = 0.999
    seed: int = 0
    half_until: float = 0.0
    align_only: bool = False
    frame_numbers: bool = False
    device: str = "auto"
    threads: int = 1
    workers: int = 1
    log_every: int = 50
    save_every: int = 500
    validate_every: int = 500
    save_minutes: float = 0.0
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    text: TextConfig = field(default_factory=TextConfig)

    def __post_init__(self) -> None:
        if self.steps <= 0 and self.minutes <= 0:
            raise ConfigError("a run needs --steps or --minutes above 0")
        for name in ("log_every", "save_every", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected at least 1")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the model card."""
        return asdict(self)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare one flag per field of TrainConfig and its parts, and those of the model."""
    group = parser.add_argument_group("training, one flag per field of the configuration")
    options.add_config_arguments(group, TrainConfig)
    model = parser.add_argument_group("model, instead of the preset's value")
    model.add_argument("--preset", choices=sorted(PRESETS), default="live")
    options.add_config_arguments(model, ModelConfig, leave_out=("name",), unset=True)
    model.add_argument("--name", help="name of the model (default: the preset's)")


def config_from_arguments(arguments: argparse.Namespace) -> tuple[TrainConfig, ModelConfig]:
    """Build the configurations that the flags describe.

    Raises:
        ConfigError: If values contradict each other.
    """
    values = vars(arguments)
    names = [item.name for item in fields(ModelConfig)]
    chosen = {name: values[name] for name in names if values.get(name) is not None}
    model = replace(PRESETS[values["preset"]], **chosen)
    return options.config_from_arguments(TrainConfig, arguments), model


def default_out(folder: Path | None, name: str) -> Path:
    """Return the default output folder of a run."""
    return folder if folder is not None else Path("runs") / name
