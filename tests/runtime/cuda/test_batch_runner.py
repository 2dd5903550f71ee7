"""Any number of people through fixed batches: padding, chunks, recordings, failures."""

import logging
from typing import Any

import numpy as np
import pytest

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.batch_runner import BatchRunner
from langpose_rt.runtime.cuda.step_programs import (
    ENCODE,
    ENCODE_AND_LIFT,
    LIFT,
    PROGRAMS,
    DeviceContext,
)
from tests.runtime.cuda.conftest import SLOTS
from tests.runtime.cuda.host_driver import HostDriver
from tests.runtime.cuda.host_sum import SumNetwork

GRAPHS = pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "enqueued"])


def frame(*totals: float, slots: list[int] | None = None, at_ns: int = 1) -> dict[str, Any]:
    count = len(totals)
    rows = np.zeros((count, 17, 3), np.float32)
    rows[:, 0, 0] = totals
    return {
        "slots": np.array(range(count) if slots is None else slots, np.int32),
        "time_ns": np.full(count, at_ns), "rows": rows,
        "extras": np.zeros((count, 7), np.float32),
    }  # fmt: skip


def lift(slots: list[int], back: int = 0, lag_s: float = 0.0) -> dict[str, Any]:
    return {
        "slots": np.array(slots, np.int32), "frames_back": np.full(len(slots), back, np.int32),
        "lag_s": np.full(len(slots), lag_s, np.float32),
    }  # fmt: skip


@GRAPHS
def test_everything_has_run_once_for_nobody_before_the_first_step(
    place: DeviceContext, network: SumNetwork, graphs: bool
) -> None:
    runner = BatchRunner(place, graphs=graphs)
    encoder, lifter = (
        [size for part, size in network.calls if part == name] for name in ("encoder", "lifter")
    )
    assert encoder == lifter == [1, 1, 2, 2, 4, 4]
    assert not runner.run(LIFT, lift([0]))["pose"].any(), "somebody has been remembered"
    assert runner.largest == 4


@GRAPHS
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_people_get_their_own_answers_however_many_they_are(
    place: DeviceContext, graphs: bool, count: int
) -> None:
    runner = BatchRunner(place, graphs=graphs)
    slots, totals = list(range(count))[::-1], [float(n + 1) for n in range(count)]
    found = runner.run(ENCODE_AND_LIFT, frame(*totals, slots=slots))
    assert found["embedding"][:, 0].tolist() == totals
    assert found["pose"][:, 5, 0].tolist() == [11 * total for total in totals]
    again = runner.run(LIFT, lift(slots))
    assert again["pose"][:, 5, 0].tolist() == [11 * total for total in totals]


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (2, [2]), (3, [4]), (4, [4]), (5, [4, 1]), (6, [4, 2])]
)
def test_a_batch_is_padded_up_to_the_next_size_or_cut_into_the_largest(
    place: DeviceContext, network: SumNetwork, count: int, sizes: list[int]
) -> None:
    runner = BatchRunner(place)
    network.calls.clear()
    runner.run(ENCODE, frame(*range(count)))
    assert network.calls == [("encoder", size) for size in sizes]


@GRAPHS
def test_padded_rows_are_nobody_even_after_a_larger_batch(
    place: DeviceContext, graphs: bool
) -> None:
    runner = BatchRunner(place, graphs=graphs)
    runner.run(ENCODE, frame(1, 2, 3, 4))
    runner.run(ENCODE, frame(9, 9, 9, slots=[0, 1, 2], at_ns=2))
    found = runner.run(LIFT, lift([0, 1, 2, 3]))
    assert found["pose"][:, 0, 0].tolist() == [99, 99, 99, 44], "the fourth was pushed again"


def test_a_chunk_of_the_rows_is_computed_with_its_own_rows(place: DeviceContext) -> None:
    runner = BatchRunner(place)
    runner.run(ENCODE, frame(1, 2, 3, 4, 5, 6))
    runner.run(ENCODE, frame(10, 20, 30, 40, 50, 60, at_ns=2))
    given = lift(list(range(6)))
    given["frames_back"][:] = [0, 1, 0, 1, 0, 1]
    found = runner.run(LIFT, given)
    answered = np.array([10, 2, 30, 4, 50, 6]) + 10 * np.array([10, 20, 30, 40, 50, 60])
    assert found["pose"][:, 16, 2].tolist() == answered.tolist()


def test_answers_are_new_arrays_that_later_steps_leave_alone(place: DeviceContext) -> None:
    runner = BatchRunner(place)
    first = runner.run(ENCODE_AND_LIFT, frame(1, 2))
    kept = {name: array.copy() for name, array in first.items()}
    runner.run(ENCODE_AND_LIFT, frame(8, 9, at_ns=2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, kept[name])


def test_with_graphs_a_step_is_one_launch_of_a_recording(
    place: DeviceContext, network: SumNetwork
) -> None:
    runner = BatchRunner(place)
    assert runner.graphs
    assert len(network.recordings) == len(PROGRAMS) * len(network.sizes)
    before = [recording.launches for recording in network.recordings]
    runner.run(ENCODE, frame(1, 2, 3, 4, 5))
    after = [recording.launches for recording in network.recordings]
    assert sum(after) - sum(before) == 2, "one per chunk"


def test_without_graphs_nothing_is_recorded(place: DeviceContext, network: SumNetwork) -> None:
    runner = BatchRunner(place, graphs=False)
    assert not runner.graphs
    assert network.recordings == []


def test_a_library_that_cannot_record_costs_the_graphs_and_is_said_once(
    place: DeviceContext, network: SumNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    network.unrecordable = True
    with caplog.at_level(logging.WARNING):
        runner = BatchRunner(place)
    (record,) = caplog.records
    assert record.getMessage() == (
        "no CUDA graphs, steps are enqueued piece by piece: "
        "CUDA failed at beginning a graph: not supported"
    )
    assert not runner.graphs
    assert runner.run(ENCODE, frame(3))["embedding"].tolist() == [[3, 3]]


def test_recordings_are_all_or_nothing(
    place: DeviceContext, network: SumNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = network.capture

    def capture(work: Any, stream: int) -> Any:
        if len(network.recordings) == 4:
            raise BackendError("out of memory")
        return whole(work, stream)

    monkeypatch.setattr(network, "capture", capture)
    runner = BatchRunner(place)
    assert not runner.graphs
    assert [recording.closed for recording in network.recordings] == [True] * 4


def test_closing_frees_every_recording_and_may_be_done_twice(
    place: DeviceContext, network: SumNetwork
) -> None:
    runner = BatchRunner(place)
    runner.close()
    runner.close()
    assert all(recording.closed for recording in network.recordings)


@GRAPHS
def test_a_device_that_fails_is_said_at_the_step_that_meets_it(
    place: DeviceContext, driver: HostDriver, graphs: bool
) -> None:
    runner = BatchRunner(place, graphs=graphs)
    driver.failing = True
    with pytest.raises(BackendError, match="unspecified launch failure"):
        runner.run(ENCODE, frame(*range(SLOTS)))
