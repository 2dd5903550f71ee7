"""Check of a model: valid, damaged, without fp32, without a licence."""

import shutil
from pathlib import Path

import msgspec
import pytest

from langpose_rt.cli.doctor.model import check_model
from langpose_rt.errors import ModelError
from langpose_rt.manifest import read_manifest, write_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL


def test_the_model_that_ships_is_whole_with_parity_licence_and_data() -> None:
    model, weights = check_model(DEFAULT_MODEL)
    manifest = read_manifest(DEFAULT_MODEL)
    assert (model.verdict, weights.verdict) == ("ok", "ok")
    assert manifest.sha256[:12] in model.found
    assert f"{manifest.products['fp32'].parity.worst_mm:.4f} at worst" in model.found
    assert "commercial use allowed" in weights.found
    assert weights.found.count("cmudm") == 1


def test_a_model_without_a_float32_graph_is_told_with_the_command(
    model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    write_manifest(copy, msgspec.structs.replace(read_manifest(copy), products={}))
    found, _ = check_model(copy)
    assert found.verdict == "fail"
    assert "langpose-rt export CHECKPOINT --out FOLDER" in found.advice


def test_a_damaged_file_is_the_sentence_of_the_manifest(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    (copy / "encoder.onnx").write_bytes(b"else")
    with pytest.raises(ModelError, match=r"encoder.onnx is damaged"):
        check_model(copy)


def test_weights_without_a_licence_are_something_to_look_at(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    write_manifest(copy, msgspec.structs.replace(read_manifest(copy), card={}))
    _, weights = check_model(copy)
    assert weights.verdict == "warn"
    assert weights.found == "licence: not stated; trained on: not stated"
