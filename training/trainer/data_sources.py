"""Data sources of a run: motion capture under random cameras, or a published data set."""

import argparse
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langpose_rt.errors import ConfigError
from training.data.mocap import is_commercial, read_mocap
from training.data.screen_videos import read_screen_videos
from training.evaluation.validation import VALIDATION_SEED, validation_batch
from training.synthesis.batches import Batch, batch_from_seed
from training.synthesis.screen_batches import batch_from_videos
from training.trainer.config import TrainConfig
from training.trainer.distributed import World
from training.trainer.loader import MakeBatch

_RESEARCH_ONLY: Mapping[str, str] = {
    "h36m-motionbert": "Human3.6M, research only (-NC); weights may not be used commercially",
    "h36m-videopose3d": "Human3.6M, research only (-NC); weights may not be used commercially",
    "mpi-inf-3dhp": "MPI-INF-3DHP, research only (-NC); weights may not be used commercially",
}
_FIXED_CLIPS = 64


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Training batches, validation batch and description of the data.

    Attributes:
        make: Makes the batch with a number.
        fixed: Validation batch; not trained on.
        card: Description of the data for the model card.
        texts: Sentences of the clips; may be empty.
    """

    make: MakeBatch
    fixed: Batch
    card: dict[str, Any]
    texts: tuple[str, ...] = ()


def lessons_from_arguments(
    arguments: argparse.Namespace, config: TrainConfig, world: World
) -> Lessons:
    """Open the data the flags name.

    Raises:
        ConfigError: If none or several are named, a file is invalid, or a published data set is
            combined with a model that does not take screen input.
    """
    if arguments.mocap is not None:
        return _from_mocap(arguments, config, world)
    if not config.data.screen:
        raise ConfigError(
            "published data sets are learned by models that read the screen; choose --preset lite "
            "or paper, or give --mocap FOLDER"
        )
    return _from_videos(arguments, config, world)


def licence_of_weights(licences: Mapping[str, str]) -> str:
    """Return one line with the licence of weights trained on these sources."""
    commercial = all(is_commercial(text) for text in licences.values())
    use = "commercial use allowed" if commercial else "non-commercial use only"
    return f"{use}; trained on {', '.join(sorted(licences))}, see the card"


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that name training data."""
    parser.add_argument("--mocap", type=Path, help="folder with index.json")
    parser.add_argument(
        "--commercial-only", action="store_true", help="leave out non-commercial sources"
    )
    parser.add_argument("--sources", nargs="*", help="train on these sources only")
    add_screen_arguments(parser)


def add_screen_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that name a published data set."""
    for flag, text in (
        ("--h36m-motionbert", "h36m_sh_conf_cam_source_final.pkl"),
        ("--h36m-3d", "data_3d_h36m.npz of VideoPose3D"),
        ("--h36m-2d", "data_2d_h36m_*.npz beside it: gt, CPN or Detectron"),
        ("--mpi-inf-3dhp", "data_train_3dhp.npz or data_test_3dhp.npz of P-STMO"),
    ):
        parser.add_argument(flag, type=Path, metavar="FILE", help=text)


def _from_mocap(arguments: argparse.Namespace, config: TrainConfig, world: World) -> Lessons:
    only, sources = arguments.commercial_only, arguments.sources or None
    mocap = read_mocap(arguments.mocap, "train", commercial_only=only, sources=sources)
    frames = min(config.data.frames, 64)
    seen = read_mocap(arguments.mocap, "val")
    return Lessons(
        make=functools.partial(batch_from_seed, mocap, config.data, world.seed(config.seed)),
        fixed=validation_batch(seen, frames=frames, screen=config.data.screen),
        card={"data": mocap.licences, "licence": licence_of_weights(mocap.licences)},
        texts=mocap.texts,
    )


def _from_videos(arguments: argparse.Namespace, config: TrainConfig, world: World) -> Lessons:
    """Use the training split, also for the fixed batch, because no choice depends on it."""
    convention, videos = read_screen_videos(arguments, "train")
    sizes = (config.data.clips, config.data.frames)
    licences: dict[str, str] = {convention: _RESEARCH_ONLY[convention]}
    return Lessons(
        make=functools.partial(batch_from_videos, videos, *sizes, world.seed(config.seed)),
        fixed=batch_from_videos(videos, _FIXED_CLIPS, config.data.frames, VALIDATION_SEED, 0),
        card={
            "data": licences, "licence": licence_of_weights(licences), "convention": convention,
        },
    )  # fmt: skip
