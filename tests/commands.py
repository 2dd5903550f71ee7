"""Commands as a user runs them, on a small exported model and short clips."""

import contextlib
import functools
import io
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from langpose_rt.cli.main import main
from langpose_rt.config import ModelConfig
from langpose_rt.formats.clip import DEMO_CLIP, Clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.model.checkpoint import save
from langpose_rt.model.langpose import seeded

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "langpose_rt")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
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


def run_here(*words: object) -> Done:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def python(script: str) -> Done:
    """Run a script in a fresh interpreter."""
    return _finished([sys.executable, "-c", script])


def run_apart(*words: object) -> Done:
    """Run a command in a process of its own."""
    return _finished([*COMMAND, *map(str, words)])


@functools.cache
def exported_checkpoint(folder: Path) -> tuple[Done, Path, Path]:
    """Random weights through `export`, once a session: how it ended, checkpoint and folder."""
    checkpoint, out = folder / "small.safetensors", folder / "deep" / "model"
    save(checkpoint, seeded(SMALL, 0), {"licence": "none needed"})
    return run_here("export", checkpoint, "--out", out, "--json"), checkpoint, out


def part_of_demo_clip(frames: int, **changes: object) -> Clip:
    """The first frames of the clip that ships."""
    clip = read_clip(DEMO_CLIP)
    cut = {
        name: getattr(clip, name)[:frames]
        for name in ("keypoints", "t_ns", "ids", "pose3d", "valid", "valid_joints")
    }
    return replace(clip, **(cut | changes))


def _finished(words: list[str]) -> Done:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT
    )
    return Done(done.returncode, done.stdout, done.stderr)
