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

from langpose_rt.config import ModelConfig, RayRefinement, config_from_dict
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


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One latency class of an engine: the batches it takes, and the one it is fastest at."""

    smallest: int
    typical: int
    largest: int


class EnginePart(msgspec.Struct, frozen=True, kw_only=True):
    """Encoder or lifter as a built file.

    Attributes:
        file, sha256, size_bytes: The engine.
        graph_sha256: Of the FP16 ONNX graph it was built from.
        build_s: Seconds the builder took.
        network_half: Share of half among the layer outputs of the network that was parsed.
        engine_half: The same of the built engine; None where no GPU could open it to look.
        inputs, outputs: Type and shape of every tensor, as ``float32[batch,17,3]``.
        flags: Builder flags that were set.
    """

    file: str
    sha256: str
    size_bytes: int
    graph_sha256: str
    build_s: float
    network_half: float
    engine_half: float | None
    inputs: dict[str, str]
    outputs: dict[str, str]
    flags: list[str]


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine was built from, for and with; it runs nowhere else.

    Attributes:
        flavor: ``tensorrt`` or ``rtx``.
        version: Of the TensorRT that built it.
        targets: Compute capabilities it runs on, as ``8.9``.
        gpu: Name of the GPU it was built on; None where there was none (rtx only).
        driver: Of that machine, likewise.
        model_sha256: Of the model, `Manifest.sha256`.
        optimization_level: Of the builder.
        profiles: Latency classes, in the order the engine holds them.
        encoder, lifter: The two files.
        made_by, command, date: As of a manifest.
    """

    flavor: str
    version: str
    targets: list[str]
    gpu: str | None
    driver: str | None
    model_sha256: str
    optimization_level: int
    profiles: list[Profile]
    encoder: EnginePart
    lifter: EnginePart
    made_by: str
    command: str
    date: str


class EngineParity(Parity, frozen=True, kw_only=True):
    """Parity of an engine, and on what it was measured.

    Attributes:
        evaluator: What computed the engine's poses: the engine itself on a GPU, or a stand-in.
        reference: What computed the float32 poses.
    """

    evaluator: str
    reference: str


class EngineProduct(msgspec.Struct, frozen=True, kw_only=True):
    """An engine, and the proof without which it is not written."""

    engine: Engine
    parity: EngineParity


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
        products: Precision (``fp32``) to its files and parity.
        opset: ONNX operator set.
        ray_refinement: How poses are moved towards their 2D after the network; None for not at all.
        engines: Name to what `build-engine` made. Their files are not in ``files``: an engine that
            does not fit this machine leaves the model whole.
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
    ray_refinement: RayRefinement | None = None
    engines: dict[str, EngineProduct] = {}

    @property
    def model_config(self) -> ModelConfig:
        """The model's config."""
        return config_from_dict(self.config)

    @property
    def sha256(self) -> str:
        """One hash for the whole model: of its files' hashes."""
        return hashlib.sha256("".join(sorted(self.files.values())).encode()).hexdigest()

    @property
    def licence(self) -> str:
        """Licence of the weights as the card states it, or "not stated"."""
        return str(self.card.get("licence", "not stated"))

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
    except (msgspec.DecodeError, ConfigError) as error:
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
        check_file(folder, name, expected, repair="export the model again")
    for product in manifest.products.values():
        for name in (product.encoder, product.lifter):
            if name not in manifest.files:
                raise ModelError(f"{path} names {name!r} without its hash; export the model again")
    return manifest


def check_file(folder: Path, name: str, expected: str, *, repair: str) -> None:
    """Refuse a file that is missing, damaged or outside its folder.

    Args:
        folder: Where it must be.
        name: A plain name.
        expected: Its SHA-256.
        repair: What the sentence ends with.

    Raises:
        ModelError: If it is not the file the manifest names.
    """
    if not _PLAIN_NAME.fullmatch(name) or not (folder / name).is_file():
        raise ModelError(f"model file {name!r} is missing from {folder}; {repair}")
    found = file_sha256(folder / name)
    if found != expected:
        raise ModelError(
            f"{folder / name} is damaged: its hash is {found[:12]}, "
            f"the manifest says {expected[:12]}; {repair}"
        )
