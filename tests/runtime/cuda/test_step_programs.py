"""One step as work on a stream: the order, the addresses, and answers that can be calculated."""

import numpy as np
import pytest

from langpose_rt.runtime.cuda.step_programs import (
    ENCODE,
    ENCODE_AND_LIFT,
    LIFT,
    PROGRAMS,
    DeviceContext,
    StepMemory,
    StepProgram,
)
from tests.runtime.cuda.host_driver import HostDriver
from tests.runtime.cuda.host_sum import CONFIG, SumNetwork

MS = 1_000_000
ORDER = {
    ENCODE: ["upload", "window_look_float", "encoder", "window_push_float", "download"],
    ENCODE_AND_LIFT: [
        "upload", "window_look_float", "encoder", "window_push_float", "lifter", "download",
    ],
    LIFT: ["upload", "window_feature_at", "window_feature_at", "lifter", "download"],
}  # fmt: skip


def made(place: DeviceContext, size: int = 2) -> dict[str, StepProgram]:
    memory = StepMemory(place, size)
    return {name: StepProgram(name, size, place, memory) for name in PROGRAMS}


def give(program: StepProgram, **arrays: object) -> dict[str, np.ndarray]:
    """Fill what a program is given, the rest with zeros, run it and copy what it answers."""
    for name, array in program.inputs.items():
        array[...] = arrays.get(name, 0)
    program.enqueue()
    return {name: array.copy() for name, array in program.outputs.items()}


def rows_of(*totals: float) -> np.ndarray:
    """Rows whose sums are these."""
    rows = np.zeros((len(totals), 17, 3), np.float32)
    rows[:, 4, 1] = totals
    return rows


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_one_copy_up_the_work_in_order_and_one_copy_down(
    place: DeviceContext, driver: HostDriver, name: str
) -> None:
    programs = made(place)
    driver.log.clear()
    give(programs[name], slots=[-1, -1])
    assert driver.log == ORDER[name]


def test_what_goes_up_and_what_comes_down_has_a_row_per_person(place: DeviceContext) -> None:
    programs = made(place, size=4)
    given = {name: set(program.inputs) for name, program in programs.items()}
    assert given[ENCODE] == given[ENCODE_AND_LIFT] == {"slots", "time_ns", "rows", "extras"}
    assert given[LIFT] == {"slots", "frames_back", "lag_s"}
    answers = {name: set(program.outputs) for name, program in programs.items()}
    assert answers[ENCODE] == {"embedding"}
    assert answers[ENCODE_AND_LIFT] == answers[ENCODE] | answers[LIFT]
    assert answers[LIFT] == {"pose", "sigma"}
    for program in programs.values():
        assert all(
            len(array) == 4 for array in (*program.inputs.values(), *program.outputs.values())
        )


def test_encoding_answers_and_remembers(place: DeviceContext) -> None:
    programs = made(place)
    found = give(
        programs[ENCODE_AND_LIFT], slots=[3, 1], rows=rows_of(5, 7), time_ns=[10 * MS, 20 * MS]
    )
    np.testing.assert_array_equal(found["embedding"][:, 0], [5, 7])
    np.testing.assert_array_equal(found["pose"][:, 3, 2], [55, 77])
    assert not found["sigma"].any(), "no lag"
    back = give(programs[LIFT], slots=[1, 3])
    np.testing.assert_array_equal(back["pose"][:, 0, 0], [77, 55])


def test_a_frame_sees_the_earlier_ones_of_its_slot_that_are_young_enough(
    place: DeviceContext, network: SumNetwork
) -> None:
    programs, seen = made(place), []
    at = place.window.layout
    for step in range(5):
        time_ns = [step * 100 * MS, step * 300 * MS]
        give(programs[ENCODE], slots=[0, 2], rows=rows_of(1, 1), time_ns=time_ns)
        block = place.driver.bytes_at(place.window.base, at.size_bytes)  # type: ignore[attr-defined]
        state = at.views(block)
        newest = state["head"][[0, 2]] - 1
        seen.append(state["features"][[0, 2], newest, 1].tolist())
    assert seen == [[0, 0], [1, 1], [2, 1], [3, 1], [3, 1]], "a window of 3 and half a second"
    assert network.calls == [("encoder", 2)] * 5


def test_lifting_reads_the_newest_and_the_answered_frame_and_the_lag(place: DeviceContext) -> None:
    programs = made(place)
    for step, total in enumerate((1.0, 2.0, 3.0)):
        give(
            programs[ENCODE], slots=[4, 5], rows=rows_of(total, 10 * total), time_ns=[step * MS] * 2
        )
    found = give(programs[LIFT], slots=[4, 5], frames_back=[2, 1], lag_s=[0.5, 0.25])
    np.testing.assert_allclose(found["pose"][:, 9, 1], [1 + 30 + 50, 20 + 300 + 25])
    np.testing.assert_allclose(found["sigma"][:, 0], [0.5, 0.25])


def test_lifting_changes_nothing_of_what_is_remembered(place: DeviceContext) -> None:
    programs = made(place)
    give(programs[ENCODE], slots=[0, 1], rows=rows_of(3, 4), time_ns=[MS, MS])
    layout = place.window.layout
    block = place.driver.bytes_at(place.window.base, layout.size_bytes)  # type: ignore[attr-defined]
    before = block.copy()
    for _ in range(3):
        give(programs[LIFT], slots=[0, 1], frames_back=[0, 0], lag_s=[0.1, 0.2])
    np.testing.assert_array_equal(block, before)


def test_encoding_for_nobody_changes_nothing_of_what_is_remembered(place: DeviceContext) -> None:
    programs, layout = made(place), place.window.layout
    give(programs[ENCODE], slots=[0, 1], rows=rows_of(3, 4), time_ns=[MS, MS])
    block = place.driver.bytes_at(place.window.base, layout.size_bytes)  # type: ignore[attr-defined]
    before = block.copy()
    give(programs[ENCODE_AND_LIFT], slots=[-1, -1], rows=rows_of(9, 9), time_ns=[2 * MS, 2 * MS])
    np.testing.assert_array_equal(block, before)


def test_programs_of_all_sizes_share_the_same_memory(
    place: DeviceContext, driver: HostDriver
) -> None:
    memory = StepMemory(place, 4)
    one, four = (StepProgram(LIFT, size, place, memory) for size in (1, 4))
    four.inputs["slots"][:] = [5, 6, 7, 8]
    assert one.inputs["slots"].tolist() == [5]
    assert not np.shares_memory(one.inputs["slots"], one.outputs["pose"])
    assert one.outputs["pose"].ctypes.data == four.outputs["pose"].ctypes.data


@pytest.mark.parametrize("stored", [np.float32, np.float16])
def test_the_ring_inside_is_of_the_type_the_network_wants(driver: HostDriver, stored: type) -> None:
    from langpose_rt.runtime.cuda.device_window import DeviceWindow
    from langpose_rt.runtime.cuda.kernels import SIGNATURES

    network = SumNetwork(driver, stored=stored)
    window = DeviceWindow(driver, driver.kernels(b"", SIGNATURES), CONFIG, 2, stored=stored)
    place = DeviceContext(
        driver=driver, stream=driver.stream(), window=window, network=network, config=CONFIG
    )
    device_only = StepMemory(place, 2).device_only
    ring_bytes = 2 * CONFIG.blocks * CONFIG.window * CONFIG.channels * np.dtype(stored).itemsize
    assert device_only["ring_values"] - device_only["ring_keys"] == -(-ring_bytes // 256) * 256
    program = made(place)[ENCODE_AND_LIFT]
    assert give(program, slots=[0, 1], rows=rows_of(2, 4))["embedding"][:, 1].tolist() == [2, 4]
