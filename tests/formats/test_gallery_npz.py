"""Action galleries: reading, and rejection of galleries that do not fit the model."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.gallery_npz import Gallery, check_gallery, gallery_from_file
from langpose_rt.manifest import Manifest
from tests.fakes import FakeBackend

AXES = np.eye(4, dtype=np.float32)
GALLERY = Gallery(labels=("bow", "run", "walk", "wave"), embeddings=AXES, text_sha256="abc")


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
    found = gallery_from_file(write(tmp_path / "actions.npz"))
    assert (found.labels, found.text_sha256) == (GALLERY.labels, "abc")
    np.testing.assert_array_equal(found.embeddings, AXES)
    check_gallery(found, manifest)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"embeddings": AXES[:3]}, "3 embeddings for 4 sentences"),
        ({"embeddings": AXES * 2}, "unit length"),
        ({"embeddings": AXES * np.nan}, "unit length"),
        ({"labels": np.array(["x" * 81, "run", "walk", "wave"])}, "81 characters"),
        ({"labels": np.array([{}], object)}, "cannot be read"),
    ],
)
def test_a_wrong_gallery_is_one_sentence(
    tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as said:
        gallery_from_file(write(tmp_path / "actions.npz", **changes))
    assert "\n" not in str(said.value)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "actions.npz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ConfigError, match="damaged"):
        gallery_from_file(path)


def test_a_gallery_of_another_model_is_refused(manifest: Manifest) -> None:
    with pytest.raises(ConfigError, match="not aligned with text"):
        check_gallery(GALLERY, msgspec.structs.replace(manifest, card={}))
    with pytest.raises(ConfigError, match="text encoder xyz with 4 channels"):
        check_gallery(replace(GALLERY, text_sha256="xyz"), manifest)
    with pytest.raises(ConfigError, match="with 3 channels"):
        check_gallery(replace(GALLERY, embeddings=AXES[:, :3]), manifest)
