"""An engine that does not fit this machine is refused with both values and the command."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from langpose_rt.config import PRESETS
from langpose_rt.errors import ModelError
from langpose_rt.manifest import (
    Engine,
    EngineParity,
    EnginePart,
    EngineProduct,
    Manifest,
    Profile,
    file_sha256,
)
from langpose_rt.runtime.engine_compatibility import Machine, engine_matching
from langpose_rt.runtime.gpu_info import Gpu

GPU = Gpu(name="RTX 4090", compute_capability="8.9", driver="580.65", cuda=(13, 0), memory_bytes=1)
HERE = Machine(flavor="tensorrt", version="11.4.0", gpu=GPU)


def part_of(path: Path) -> EnginePart:
    return EnginePart(
        file=path.name, sha256=file_sha256(path), size_bytes=1, graph_sha256="", build_s=1.0,
        network_half=0.4, engine_half=None, inputs={}, outputs={},
    )  # fmt: skip


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    for name in ("encoder.engine", "lifter.engine"):
        (tmp_path / name).write_bytes(name.encode())
    plain = Manifest(
        version=1, name="live", made_by="test", command="test", date="2026-01-01",
        config=PRESETS["live"].to_dict(), card={}, files={"a": "1" * 64}, products={}, opset=18,
    )  # fmt: skip
    engine = Engine(
        flavor="tensorrt", version="11.4.0", targets=["8.9"], gpu="RTX 4090", driver="580.65",
        model_sha256=plain.sha256, optimization_level=5, flags=[],
        profiles=[Profile(smallest=1, typical=1, largest=1)],
        encoder=part_of(tmp_path / "encoder.engine"), lifter=part_of(tmp_path / "lifter.engine"),
        made_by="test", command="test", date="2026-01-01",
    )  # fmt: skip
    parity = EngineParity(
        clip="c", frames=1, mean_mm=0.1, worst_mm=0.2, evaluator="e", reference="r"
    )
    return msgspec.structs.replace(
        plain, engines={"tensorrt-sm89": EngineProduct(engine=engine, parity=parity)}
    )


def with_engine(manifest: Manifest, **changes: object) -> Manifest:
    product = manifest.engines["tensorrt-sm89"]
    engine = msgspec.structs.replace(product.engine, **changes)
    engines = {"tensorrt-sm89": msgspec.structs.replace(product, engine=engine)}
    return msgspec.structs.replace(manifest, engines=engines)


def test_an_engine_that_fits_is_found(tmp_path: Path, manifest: Manifest) -> None:
    engine = engine_matching(tmp_path, manifest, HERE)
    assert engine == manifest.engines["tensorrt-sm89"].engine


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        (replace(HERE, version="11.5.0"), "TensorRT 11.4.0, found 11.5.0"),
        (replace(HERE, gpu=replace(GPU, name="L4")), "the GPU RTX 4090, found L4"),
        (replace(HERE, gpu=replace(GPU, driver="590.1")), "driver 580.65, found 590.1"),
        (
            replace(HERE, gpu=replace(GPU, compute_capability="9.0")),
            "compute capability 8.9, found 9.0",
        ),
    ],
)
def test_a_mismatch_is_named_with_both_values_and_the_repair(
    tmp_path: Path, manifest: Manifest, machine: Machine, sentence: str
) -> None:
    with pytest.raises(ModelError) as refused:
        engine_matching(tmp_path, manifest, machine)
    assert sentence in str(refused.value)
    assert "engine tensorrt-sm89 was built for" in str(refused.value)
    assert f"'langpose-rt build-engine --model {tmp_path}" in str(refused.value)


def test_a_changed_model_is_named_with_both_hashes(tmp_path: Path, manifest: Manifest) -> None:
    changed = msgspec.structs.replace(manifest, files={"a": "2" * 64})
    with pytest.raises(ModelError, match=r"was built for model \w{12}, found \w{12}; build it"):
        engine_matching(tmp_path, changed, HERE)


def test_an_rtx_engine_runs_with_any_driver_on_every_gpu_it_targets(
    tmp_path: Path, manifest: Manifest
) -> None:
    rtx = with_engine(
        manifest, flavor="rtx", version="1.7.1", targets=["8.6", "8.9"], gpu=None, driver=None
    )
    machine = replace(HERE, flavor="rtx", version="1.7.1")
    assert engine_matching(tmp_path, rtx, machine).flavor == "rtx"
    with pytest.raises(ModelError, match="has no TensorRT engine; build it with"):
        engine_matching(tmp_path, rtx, HERE)


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "lifter.engine").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"lifter\.engine is damaged: .*build it with"):
        engine_matching(tmp_path, manifest, HERE)
    (tmp_path / "lifter.engine").unlink()
    with pytest.raises(ModelError, match=r"'lifter\.engine' is missing"):
        engine_matching(tmp_path, manifest, HERE)
