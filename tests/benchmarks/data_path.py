"""Training steps on batches as they are made, against steps on batches that were made before.

python -m tests.benchmarks.data_path --mocap DIR --device auto --clips 64 --frames 48 --steps 40
"""

import argparse
import functools
import itertools
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from langpose_rt.config import PRESETS
from tests.benchmarks.origin import print_report
from training.data.mocap import read_mocap
from training.synthesis.batches import Batch, DataConfig, batch_from_seed
from training.trainer.config import TrainConfig
from training.trainer.distributed import World, world_from_environment
from training.trainer.loader import BatchLoader
from training.trainer.loop import RunState, start_run, train

_MADE_BEFORE = 4
_WARM_UP = 3


def ms_per_step(
    batches: Iterable[Batch], config: TrainConfig, world: World, preset: str
) -> list[float]:
    """Wall time of every step after the first few."""
    state: RunState = start_run(PRESETS[preset], config, world=world)
    took_ms = []
    with tempfile.TemporaryDirectory() as out:
        before_s = time.perf_counter()
        for progress in train(state, batches, config, out=Path(out), card={}):
            if progress.step < config.steps:  # the last one also saves
                took_ms.append(1e3 * (time.perf_counter() - before_s))
            before_s = time.perf_counter()
    return took_ms[_WARM_UP:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mocap", type=Path, required=True)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="live")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = DataConfig(clips=arguments.clips, frames=arguments.frames)
    config = TrainConfig(
        steps=arguments.steps, half_until=1.0, log_every=1, save_every=10**9,
        validate_every=10**9, data=data,
    )  # fmt: skip
    mocap = read_mocap(arguments.mocap, "train", commercial_only=True)
    world = world_from_environment(arguments.device)
    make = functools.partial(batch_from_seed, mocap, config.data, 0)
    ready = [make(number) for number in range(_MADE_BEFORE)]
    before = ms_per_step(itertools.cycle(ready), config, world, arguments.preset)
    with BatchLoader(make, workers=arguments.workers) as loader:
        made = ms_per_step(loader, replace(config, seed=1), world, arguments.preset)
    before_ms, made_ms = sum(before) / len(before), sum(made) / len(made)
    report = {
        "device": str(world.device),
        "torch": str(torch.__version__),
        "step_on_batches_made_before_ms": before_ms,
        "step_on_batches_made_meanwhile_ms": made_ms,
        "ratio": made_ms / before_ms,
    }
    print_report("data_path", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
