"""GPU measurements of `bench`, as far as they run without one; no value is asserted."""

from pathlib import Path

import pytest

from langpose_rt.benchmark import device_bench
from langpose_rt.benchmark.device_bench import (
    commit,
    device_report,
    device_table,
    quantiles_ms,
    step_of,
    window_bytes,
)
from langpose_rt.benchmark.window_pass import window_pass
from langpose_rt.config import PRESETS
from langpose_rt.manifest import read_manifest
from langpose_rt.model.langpose import seeded
from langpose_rt.runtime import gpu_info as gpu
from langpose_rt.runtime.gpu_info import Gpu, no_gpu_reason
from langpose_rt.runtime.registry import open_backend
from tests.commands import run_here
from tests.fakes import FakeBackend

ADA = Gpu(
    name="RTX 4090",
    compute_capability="8.9",
    driver="580.65",
    cuda=(13, 0),
)


@pytest.mark.parametrize("length_input", [False, True])
def test_a_step_moves_everybody_on_and_asks_for_the_newest(length_input: bool) -> None:
    backend = FakeBackend(slots=3, length_input=length_input)
    step = step_of(backend, 3)
    step()
    step()
    assert backend.encodes == [3, 3]
    assert [lift[:3] for lift in backend.lifts[:3]] == [(0, 0, 0.0), (1, 0, 0.0), (2, 0, 0.0)]


def test_variants_take_turns() -> None:
    order: list[str] = []
    steps = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    found = quantiles_ms(steps, 3)  # type: ignore[arg-type]
    assert order[:4] == ["a", "b", "a", "b"]
    assert set(found) == {f"{n}_p{p}_ms" for n in "ab" for p in (50, 95, 99)}
    assert found["a_p50_ms"] <= found["a_p99_ms"]


def test_the_floor_is_what_the_kernels_read_and_write() -> None:
    config = PRESETS["live"]
    numbers = config.blocks * config.channels
    floor = window_bytes(config, 2, 10)
    assert floor["push_bytes"] == 10 * (12 * numbers + 8 * config.feature_channels + 36)
    assert floor["look_bytes"] == 10 * (8 * numbers * config.window + 12 * config.window)


def test_the_report_says_device_driver_and_commit_and_the_table_fits(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    backend = open_backend(model, "onnx", slots=2)
    monkeypatch.setattr(backend, "close", lambda: closed.append(backend))
    monkeypatch.setattr(gpu, "probe", lambda: ADA)
    monkeypatch.setattr(device_bench, "open_variants", lambda *_: ({"graph": backend}, ["a thing"]))
    report = device_report(model, read_manifest(model), "tensorrt", [1, 2], 3)
    assert report["device"] == {
        "name": "RTX 4090", "compute_capability": "8.9", "driver": "580.65"
    }  # fmt: skip
    assert report["commit"] == commit()
    assert [row["persons"] for row in report["rows"]] == [1, 2]
    assert closed == [backend]
    lines = device_table(report).splitlines()
    assert lines[0].startswith("RTX 4090, compute capability 8.9, driver 580.65, commit ")
    assert len({len(line) for line in lines[1:4]}) == 1
    assert lines[4] == "not measured: a thing"


def test_a_window_pass_gives_what_the_encoder_gives_over_a_clip() -> None:
    window_pass(seeded(PRESETS["live"], 0), 2, "cpu")()


@pytest.mark.skipif(no_gpu_reason() is None, reason="there is a driver here")
def test_without_a_gpu_a_gpu_backend_is_one_sentence(model: Path) -> None:
    done = run_here("bench", "--backend", "tensorrt", "--persons", "1,1024", "--model", model)
    assert done.code == 2
    assert "no NVIDIA driver" in done.sentence


def test_on_a_device_more_people_fit() -> None:
    done = run_here("bench", "--backend", "tensorrt", "--persons", "4097")
    assert "expected numbers from 1 to 4096" in done.sentence
