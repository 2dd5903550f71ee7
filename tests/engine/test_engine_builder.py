"""A product holds only engines that were proved; everything else leaves it as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from langpose_rt.engine import engine_builder as module
from langpose_rt.engine.build_config import BuildConfig
from langpose_rt.engine.engine_builder import (
    Toolchain,
    build_engine_folder,
    engine_name,
    existing_engine,
)
from langpose_rt.engine.fp16_graph import onnx_to_fp16
from langpose_rt.engine.fp16_reference import EVALUATOR, fp16_backend
from langpose_rt.engine.tensorrt_build import Plan
from langpose_rt.errors import BuildError, ConfigError, ModelError
from langpose_rt.manifest import Engine, EngineProduct, Manifest, file_sha256, read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.parity import ParityClip, demo_parity_clip
from langpose_rt.runtime.tensorrt_flavor import FLAVORS

ADA = Gpu(
    name="RTX 4090",
    compute_capability="8.9",
    driver="580.65",
    cuda=(13, 0),
)
CONFIG = BuildConfig(batch=(1,), targets=("8.9",))


@pytest.fixture(scope="module")
def clip() -> ParityClip:
    whole = demo_parity_clip()
    return ParityClip(whole.name, whole.rows[:12], whole.extras[:12], whole.time_ns[:12])


@pytest.fixture(scope="module")
def tools(rtx: Any) -> Toolchain:
    return Toolchain(trt=rtx, flavor=FLAVORS["rtx"], gpu=None)


@pytest.fixture(scope="module")
def built(
    tools: Toolchain, clip: ParityClip, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, EngineProduct]:
    folder = tmp_path_factory.mktemp("engines") / "live"
    return folder, build_engine_folder(DEFAULT_MODEL, folder, tools, CONFIG, clip, command="test")


def half_engine(folder: Path, manifest: Manifest, engine: Engine) -> Backend:
    """Stands for an engine on a GPU: the files must be there, the arithmetic is the graph's."""
    assert (folder / engine.encoder.file).is_file()
    graphs = (onnx_to_fp16(onnx.load(DEFAULT_MODEL / f"{n}.onnx")) for n in ("encoder", "lifter"))
    return fp16_backend(*graphs, manifest=manifest)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, built: tuple[Path, EngineProduct]) -> None:
    """Plans that were built before, for what does not depend on the builder."""
    folder, product = built
    parts = {"encoder": product.engine.encoder, "lifter": product.engine.lifter}

    def engine_from_onnx(*_: Any, name: str, **__: Any) -> Plan:
        part = parts[name]
        return Plan(
            data=(folder / part.file).read_bytes(), timing_cache=b"measured", flags=[name.upper()],
            fp16_share=part.network_half, inputs=part.inputs, outputs=part.outputs, build_s=1.0,
        )  # fmt: skip

    monkeypatch.setattr(module, "engine_from_onnx", engine_from_onnx)
    monkeypatch.setattr(module, "engine_information", lambda *_: '{"Layers": []}')


def test_the_product_is_the_model_with_an_engine_that_says_all_of_itself(
    built: tuple[Path, EngineProduct],
) -> None:
    folder, product = built
    manifest, source = read_manifest(folder), read_manifest(DEFAULT_MODEL)
    assert manifest.engines == {"rtx-sm89": product}
    assert manifest.sha256 == source.sha256 == product.engine.model_sha256
    assert manifest.files == source.files
    for part in (product.engine.encoder, product.engine.lifter):
        assert part.sha256 == file_sha256(folder / part.file)
        assert part.size_bytes == (folder / part.file).stat().st_size
        assert part.network_half > 0.25
        assert part.engine_half is None
    assert product.engine.gpu is None
    assert product.engine.targets == ["8.9"]
    assert 0 < product.parity.mean_mm < 0.5
    assert product.parity.evaluator == EVALUATOR
    assert product.parity.reference == "float32 torch"
    expected = {*manifest.files, "manifest.json", "encoder.rtx-sm89.engine"}
    assert {file.name for file in folder.iterdir()} == expected | {"lifter.rtx-sm89.engine"}


def test_an_engine_is_present_only_as_long_as_it_is_the_one_wanted(
    built: tuple[Path, EngineProduct], tools: Toolchain
) -> None:
    folder, product = built
    assert existing_engine(DEFAULT_MODEL, folder, tools, CONFIG) == (product, [])
    other = BuildConfig(batch=(1,), targets=("8.6",))
    assert existing_engine(DEFAULT_MODEL, folder, tools, other) == (None, [])
    assert existing_engine(DEFAULT_MODEL, folder.parent, tools, CONFIG) == (None, [])
    with pytest.raises(ModelError, match="no model at"):
        existing_engine(folder / "none", folder, tools, CONFIG)


def test_what_has_changed_is_named_with_both_values(
    built: tuple[Path, EngineProduct], tools: Toolchain
) -> None:
    folder, product = built

    def reasons(tools: Toolchain = tools, config: BuildConfig = CONFIG) -> list[str]:
        return existing_engine(DEFAULT_MODEL, folder, tools, config)[1]

    quick = BuildConfig(batch=(1,), targets=("8.9",), optimization_level=0)
    assert reasons(config=quick) == ["optimization_level was 5, is 0"]
    assert "profiles was" in reasons(config=BuildConfig(batch=(1, 2), targets=("8.9",)))[0]
    here = Toolchain(trt=tools.trt, flavor=tools.flavor, gpu=ADA)
    assert reasons(here) == ["gpu was None, is RTX 4090", "driver was None, is 580.65"]
    file = folder / product.engine.lifter.file
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert "is damaged: its hash is" in reasons()[0]
    file.write_bytes(whole)


@pytest.mark.usefixtures("quick")
def test_where_the_engine_runs_its_own_poses_are_measured(
    tools: Toolchain, clip: ParityClip, tmp_path: Path
) -> None:
    here = Toolchain(trt=tools.trt, flavor=tools.flavor, gpu=ADA, run_engine=half_engine)
    product = build_engine_folder(
        DEFAULT_MODEL, tmp_path / "live", here, CONFIG, clip, command="test"
    )
    assert product.parity.evaluator == "the engine on RTX 4090"
    assert (product.engine.encoder.flags, product.engine.lifter.flags) == (["ENCODER"], ["LIFTER"])
    assert (product.engine.gpu, product.engine.driver) == ("RTX 4090", "580.65")


@pytest.mark.usefixtures("quick")
def test_an_engine_with_wrong_poses_is_refused_and_nothing_is_written(
    tools: Toolchain, clip: ParityClip, tmp_path: Path
) -> None:
    def shifted(folder: Path, manifest: Manifest, engine: Engine) -> Backend:
        backend = half_engine(folder, manifest, engine)
        right: Callable[..., tuple[np.ndarray, np.ndarray]] = backend.lift

        def lift(*arguments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            pose, sigma = right(*arguments)
            return pose + np.float32(0.01), sigma

        backend.lift = lift  # type: ignore[method-assign]
        return backend

    here = Toolchain(trt=tools.trt, flavor=tools.flavor, gpu=ADA, run_engine=shifted)
    with pytest.raises(BuildError, match=r"1\d\.\d+ mm off on the mean .*the engine on RTX 4090"):
        build_engine_folder(DEFAULT_MODEL, tmp_path / "live", here, CONFIG, clip, command="test")
    assert read_manifest(tmp_path / "live").engines == {}
    assert not list((tmp_path / "live").glob("*.engine"))
    assert not list((tmp_path / "live").glob(".build-*"))


@pytest.mark.usefixtures("quick")
def test_what_the_builder_measured_is_kept_and_an_engine_for_another_gpu_stays(
    tools: Toolchain, clip: ParityClip, tmp_path: Path
) -> None:
    folder = tmp_path / "live"
    build_engine_folder(DEFAULT_MODEL, folder, tools, CONFIG, clip, command="test")
    other = BuildConfig(batch=(1,), targets=("8.6",))
    build_engine_folder(folder, folder, tools, other, clip, command="test")
    assert set(read_manifest(folder).engines) == {"rtx-sm89", "rtx-sm86"}
    assert (folder / "rtx-sm86.cache").read_bytes() == b"measured"


def test_a_folder_of_another_model_is_refused(
    tools: Toolchain, clip: ParityClip, tmp_path: Path, built: tuple[Path, EngineProduct]
) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    text = (built[0] / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="is missing from"):
        build_engine_folder(DEFAULT_MODEL, folder, tools, CONFIG, clip, command="test")
    for name in read_manifest(DEFAULT_MODEL).files:
        (folder / name).write_bytes(b"another")
    another = file_sha256(folder / "encoder.onnx")
    for sha256 in read_manifest(DEFAULT_MODEL).files.values():
        text = text.replace(sha256, another)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match=r"holds model 'live' \(\w{12}\), not 'live' .*delete"):
        build_engine_folder(DEFAULT_MODEL, folder, tools, CONFIG, clip, command="test")


def test_a_folder_that_cannot_be_made_is_one_sentence(
    tools: Toolchain, clip: ParityClip, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written: Not a directory; choose another"):
        build_engine_folder(
            DEFAULT_MODEL, tmp_path / "file/live", tools, CONFIG, clip, command="test"
        )


def test_an_engine_is_named_after_what_it_runs_on() -> None:
    config = BuildConfig(targets=("8.6", "12.0"))
    assert engine_name(FLAVORS["rtx"], config) == "rtx-sm86-sm120"
