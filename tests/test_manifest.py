"""Manifests: model folders are checked against their manifest."""

from pathlib import Path

import msgspec
import pytest

from langpose_rt.config import PRESETS, RayRefinement
from langpose_rt.errors import ModelError
from langpose_rt.manifest import (
    MANIFEST_NAME,
    Engine,
    EngineParity,
    EnginePart,
    EngineProduct,
    Manifest,
    Parity,
    Product,
    Profile,
    file_sha256,
    read_manifest,
    write_manifest,
)
from langpose_rt.runtime.backend import DEFAULT_MODEL

DEEP = b'{"x": ' + b"[" * 200_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights.bin").write_bytes(b"weights")
    write_manifest(tmp_path, manifest_of({"weights.bin": file_sha256(tmp_path / "weights.bin")}))
    return tmp_path


def manifest_of(files: dict[str, str], version: int = 1) -> Manifest:
    return Manifest(
        version=version, name="live", made_by="test", command="test", date="2026-01-01",
        config=PRESETS["live"].to_dict(), card={}, files=files, products={}, opset=18,
    )  # fmt: skip


def test_a_manifest_reads_back_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.model_config == PRESETS["live"]
    assert manifest == manifest_of(manifest.files)


def test_the_licence_is_the_one_the_card_states() -> None:
    manifest = manifest_of({})
    assert manifest.licence == "not stated"
    assert msgspec.structs.replace(manifest, card={"licence": "MIT"}).licence == "MIT"


def test_ray_refinement_reads_back_and_nonsense_is_damage(folder: Path) -> None:
    path = folder / MANIFEST_NAME
    manifest = msgspec.structs.replace(read_manifest(folder), ray_refinement=RayRefinement())
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest
    path.write_text(path.read_text().replace('"strength": 0.9', '"strength": 9'))
    with pytest.raises(ModelError, match="strength is 9"):
        read_manifest(folder)


def test_a_changed_file_is_named_with_both_hashes(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"weightz")
    with pytest.raises(
        ModelError, match=r"weights\.bin is damaged: its hash is \w{12}, the manifest says \w{12}"
    ):
        read_manifest(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin' is missing"):
        read_manifest(folder)


def test_a_file_name_cannot_leave_the_folder(folder: Path) -> None:
    write_manifest(folder, manifest_of({"../weights.bin": "0"}))
    with pytest.raises(ModelError, match="missing"):
        read_manifest(folder)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": "x"}', b"\xff\xfe", DEEP])
def test_a_damaged_manifest_is_one_sentence(folder: Path, damage: bytes) -> None:
    (folder / MANIFEST_NAME).write_bytes(damage)
    with pytest.raises(ModelError, match="damaged"):
        read_manifest(folder)


def test_an_empty_folder_says_how_to_make_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="langpose-rt export"):
        read_manifest(tmp_path)


def test_a_manifest_of_another_version_names_both(folder: Path) -> None:
    write_manifest(folder, manifest_of({}, version=9))
    with pytest.raises(ModelError, match="version 9, this langpose-rt reads 1"):
        read_manifest(folder)


@pytest.mark.parametrize("change", [{"heads": "8"}, {"heads": 0}, {"width": None}, {"flux": 1}])
def test_a_config_that_is_none_is_one_sentence(folder: Path, change: dict[str, object]) -> None:
    manifest = manifest_of({})
    manifest.config.update(change)
    write_manifest(folder, manifest)
    with pytest.raises(ModelError, match="is damaged"):
        read_manifest(folder)


def test_a_product_without_a_hash_is_refused(folder: Path) -> None:
    parity = Parity(clip="x", frames=1, mean_mm=0.0, worst_mm=0.0)
    product = Product(encoder="/etc/passwd", lifter="weights.bin", parity=parity)
    write_manifest(folder, msgspec.structs.replace(manifest_of({}), products={"fp32": product}))
    with pytest.raises(ModelError, match="without its hash"):
        read_manifest(folder)


def test_a_model_without_engines_is_written_as_before_there_were_any(tmp_path: Path) -> None:
    manifest = read_manifest(DEFAULT_MODEL)
    write_manifest(tmp_path, manifest)
    assert manifest.engines == {}
    written, shipped = (folder / MANIFEST_NAME for folder in (tmp_path, DEFAULT_MODEL))
    assert written.read_bytes() == shipped.read_bytes()


def test_an_engine_reads_back_as_it_was_written_and_is_no_part_of_the_models_hash(
    folder: Path,
) -> None:
    part = EnginePart(
        file="encoder.engine", sha256="0", size_bytes=1, graph_sha256="0", build_s=1.5,
        network_half=0.4, engine_half=None, inputs={"rows": "float32[batch,17,3]"}, outputs={},
        flags=[],
    )  # fmt: skip
    engine = Engine(
        flavor="rtx", version="1.7", targets=["8.9"], gpu=None, driver=None, model_sha256="0",
        optimization_level=5, profiles=[Profile(smallest=1, typical=1, largest=1)],
        encoder=part, lifter=part, made_by="test", command="test", date="2026-01-01",
    )  # fmt: skip
    parity = EngineParity(
        clip="c", frames=1, mean_mm=0.1, worst_mm=0.2, evaluator="e", reference="r"
    )
    before = read_manifest(folder)
    product = EngineProduct(engine=engine, parity=parity)
    write_manifest(folder, msgspec.structs.replace(before, engines={"rtx-sm89": product}))
    assert read_manifest(folder).engines == {"rtx-sm89": product}
    assert read_manifest(folder).sha256 == before.sha256
