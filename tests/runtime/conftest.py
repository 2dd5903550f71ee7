"""A small model with random weights, exported once: arithmetic is tested here, not skill."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.engine.onnx_export import model_folder_from_checkpoint
from langpose_rt.model.checkpoint import save
from langpose_rt.model.langpose import seeded
from langpose_rt.runtime.parity import ParityClip

SMALL = ModelConfig(
    name="small", width=64, heads=4, depth=2, window=8, max_age_s=0.3, representation=32
)
SMALL_JOINTS = ModelConfig(
    name="small-joints", tokens="joint", streams=2, width=16, heads=2, depth=2, window=8,
    max_age_s=0.3, representation=16,
)  # fmt: skip

SMALL_LENGTHS = replace(SMALL, name="small-lengths", length_input=True)


def random_clip(frames: int, *, rate_hz: float = 60.0, seed: int = 0) -> ParityClip:
    """Random rows at a jittered rate with dropped frames."""
    random = np.random.default_rng(seed)
    steps = random.integers(1, 4, frames) / rate_hz + random.uniform(-1e-3, 1e-3, frames)
    return ParityClip(
        "random",
        random.standard_normal((frames, 17, 3)).astype(np.float32),
        random.standard_normal((frames, 24)).astype(np.float32),
        np.cumsum(steps * 1e9).astype(np.int64),
    )


def exported(config: ModelConfig, folder: Path) -> Path:
    """A model folder with random weights."""
    save(folder / "source.safetensors", seeded(config, 0), {"trained_on": "nothing"})
    model_folder_from_checkpoint(
        folder / "source.safetensors", folder / "out", random_clip(12),
        command="test",
    )  # fmt: skip
    return folder / "out"


@pytest.fixture(scope="session", params=[SMALL, SMALL_JOINTS, SMALL_LENGTHS], ids=lambda c: c.name)
def model_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model folder."""
    return exported(request.param, tmp_path_factory.mktemp("model"))
