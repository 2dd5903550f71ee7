"""The C++ extension itself: what it refuses, and that it works with the GIL released."""

import sys
import threading
import time

import numpy as np
import pytest

from langpose_rt.window.reference import Window

native = pytest.importorskip("langpose_rt._native", reason="the C++ extension was not built")


def push_arguments() -> dict[str, np.ndarray]:
    """Arguments of a push that fits."""
    window = Window.empty(3, 2, 4, 8, 5)
    names = ("keys", "values", "features", "time_ns", "head", "fill")
    return {f"window_{name}": getattr(window, name) for name in names} | {
        "slots": np.array([2, 0], np.int32),
        "keys": np.ones((2, 2, 8), np.float32),
        "values": np.ones((2, 2, 8), np.float32),
        "features": np.ones((2, 5), np.float32),
        "time_ns": np.ones(2, np.int64),
    }


def shifted(array: np.ndarray) -> np.ndarray:
    """The same numbers, one byte off their alignment."""
    room = np.zeros(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def test_arrays_that_fit_are_taken() -> None:
    arguments = push_arguments()
    native.push(*arguments.values())
    assert arguments["window_fill"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("name", push_arguments())
@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda a: a.astype(np.float64), TypeError, "incompatible function arguments"),
        (lambda a: a.astype(a.dtype.newbyteorder()), TypeError, "incompatible function arguments"),
        (lambda a: np.stack([a, a], -1)[..., 0], TypeError, "incompatible function arguments"),
        (lambda a: a[None], TypeError, "incompatible function arguments"),
        (lambda a: a.tolist(), TypeError, "incompatible function arguments"),
        (lambda a: a.repeat(2, 0), ValueError, "axis 0 of .* is ., expected ."),
        (shifted, ValueError, "{} must be aligned"),
    ],
    ids=["dtype", "byte order", "strides", "axes", "list", "size", "alignment"],
)
def test_an_array_that_does_not_fit_is_refused_and_nothing_is_written(
    name: str, change: object, error: type[Exception], sentence: str
) -> None:
    assert callable(change)
    arguments = push_arguments()
    arguments[name] = change(arguments[name])
    with pytest.raises(error, match=sentence.format(name)):
        native.push(*arguments.values())
    if name != "window_fill":
        assert not arguments["window_fill"].any()


def test_a_refusal_lists_what_every_argument_must_be() -> None:
    arguments = push_arguments()
    arguments["slots"] = arguments["slots"].astype(np.int64)
    with pytest.raises(TypeError, match=r"slots: .*dtype=int32, shape=\(\*\), order='C'"):
        native.push(*arguments.values())


@pytest.mark.parametrize("name", [n for n in push_arguments() if n.startswith("window_")])
def test_a_window_that_must_not_be_written_is_refused(name: str) -> None:
    arguments = push_arguments()
    arguments[name].flags.writeable = False
    with pytest.raises(TypeError, match="incompatible function arguments"):
        native.push(*arguments.values())


@pytest.mark.parametrize(("field", "value"), [("head", 4), ("head", -1), ("fill", 5), ("fill", -1)])
def test_a_damaged_window_is_refused_before_it_becomes_an_address(field: str, value: int) -> None:
    arguments = push_arguments()
    arguments[f"window_{field}"][0] = value
    with pytest.raises(ValueError, match=f"slot 0 is damaged: .*{field} {value}"):
        native.push(*arguments.values())


def test_keys_and_values_of_two_dtypes_are_refused() -> None:
    arguments = push_arguments()
    arguments["window_values"] = arguments["window_values"].astype(np.float16)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        native.push(*arguments.values())


@pytest.mark.parametrize("name", ["push", "key_bias", "feature_at", "reset"])
def test_a_wrong_number_of_arguments_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        getattr(native, name)(0)


def test_an_age_limit_that_is_no_integer_is_refused() -> None:
    a = push_arguments()
    arrays = [a[name] for name in ("window_time_ns", "window_fill", "slots", "time_ns")]
    bias = np.empty((2, 4), np.float32)
    with pytest.raises(TypeError):
        native.key_bias(*arrays, bias, 1.5)
    with pytest.raises(TypeError):
        native.key_bias(*arrays, bias, 2**63)


def test_arrays_are_released_again() -> None:
    arguments = push_arguments()
    counts = {name: sys.getrefcount(array) for name, array in arguments.items()}
    for _ in range(3):
        native.push(*arguments.values())
        with pytest.raises(TypeError):
            native.push(*list(arguments.values())[:-1], None)
    assert {name: sys.getrefcount(array) for name, array in arguments.items()} == counts


def test_other_threads_run_while_it_works() -> None:
    # One call that converts 33 million numbers. Were the GIL held, this thread could run before and
    # after it but not in the middle half; on a busy machine it may need a few tries to get a core.
    window = Window.empty(128, 1, 1, 2**17, 1, dtype=np.float16)
    keys = np.ones((128, 1, 2**17), np.float32)
    state = (window.keys, window.values, window.features, window.time_ns, window.head, window.fill)
    features, slots = np.ones((128, 1), np.float32), np.arange(128, dtype=np.int32)
    frame = (slots, keys, keys, features, np.ones(128, np.int64))
    switch_interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        assert any(ran_in_the_middle(*state, *frame) for _ in range(10))
    finally:
        sys.setswitchinterval(switch_interval_s)


def ran_in_the_middle(*arguments: np.ndarray) -> bool:
    """Whether this thread ran in the middle half of one push in another thread."""
    span = []

    def work() -> None:
        span.append(time.perf_counter_ns())
        native.push(*arguments)
        span.append(time.perf_counter_ns())

    worker = threading.Thread(target=work)
    worker.start()
    ticks = []
    while worker.is_alive():
        ticks.append(time.perf_counter_ns())
    worker.join()
    start, end = span
    quarter = (end - start) // 4
    return any(start + quarter < tick < end - quarter for tick in ticks)
