"""What every product says of itself: one JSON file beside the files it vouches for.

A *product* is a folder: ``manifest.json`` and the files it names with their hashes. Opening a
product checks the manifest first, so that a damaged or mismatched file is one sentence and never a
wrong pose.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from langpose_rt.config import ModelConfig, config_from_dict
from langpose_rt.errors import ConfigError, ModelError

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far a product's poses are from float32 torch, on a clip of real keypoints."""

    clip: str
    frames: int
    mean_mm: float
    worst_mm: float


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """One precision of a model: which file does what, and how exact it is."""

    encoder: str
    lifter: str
    parity: Parity


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a model folder.

    Attributes:
        version: Layout of this file.
        name: What people call the model.
        made_by: langpose-rt version that wrote it.
        command: Command that wrote it.
        date: ISO date of writing.
        config: `ModelConfig` as plain values.
        card: Of the weights: data, licences, seed, command, validation.
        files: SHA-256 of every file.
        products: Precision (``fp32``, ``int8``) to its files and parity.
        opset: ONNX operator set.
    """

    version: int
    name: str
    made_by: str
    command: str
    date: str
    config: dict[str, Any]
    card: dict[str, Any]
    files: dict[str, str]
    products: dict[str, Product]
    opset: int

    @property
    def model_config(self) -> ModelConfig:
        """The model's config."""
        return config_from_dict(self.config)

    @property
    def sha256(self) -> str:
        """One hash for the whole model: of its files' hashes."""
        return hashlib.sha256("".join(sorted(self.files.values())).encode()).hexdigest()

    @property
    def longest_lookahead_ms(self) -> float | None:
        """Lookahead the weights were trained for; None where the card does not say."""
        lag_s = self.card.get("training", {}).get("loss", {}).get("longest_lag_s")
        return None if lag_s is None else 1000.0 * float(lag_s)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder, whole or not at all."""
    part = folder / (MANIFEST_NAME + ".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    part.replace(folder / MANIFEST_NAME)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder, after checking that its files are the ones it names.

    Raises:
        ModelError: If the folder, the manifest or a file is missing, damaged or changed.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ModelError(
            f"no model at {folder}: expected a folder with {MANIFEST_NAME}; "
            "make one with 'langpose-rt export CHECKPOINT --out FOLDER'"
        )
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path} is damaged ({error}); export the model again") from error
    if manifest.version != MANIFEST_VERSION:
        raise ModelError(
            f"{path} has version {manifest.version}, this langpose-rt reads {MANIFEST_VERSION}; "
            "export the model again"
        )
    try:
        manifest.model_config  # noqa: B018 - said now or never
    except ConfigError as error:
        raise ModelError(f"{path} is damaged ({error}); export the model again") from error
    for name, expected in manifest.files.items():
        _check_file(folder, name, expected)
    for product in manifest.products.values():
        for name in (product.encoder, product.lifter):
            if name not in manifest.files:
                raise ModelError(f"{path} names {name!r} without its hash; export the model again")
    return manifest


def _check_file(folder: Path, name: str, expected: str) -> None:
    if not _PLAIN_NAME.fullmatch(name) or not (folder / name).is_file():
        raise ModelError(f"model file {name!r} is missing from {folder}; export the model again")
    found = file_sha256(folder / name)
    if found != expected:
        raise ModelError(
            f"{folder / name} is damaged: its hash is {found[:12]}, "
            f"the manifest says {expected[:12]}; export the model again"
        )
