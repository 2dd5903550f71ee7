"""A small exported model, clips as files, and commands as a user runs them."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from langpose_rt.cli.main import main
from langpose_rt.config import ModelConfig
from langpose_rt.engine.demo import demo_parity_clip
from langpose_rt.engine.export import model_folder_from_checkpoint
from langpose_rt.formats.clip import DEMO_CLIP, Clip, read_clip
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.model.checkpoint import save
from langpose_rt.model.langpose import seeded

ROOT = Path(__file__).parents[2]
SMALL = ModelConfig(
    name="small", width=32, heads=2, depth=1, window=16, representation=16, embedding=8
)


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line it complained with."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"expected one line, got {self.err!r}"
        assert lines[0].startswith("langpose-rt: ")
        return lines[0]


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process."""

    def run_here(*words: object) -> Done:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run_here


def python(script: str, *, timeout_s: float = 60.0) -> Done:
    """Runs a script in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=timeout_s, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save(path, seeded(SMALL, 0), {"licence": "none needed"})
    return path


@pytest.fixture(scope="session")
def model(checkpoint: Path) -> Path:
    """The model folder of those weights."""
    clip = demo_parity_clip()
    short = replace(clip, rows=clip.rows[:8], extras=clip.extras[:8], time_ns=clip.time_ns[:8])
    folder = checkpoint.parent / "model"
    model_folder_from_checkpoint(checkpoint, folder, short, precisions=("fp32",), command="test")
    return folder


def part_of_demo_clip(frames: int, **changes: object) -> Clip:
    """The first frames of the clip that ships."""
    clip = read_clip(DEMO_CLIP)
    cut = {
        name: getattr(clip, name)[:frames]
        for name in ("keypoints", "t_ns", "ids", "pose3d", "valid", "valid_joints")
    }
    return replace(clip, **(cut | changes))


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of one person, with 3D."""
    path = tmp_path_factory.mktemp("clip") / "clip.npz"
    clip_to_npz(path, part_of_demo_clip(20))
    return path
