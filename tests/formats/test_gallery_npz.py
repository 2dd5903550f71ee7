"""Galleries of action sentences: read back, and refused where they do not fit."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.gallery_npz import Gallery, gallery_from_file
from langpose_rt.manifest import Manifest
from tests.fakes import FakeBackend

AXES = np.eye(4, dtype=np.float32)
GALLERY = Gallery(labels=("bow", "run", "walk", "wave"), embeddings=AXES)


@pytest.fixture
def manifest() -> Manifest:
    made = FakeBackend().manifest
    config = replace(made.model_config, embedding=4).to_dict()
    return msgspec.structs.replace(made, card={"text_sha256": "abc"}, config=config)


def write(path: Path, **changes: object) -> Path:
    stored = {"labels": np.array(GALLERY.labels), "embeddings": AXES, "text_sha256": "abc"}
    np.savez(path, **(stored | changes))  # type: ignore[arg-type]
    return path


def test_a_gallery_comes_back_as_it_was_written(tmp_path: Path, manifest: Manifest) -> None:
    found = gallery_from_file(write(tmp_path / "actions.npz"), manifest)
    assert found.labels == GALLERY.labels
    np.testing.assert_array_equal(found.embeddings, AXES)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"text_sha256": "xyz"}, "belongs to text encoder xyz"),
        ({"embeddings": AXES[:, :3]}, "expects 4 channels"),
        ({"embeddings": AXES * 2}, "unit length"),
        ({"embeddings": AXES * np.nan}, "unit length"),
        ({"labels": np.array(["x" * 81, "run", "walk", "wave"])}, "81 characters"),
        ({"labels": np.array([{}], object)}, "cannot be read"),
    ],
)
def test_a_gallery_that_does_not_fit_is_one_sentence(
    tmp_path: Path, manifest: Manifest, changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as said:
        gallery_from_file(write(tmp_path / "actions.npz", **changes), manifest)
    assert "\n" not in str(said.value)


def test_a_damaged_file_and_a_model_without_text_are_said(
    tmp_path: Path, manifest: Manifest
) -> None:
    path = write(tmp_path / "actions.npz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ConfigError, match="damaged"):
        gallery_from_file(path, manifest)
    with pytest.raises(ConfigError, match="not aligned with text"):
        gallery_from_file(write(path), msgspec.structs.replace(manifest, card={}))
