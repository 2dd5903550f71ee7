"""Opening a backend: the right one, or one sentence."""

from pathlib import Path

import pytest

from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.registry import open_backend


@pytest.mark.parametrize("name", ["auto", "onnx", "torch"])
def test_every_backend_honours_the_protocol(model_folder: Path, name: str) -> None:
    backend = open_backend(model_folder, name, slots=3)
    assert isinstance(backend, Backend)
    assert backend.name == ("onnx" if name == "auto" else name)
    assert (backend.slots, backend.frames) == (3, 8)


def test_an_unknown_backend_names_the_known_ones(model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="auto, tensorrt, tensorrt-rtx, onnx, torch"):
        open_backend(model_folder, "abacus")


def test_a_precision_the_model_lacks_says_how_to_make_it(model_folder: Path) -> None:
    with pytest.raises(
        ModelError, match="has no fp4, only fp32, int8; make it with 'langpose-rt export"
    ):
        open_backend(model_folder, precision="fp4")


def test_torch_runs_no_int8(model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="--backend onnx"):
        open_backend(model_folder, "torch", precision="int8")


def test_a_damaged_encoder_is_refused_before_anything_runs(
    model_folder: Path, tmp_path: Path
) -> None:
    for file in model_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    encoder = tmp_path / "encoder.onnx"
    encoder.write_bytes(encoder.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is damaged"):
        open_backend(tmp_path)
