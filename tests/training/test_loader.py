"""Workers make the same batches in the same order as no workers do."""

from dataclasses import fields

import numpy as np
import pytest

from langpose_rt.errors import LangPoseError
from training.batches import Batch, DataConfig, batch_from_seed
from training.data.mocap import Mocap
from training.loader import BatchLoader

SMALL = DataConfig(clips=3, frames=8)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order_from_any_number_of_workers(mocap: Mocap, workers: int) -> None:
    with BatchLoader(mocap, SMALL, seed=4, first=7, workers=workers) as loader:
        for number, batch in zip(range(7, 12), loader):
            expected = batch_from_seed(mocap, SMALL, 4, number)
            for item in fields(Batch):
                np.testing.assert_array_equal(
                    getattr(batch, item.name), getattr(expected, item.name)
                )


def test_a_worker_that_dies_is_an_error_and_not_a_wait_for_ever(
    mocap: Mocap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loader._POLL_S", 0.2)
    impossible = DataConfig(clips=0, frames=8)
    with (
        BatchLoader(mocap, impossible, seed=0, workers=1) as loader,
        pytest.raises(LangPoseError, match="worker died"),
    ):
        next(loader)
