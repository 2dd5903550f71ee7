"""`build-engine` as a command; what it proves is tested in tests/engine/test_engine_builder.py."""

import json
from pathlib import Path

import pytest

from langpose_rt.cli.commands import build_engine
from langpose_rt.errors import ConfigError
from langpose_rt.manifest import read_manifest
from langpose_rt.runtime import tensorrt_flavor as flavor
from langpose_rt.runtime.gpu_info import Gpu
from tests.commands import Done, run_here

HOPPER = Gpu(name="H100", compute_capability="9.0", driver="580.65", cuda=(13, 0))
NO_DRIVER = "no NVIDIA driver: libcuda.so.1 cannot be loaded"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """This machine has the GPU that the test is parametrised with."""
    found = request.param, NO_DRIVER if request.param is None else ""
    monkeypatch.setattr(build_engine, "_gpu", lambda: found)
    monkeypatch.setattr(flavor, "find_spec", lambda _name: object())


def build(out: Path, *words: object) -> Done:
    return run_here("build-engine", "--out", out, *words)


@pytest.mark.parametrize("gpu", [None], indirect=True)
@pytest.mark.usefixtures("gpu", "rtx")
def test_an_engine_is_built_once_and_its_proof_is_printed(
    exported: tuple[Done, Path, Path], tmp_path: Path
) -> None:
    words = ("--model", exported[2], "--flavor", "rtx", "--arch", "sm_89", "--batch", "1,2")
    done = build(tmp_path, *words)
    assert done.code == 0, done.err
    assert done.err.splitlines()[-1] == "parity"
    for said in ("TensorRT-RTX", "encoder", "lifter", "1, 2", "mm mean", "reference evaluator"):
        assert said in done.out
    folder = tmp_path / exported[2].name
    (name, product), *_ = read_manifest(folder).engines.items()
    assert name == "rtx-sm89"
    assert str(tmp_path) not in product.engine.command
    assert product.engine.command.startswith("langpose-rt build-engine --flavor rtx --batch 1,2")
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    again = json.loads(build(tmp_path, *words, "--json").out)
    assert again["was_there"] is True
    assert again["parity"]["worst_mm"] == product.parity.worst_mm
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    other = build(tmp_path, *words, "--level", "0")
    assert "rtx-sm89 is built again: optimization_level was 5, is 0" in other.err
    forced = json.loads(build(tmp_path, *words, "--json", "--force").out)
    assert forced["was_there"] is False


@pytest.mark.parametrize(
    ("gpu", "words", "sentence"),
    [
        (None, ("--flavor", "tensorrt"), f"builds on the GPU it builds for, but {NO_DRIVER}"),
        (None, (), f"{NO_DRIVER}; name the architecture to build for, as in --arch 8.9"),
        (None, ("--arch", "9.0"), "TensorRT-RTX has no engines for compute capability 9.0"),
        (None, ("--arch", "ada"), "--arch has 'ada'; expected architectures as in 8.9 or sm_89"),
        (None, ("--arch", "8.9", "--batch", "8,1"), "--batch is 8,1; expected up to 8 rising"),
        (None, ("--arch", "8.9", "--level", "9"), "--level is 9; expected 0 to 5"),
        (None, ("--flavor", "cuda"), "unknown flavor 'cuda'; expected auto, tensorrt, rtx"),
        (HOPPER, ("--flavor", "rtx"), "no engines for compute capability 9.0"),
        (HOPPER, ("--arch", "8.9"), "TensorRT builds for the GPU that is here, 9.0, not for 8.9"),
    ],
    indirect=["gpu"],
)
@pytest.mark.usefixtures("gpu")
def test_what_cannot_be_built_is_one_sentence_before_anything_is_constructed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    def construct(_flavor: flavor.Flavor) -> None:
        raise AssertionError("imported")

    monkeypatch.setattr(flavor, "import_tensorrt", construct)
    done = build(tmp_path / "out", *words)
    assert done.code == 2
    assert sentence in done.sentence
    assert not (tmp_path / "out").exists()


def test_a_file_as_the_target_and_a_missing_model_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is a file; give a folder with --out" in build(tmp_path / "file").sentence
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel here")
    words = ("--flavor", "rtx", "--arch", "8.9", "--model", tmp_path / "none")
    assert "no model at" in build(tmp_path, *words).sentence


def test_without_onnx_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_engine, "find_spec", lambda _name: None)
    assert "build-engine needs onnx; install with" in build(tmp_path).sentence


def test_the_probe_answers_with_a_reason_where_there_is_no_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def probe() -> Gpu:
        raise ConfigError(NO_DRIVER)

    monkeypatch.setattr("langpose_rt.runtime.gpu_info.probe", probe)
    assert build_engine._gpu() == (None, NO_DRIVER)
