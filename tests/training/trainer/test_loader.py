"""Workers make the same batches in the same order as no workers do."""

import subprocess
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import LangPoseError
from tests.background import process
from training.data.mocap import Mocap
from training.synthesis.batches import Batch, DataConfig, batch_from_seed
from training.trainer.loader import BatchLoader

SMALL = DataConfig(clips=3, frames=8)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order_from_any_number_of_workers(mocap: Mocap, workers: int) -> None:
    with BatchLoader(partial(batch_from_seed, mocap, SMALL, 4), first=7, workers=workers) as loader:
        for number, batch in zip(range(7, 12), loader, strict=False):
            expected = batch_from_seed(mocap, SMALL, 4, number)
            for item in fields(Batch):
                np.testing.assert_array_equal(
                    getattr(batch, item.name), getattr(expected, item.name)
                )


def test_a_worker_that_dies_is_an_error_and_not_a_wait_for_ever(
    mocap: Mocap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.trainer.loader._POLL_S", 0.2)
    impossible = DataConfig(clips=0, frames=8)
    with (
        BatchLoader(partial(batch_from_seed, mocap, impossible, 0), workers=1) as loader,
        pytest.raises(LangPoseError, match="worker died"),
    ):
        next(loader)


ORPHANS = """
import sys
from functools import partial
from pathlib import Path
from training.synthesis.batches import DataConfig, batch_from_seed
from training.data.mocap import read_mocap
from training.trainer.loader import BatchLoader

if __name__ == "__main__":
    mocap = read_mocap(Path(sys.argv[1]), "train")
    loader = BatchLoader(partial(batch_from_seed, mocap, DataConfig(clips=3, frames=8), 0))
    loader.__enter__()
    next(loader)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.timeout(60)
def test_workers_end_when_their_run_was_killed_outright(mocap_folder: Path) -> None:
    """The worker holds the output pipe open, so reading to its end waits for the worker."""
    command = [sys.executable, "-c", ORPHANS, str(mocap_folder)]
    with process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as loading:
        assert loading.stdout is not None
        assert loading.stdout.readline() == "ready\n"
        loading.kill()
        assert loading.stdout.read() == ""
