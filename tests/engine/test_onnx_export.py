"""Export: what a model folder says of itself, and that no machine leaks into it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from langpose_rt.config import (
    ENCODER_INPUTS,
    ENCODER_OUTPUTS,
    LIFTER_INPUTS,
    LIFTER_OUTPUTS,
    PRESETS,
    ModelConfig,
    RayRefinement,
)
from langpose_rt.engine.onnx_export import model_folder_from_checkpoint
from langpose_rt.errors import ConfigError
from langpose_rt.manifest import read_manifest
from langpose_rt.model.checkpoint import save
from langpose_rt.model.langpose import seeded
from langpose_rt.runtime.parity import ParityClip

TINY = ModelConfig(
    name="tiny", width=32, heads=2, depth=1, window=4, representation=16, embedding=8
)


@pytest.fixture(scope="module")
def clip() -> ParityClip:
    random = np.random.default_rng(0)
    rows, extras = random.standard_normal((9, 17, 3)), random.standard_normal((9, 24))
    time_ns = np.arange(9, dtype=np.int64) * 16_000_000
    return ParityClip("random", rows.astype(np.float32), extras.astype(np.float32), time_ns)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clip: ParityClip) -> Path:
    scratch = tmp_path_factory.mktemp("export")
    save(scratch / "tiny.safetensors", seeded(TINY, 0), {"licence": "test"})
    model_folder_from_checkpoint(
        scratch / "tiny.safetensors", scratch / "out", clip, command="test"
    )
    return scratch / "out"


def test_the_manifest_carries_config_card_and_measured_parity(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.model_config == TINY
    assert manifest.card == {"licence": "test"}
    parity = manifest.products["fp32"].parity
    assert parity.frames == 9
    assert 0 < parity.worst_mm < 0.05


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("encoder.onnx", ENCODER_INPUTS, ENCODER_OUTPUTS),
        ("lifter.onnx", LIFTER_INPUTS, LIFTER_OUTPUTS),
    ],
)
def test_a_graph_has_the_named_inputs_and_outputs_and_any_batch(
    folder: Path, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    graph = onnx.load(folder / name).graph
    assert tuple(value.name for value in graph.input) == inputs
    assert tuple(value.name for value in graph.output) == outputs
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_the_manifest_says_how_poses_are_refined(folder: Path) -> None:
    assert read_manifest(folder).ray_refinement == RayRefinement()


def test_large_weights_are_stored_in_half(folder: Path) -> None:
    weights = onnx.load(folder / "encoder.onnx").graph.initializer
    half = sum(len(w.raw_data) for w in weights if w.data_type == onnx.TensorProto.FLOAT16)
    full = sum(len(w.raw_data) for w in weights if w.data_type == onnx.TensorProto.FLOAT)
    assert half > 20 * full


def test_no_path_of_the_exporting_machine_is_in_the_files(folder: Path) -> None:
    here = str(Path(__file__).parents[2]).encode()
    for file in folder.iterdir():
        content = file.read_bytes()
        assert here not in content
        assert b"site-packages" not in content


def test_a_bidirectional_model_is_refused(tmp_path: Path, clip: ParityClip) -> None:
    lite = ModelConfig(**(PRESETS["lite"].to_dict() | {"width": 16, "heads": 2, "depth": 1}))
    save(tmp_path / "lite.safetensors", seeded(lite, 0), {})
    with pytest.raises(ConfigError, match="keeps no ring"):
        model_folder_from_checkpoint(
            tmp_path / "lite.safetensors",
            tmp_path / "out",
            clip,
            command="test",
        )


def test_exporting_over_the_checkpoint_itself_is_refused(tmp_path: Path, clip: ParityClip) -> None:
    source = tmp_path / "model.safetensors"
    save(source, seeded(TINY, 0), {})
    before = source.read_bytes()
    with pytest.raises(ConfigError, match="would overwrite"):
        model_folder_from_checkpoint(source, tmp_path, clip, command="test")
    assert source.read_bytes() == before
