"""FrameStep itself: what it refuses, and that it works with the GIL released."""

import sys
import threading
import time

import numpy as np
import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.window.reference import Window
from tests.cpp_ext.test_host_cpp import shifted

native = pytest.importorskip("langpose_rt._native", reason="the C++ extension was not built")

CONFIG = ModelConfig(
    width=16, heads=2, depth=1, window=4, representation=8, embedding=4, mirrored=True
)
SIZES = {
    "sides": 2, "width": 16, "heads": 2, "depth": 1, "hidden": 32, "window": 4,
    "representation": 8, "embedding": 4, "bones": 0, "extras": 7,
}  # fmt: skip
LAYER = "encoder.layers.0.streams.0.temporal"
LINEARS = {
    "encoder.embed": (16, 58), "encoder.embed_mlp.0": (16, 16), "encoder.embed_mlp.2": (16, 16),
    f"{LAYER}.attention.qkv": (48, 16), f"{LAYER}.attention.out": (16, 16),
    f"{LAYER}.mlp.0": (32, 16), f"{LAYER}.mlp.2": (16, 32),
    "encoder.to_representation": (8, 16), "encoder.to_embedding": (4, 8),
    "lifter.hidden.0": (16, 24), "lifter.to_pose_and_log_sigma": (68, 16),
}  # fmt: skip


def arrays() -> dict[str, np.ndarray]:
    """All that a FrameStep of SIZES is made of."""
    made: dict[str, np.ndarray] = {
        "periods_ns": np.full(4, 10**9), "opposite": np.arange(17, dtype=np.int32),
        "bone_joints": np.zeros((0, 2), np.int32), "bone_lengths_m": np.zeros(0, np.float32),
        "extra_order": np.arange(7, dtype=np.int32), "extra_sign": np.ones(7, np.float32),
    }  # fmt: skip
    for name, shape in LINEARS.items():
        ramp = np.linspace(-1, 1, shape[0] * shape[1], dtype=np.float32)
        made[f"{name}.weight"] = ramp.reshape(shape)
        made[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    for name in (f"{LAYER}.norm", f"{LAYER}.mlp_norm", "encoder.norm"):
        made[f"{name}.weight"] = np.ones(16, np.float32)
        made[f"{name}.bias"] = np.zeros(16, np.float32)
    return made


def frame_step(**changes: object) -> object:
    values = {
        "instruction_set": next(iter(native.INSTRUCTION_SETS)), "sizes": SIZES,
        "max_age_ns": 10**9, "arrays": arrays(),
    } | changes  # fmt: skip
    return native.FrameStep(*values.values())


def encode_arguments(persons: int = 2, slots: int = 3) -> dict[str, np.ndarray]:
    """Arguments of an encode that fits."""
    window = Window.empty(
        slots, CONFIG.blocks, CONFIG.window, CONFIG.channels, CONFIG.feature_channels
    )
    names = ("keys", "values", "features", "time_ns", "head", "fill")
    return {f"window_{name}": getattr(window, name) for name in names} | {
        "rows": np.ones((persons, 17, 3), np.float32),
        "extras": np.ones((persons, 7), np.float32),
        "slots": np.arange(persons, dtype=np.int32),
        "time_ns": np.ones(persons, np.int64),
        "embeddings": np.zeros((persons, 4), np.float32),
    }


def lift_arguments(persons: int = 2) -> dict[str, np.ndarray]:
    """Arguments of a lift that fits."""
    window = encode_arguments()
    window["window_fill"][:] = 1
    names = ("window_features", "window_head", "window_fill", "slots")
    return {name: window[name] for name in names} | {
        "frames_back": np.zeros(persons, np.int32),
        "lag_s": np.zeros(persons, np.float32),
        "poses": np.zeros((persons, 17, 3), np.float32),
        "sigmas": np.zeros((persons, 17), np.float32),
    }


CALLS = {"encode": encode_arguments, "lift": lift_arguments}
ARGUMENTS = [(call, name) for call, make in CALLS.items() for name in make()]


def test_arrays_that_fit_are_taken() -> None:
    arguments = encode_arguments()
    step = frame_step()
    step.encode(*arguments.values())
    assert arguments["window_fill"].tolist() == [1, 1, 0]
    assert arguments["embeddings"].any()
    found = lift_arguments() | {
        name: value for name, value in arguments.items() if name in lift_arguments()
    }
    step.lift(*found.values())
    assert (found["sigmas"] > 0).all()


@pytest.mark.parametrize(("call", "name"), ARGUMENTS)
@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda a: a.astype(np.float64), TypeError, "incompatible function arguments"),
        (lambda a: np.stack([a, a], -1)[..., 0], TypeError, "incompatible function arguments"),
        (lambda a: a[None], TypeError, "incompatible function arguments"),
        (lambda a: a.repeat(2, -1), ValueError, "axis . of .* is .+, expected ."),
        (shifted, ValueError, "{} must be aligned"),
    ],
    ids=["dtype", "strides", "axes", "size", "alignment"],
)
def test_an_array_that_does_not_fit_is_refused_and_nothing_is_written(
    call: str, name: str, change: object, error: type[Exception], sentence: str
) -> None:
    assert callable(change)
    arguments = CALLS[call]()
    before = arguments["window_features"].copy()
    arguments[name] = change(arguments[name])
    with pytest.raises(error, match=sentence.format(name)):
        getattr(frame_step(), call)(*arguments.values())
    assert not before.any()
    if name != "window_features":
        assert not arguments["window_features"].any()


@pytest.mark.parametrize(("field", "value"), [("head", 4), ("head", -1), ("fill", 5), ("fill", -1)])
@pytest.mark.parametrize("call", CALLS)
def test_a_damaged_window_is_refused_before_it_becomes_an_address(
    call: str, field: str, value: int
) -> None:
    arguments = CALLS[call]()
    arguments[f"window_{field}"][0] = value
    with pytest.raises(ValueError, match=f"slot 0 is damaged: .*{field} {value}"):
        getattr(frame_step(), call)(*arguments.values())


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"instruction_set": "abacus"}, ValueError, "this processor has no 'abacus'"),
        ({"sizes": SIZES | {"width": -1}}, ValueError, "width must not be negative, got -1"),
        ({"sizes": SIZES | {"heads": 3}}, ValueError, "these sizes are not those of a model"),
        ({"sizes": SIZES | {"sides": 3}}, ValueError, "these sizes are not those of a model"),
        ({"sizes": {"sides": 1}}, KeyError, "width"),
        ({"sizes": SIZES | {"depth": 2}}, KeyError, "encoder.layers.1.* is missing"),
        (
            {"arrays": arrays() | {"opposite": np.zeros(17, np.float32)}},
            TypeError,
            "opposite has a dtype that this step does not read",
        ),
        (
            {"arrays": arrays() | {"encoder.embed.bias": np.zeros(16)}},
            TypeError,
            "encoder.embed.bias has a dtype",
        ),
    ],
)
def test_a_model_that_is_none_is_refused(
    changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        frame_step(**changes)


def test_joints_outside_a_frame_are_refused() -> None:
    bones = {"bone_joints": np.array([[0, 17]], np.int32), "bone_lengths_m": np.ones(1, np.float32)}
    with pytest.raises(ValueError, match="bone_joints names joint 17"):
        frame_step(
            sizes=SIZES | {"bones": 1},
            arrays=arrays() | bones | {"encoder.embed.weight": np.zeros((16, 62), np.float32)},
        )
    with pytest.raises(ValueError, match="opposite names joint -1"):
        frame_step(arrays=arrays() | {"opposite": np.full(17, -1, np.int32)})


def test_frame_inputs_outside_the_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="extra_order names input 7 of 7"):
        frame_step(arrays=arrays() | {"extra_order": np.full(7, 7, np.int32)})
    with pytest.raises(ValueError, match=r"extra_sign has another shape than \[7\]"):
        frame_step(arrays=arrays() | {"extra_sign": np.ones(6, np.float32)})


def test_weights_in_half_are_read_where_the_processor_widens_them() -> None:
    halves = {
        name: value.astype(np.float16) if value.ndim == 2 and value.dtype == np.float32 else value
        for name, value in arrays().items()
    }
    for name, reads_half in native.INSTRUCTION_SETS.items():
        if reads_half:
            frame_step(instruction_set=name, arrays=halves)
        else:
            with pytest.raises(TypeError, match="does not read"):
                frame_step(instruction_set=name, arrays=halves)


def test_other_threads_run_while_it_works() -> None:
    # As of the window: one long call, during whose middle half this thread must have run.
    arguments = encode_arguments(persons=4000, slots=4000)
    step = frame_step(instruction_set="plain")
    switch_interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        assert any(ran_in_the_middle(step, arguments) for _ in range(10))
    finally:
        sys.setswitchinterval(switch_interval_s)


def ran_in_the_middle(step: object, arguments: dict[str, np.ndarray]) -> bool:
    """Whether this thread ran in the middle half of one encode in another thread."""
    span = []

    def work() -> None:
        span.append(time.perf_counter_ns())
        step.encode(*arguments.values())
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
