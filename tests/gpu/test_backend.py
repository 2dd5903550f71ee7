"""Whole steps on a device: streamed = offline, graphs, padding, chunks, failure."""

import ctypes
import logging
import threading

import numpy as np
import pytest

from langpose_rt.errors import BackendError
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.parity import lift_clip
from langpose_rt.runtime.registry import open_backend
from tests.gpu.conftest import Maker
from tests.runtime.conftest import random_clip
from tests.runtime.test_ring_backend import offline, run_together

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "enqueued"])
@pytest.mark.parametrize("frames_back", [0, 3])
def test_frame_by_frame_on_the_device_equals_one_causal_pass(
    make: Maker, frames_back: int, graphs: bool
) -> None:
    backend = make(graphs=graphs)
    assert isinstance(backend, Backend)
    assert backend.graphs == graphs
    clip = random_clip(40, seed=5)
    streamed, _ = lift_clip(backend, clip, frames_back)
    assert np.abs(streamed - offline(make.folder, clip, frames_back)).max() < 1e-4


def test_graphs_change_no_number(make: Maker) -> None:
    clip = random_clip(30, seed=6)
    for recorded, plain in zip(
        lift_clip(make(graphs=True), clip), lift_clip(make(graphs=False), clip), strict=True
    ):
        np.testing.assert_array_equal(recorded, plain)


@pytest.mark.parametrize("sizes", [(1, 2, 4), (3,), (8,)], ids=str)
def test_persons_who_join_and_leave_get_the_poses_they_would_get_alone(
    make: Maker, sizes: tuple[int, ...]
) -> None:
    clips = [random_clip(20, seed=seed) for seed in range(6)]
    backend = make(slots=7, sizes=sizes)  # six people: padded up, or in chunks
    starts, ends = [0, 0, 0, 5, 9, 0], [20, 20, 20, 25, 29, 20]
    poses = run_together(backend, clips, starts, [2, 0, 3, 6, 5, 1], ends)
    for clip, pose in zip(clips, poses, strict=True):
        assert np.abs(pose - offline(make.folder, clip)).max() < 1e-4


def test_a_half_ring_moves_a_pose_by_less_than_half_a_millimetre(make: Maker) -> None:
    clip = random_clip(40, seed=7)
    half, _ = lift_clip(make(stored=np.float16), clip)
    full, _ = lift_clip(open_backend(make.folder, "onnx"), clip)
    distance = np.linalg.norm(half - full, axis=-1)
    assert 0 < distance.max() < 5e-3
    assert distance.mean() < 5e-4


def test_a_caller_may_ask_for_the_newest_the_past_and_the_newest_again(make: Maker) -> None:
    device, expected = make(), open_backend(make.folder, "onnx", slots=4)
    clip, slots = random_clip(12, seed=8).for_backend(device), np.array([1, 3], np.int32)
    backs = [(0, 0), (1, 0), (0, 2), (0, 0), (0, 0)]
    for index in range(12):
        rows = np.stack([clip.rows[index], clip.rows[-1 - index]])
        extras = np.stack([clip.extras[index], clip.extras[-1 - index]])
        time_ns = clip.time_ns[[index, index]]
        mine, theirs = (b.encode(rows, extras, slots, time_ns) for b in (device, expected))
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
        back = np.minimum(np.array(backs[index % 5], np.int32), index)
        lag_s = (back * 0.016).astype(np.float32)
        for order in (slice(None), slice(None, None, -1), slice(1)):
            answers = (b.lift(slots[order], back[order], lag_s[order]) for b in (device, expected))
            for got, wanted in zip(*answers, strict=True):
                np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_a_step_of_nobody_gives_empty_arrays_of_the_usual_shapes(make: Maker) -> None:
    none = random_clip(0).for_backend(backend := make())
    nobody = np.zeros(0, np.int32)
    for _ in range(2):  # the second time the backend answers for the newest frame in one launch
        embedding = backend.encode(none.rows, none.extras, nobody, none.time_ns)
        assert embedding.shape == (0, backend.manifest.model_config.embedding)
        pose, sigma = backend.lift(nobody, nobody, np.zeros(0, np.float32))
        assert (pose.shape, sigma.shape) == ((0, 17, 3), (0, 17))


def test_a_reset_person_is_a_new_one(make: Maker) -> None:
    clip, backend = random_clip(20, seed=9), make(stored=np.float32)
    first, _ = lift_clip(backend, clip)
    again, _ = lift_clip(backend, clip)
    np.testing.assert_array_equal(first, again)


def test_what_cannot_be_a_slot_is_refused_on_the_host(make: Maker) -> None:
    clip = random_clip(2).for_backend(backend := make(slots=2))
    two = (clip.rows, clip.extras)
    for slots, error in (([0, 2], IndexError), ([-1, 0], IndexError), ([1, 1], ValueError)):
        with pytest.raises(error):
            backend.encode(*two, np.array(slots, np.int32), clip.time_ns)
    with pytest.raises(IndexError, match="slot 0 does not hold the frame 0 back"):
        backend.lift(np.zeros(1, np.int32), np.zeros(1, np.int32), np.zeros(1, np.float32))


def test_any_thread_may_call_one_after_the_other(make: Maker) -> None:
    clip, poses = random_clip(10, seed=2), []
    backend = make()
    thread = threading.Thread(target=lambda: poses.append(lift_clip(backend, clip)[0]))
    thread.start()
    thread.join()
    poses.append(lift_clip(backend, clip)[0])
    np.testing.assert_array_equal(*poses)


def test_a_closed_backend_says_so_and_holds_nothing(make: Maker) -> None:
    clip = random_clip(1).for_backend(backend := make())
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="is closed"):
        backend.encode(clip.rows, clip.extras, np.zeros(1, np.int32), clip.time_ns)
    with pytest.raises(BackendError, match="is closed"):
        backend.reset(np.zeros(1, np.int32))


def held(on_cpu: ctypes.CDLL) -> list[int]:
    """Device and pinned memory, streams, graphs, contexts, modules."""
    counts = (ctypes.c_int * 8)()
    on_cpu.on_cpu_counts(counts)
    return list(counts)[2:]


def test_everything_taken_from_the_driver_is_given_back(make: Maker, on_cpu: ctypes.CDLL) -> None:
    before = held(on_cpu)
    backend = make()
    assert all(now > then for now, then in zip(held(on_cpu), before, strict=True))
    backend.close()
    assert held(on_cpu) == before


def test_a_step_is_one_launch_and_one_copy_each_way(make: Maker, on_cpu: ctypes.CDLL) -> None:
    clip = random_clip(3).for_backend(backend := make())
    counts, slot = (ctypes.c_int * 8)(), np.zeros(1, np.int32)
    on_cpu.on_cpu_counts(counts)
    before = list(counts)[:2]
    backend.encode(clip.rows[:1], clip.extras[:1], slot, clip.time_ns[:1])
    backend.lift(slot, slot, np.zeros(1, np.float32))
    on_cpu.on_cpu_counts(counts)
    assert counts[1] - before[1] == 1, "one graph answers encode and the lift after it"
    assert counts[0] - before[0] == 2, "the window's kernels: look and push"


def test_a_device_that_fails_is_one_sentence_and_stays_failed(
    make: Maker, on_cpu: ctypes.CDLL
) -> None:
    clip, slot = random_clip(2).for_backend(backend := make()), np.zeros(1, np.int32)
    on_cpu.on_cpu_fail_after(0)
    try:
        for _ in range(2):
            with pytest.raises(
                BackendError, match=r"CUDA failed at .*: unspecified launch failure"
            ):
                backend.encode(clip.rows[:1], clip.extras[:1], slot, clip.time_ns[:1])
        backend.close()
    finally:
        on_cpu.on_cpu_fail_after(-1)


def test_without_graphs_it_says_so_once_and_goes_on(
    make: Maker, on_cpu: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    setenv = ctypes.CDLL(None).setenv  # the driver reads the process's own environment
    setenv(b"LANGPOSE_NO_GRAPHS", b"1", 1)
    try:
        with caplog.at_level(logging.WARNING):
            backend = make()
    finally:
        ctypes.CDLL(None).unsetenv(b"LANGPOSE_NO_GRAPHS")
    assert not backend.graphs
    (record,) = caplog.records
    assert "no CUDA graphs" in record.getMessage()
    assert len(lift_clip(backend, random_clip(3))[0]) == 3


def test_a_kernel_image_that_is_none_is_refused(make: Maker) -> None:
    make.image = b"not a cubin"
    with pytest.raises(BackendError, match="loading the kernels"):
        make()
