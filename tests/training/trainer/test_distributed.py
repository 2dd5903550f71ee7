"""Two processes train as one: same weights in both, gradients averaged, one writes."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from langpose_rt.errors import ConfigError
from langpose_rt.model import checkpoint
from tests.background import process
from tests.training.test_pretrain import words
from training.trainer.distributed import ALONE, agree, average_gradients, world_from_environment
from training.trainer.loop import WEIGHTS_FILE

AVERAGE = """
import torch
from training.trainer.distributed import agree, average_gradients, leave, world_from_environment

world = world_from_environment("cpu")
used, unused = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(3))
used.grad = torch.tensor([1.0, 10.0]) * (world.rank + 1)
if world.rank == 1:
    unused.grad = torch.ones(3)
average_gradients([used, unused], world)
share = agree(0.25 + world.rank, world)
print("said", world.rank, world.size, used.grad.tolist(), unused.grad.tolist(), share, flush=True)
leave(world)
"""


def two_processes(command: list[str]) -> str:
    """Runs a command twice, as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3]),
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        ranks = [
            stack.enter_context(process(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            ))
            for rank in range(2)
        ]  # fmt: skip
        said = "".join(rank.communicate(timeout=400)[0] for rank in ranks)
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return said


def test_gradients_are_averaged_and_the_first_clock_counts() -> None:
    said = two_processes([sys.executable, "-W", "ignore", "-c", AVERAGE])
    for rank in (0, 1):
        assert f"said {rank} 2 [1.5, 15.0] [0.5, 0.5, 0.5] 0.25" in said


@pytest.mark.slow
def test_two_processes_train_one_model_and_one_of_them_writes(
    inputs: list[str], tmp_path: Path
) -> None:
    flags = words(inputs, tmp_path, 4, "--device", "cpu")
    said = two_processes([sys.executable, "-W", "ignore", "-m", "training.pretrain", *flags])
    assert said.count("step 4 ") == 1
    model, card = checkpoint.load(tmp_path / WEIGHTS_FILE)
    assert card["step"] == 4
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_alone_nothing_is_exchanged() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    average_gradients([weight], ALONE)
    assert weight.grad.tolist() == [1, 1]
    assert agree(0.5, ALONE) == 0.5
    assert ALONE.seed(7) == 7


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match="sees no GPU"):
        world_from_environment("cuda")
    with pytest.raises(ConfigError, match="expected auto"):
        world_from_environment("tpu")
    assert world_from_environment("auto").device.type == "cpu"
