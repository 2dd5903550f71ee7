"""Model manifest: metadata, hashes and parity of a model folder.

A model folder has a ``manifest.json`` and the files it names with their hashes. Opening a model
checks the manifest first, so that a damaged or mismatched file is an error, never a wrong pose.

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
    """Deviation of a product's poses from float32 torch, on a clip of real keypoints."""

    clip: str
    frames: int
    mean_mm: float
    worst_mm: float


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """Files and parity of one precision of a model."""

    encoder: str
    lifter: str
    parity: Parity


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An optimization profile of an engine: smallest, typical and largest batch."""

    smallest: int
    typical: int
    largest: int


class EnginePart(msgspec.Struct, frozen=True, kw_only=True):
    """Encoder or lifter as a built engine file.

    Attributes:
        file, sha256, size_bytes: The engine file.
        graph_sha256: Hash of the FP16 ONNX graph it was built from.
        build_s: Seconds the builder took.
        network_half: Share of FP16 among the layer outputs of the parsed network.
        engine_half: The same of the built engine; None where no GPU could open it.
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
    """Build record of an engine: model, builder, targets and files.

    Attributes:
        flavor: ``tensorrt`` or ``rtx``.
        version: Version of the TensorRT that built it.
        targets: Compute capabilities it runs on, as ``8.9``.
        gpu: Name of the GPU it was built on; None where there was none (rtx only).
        driver: Driver of that machine, likewise.
        model_sha256: `Manifest.sha256` of the model.
        optimization_level: Optimization level of the builder.
        profiles: Optimization profiles, in the order of the engine.
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
    """Parity of an engine, with the names of the evaluators.

    Attributes:
        evaluator: Evaluator of the engine's poses: the engine on a GPU, or its FP16 graph.
        reference: Evaluator of the float32 poses.
    """

    evaluator: str
    reference: str


class EngineProduct(msgspec.Struct, frozen=True, kw_only=True):
    """An engine with the parity that its acceptance requires."""

    engine: Engine
    parity: EngineParity


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Metadata, file hashes and products of a model folder.

    Attributes:
        version: Layout of this file.
        name: Name of the model.
        made_by: langpose-rt version that wrote it.
        command: Command that wrote it.
        date: ISO date of writing.
        config: `ModelConfig` as plain values.
        card: Model card of the weights: data, licences, seed, command, validation.
        files: SHA-256 of every file.
        products: Precision (``fp32``) to its files and parity.
        opset: ONNX operator set.
        ray_refinement: Parameters of the refinement towards the 2D; None turns it off.
        engines: Name to engine, made by `build-engine`. Their files are not in ``files``: an engine
            that does not fit this machine leaves the model usable.
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
        """Model configuration."""
        return config_from_dict(self.config)

    @property
    def sha256(self) -> str:
        """Hash of the whole model: the hash of its files' hashes."""
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
    """Return the SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder atomically."""
    part = folder / (MANIFEST_NAME + ".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    part.replace(folder / MANIFEST_NAME)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a model folder and check its files against their hashes.

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
    except (msgspec.DecodeError, ConfigError, RecursionError) as error:
        raise ModelError(f"{path} is damaged ({error}); export the model again") from error
    if manifest.version != MANIFEST_VERSION:
        raise ModelError(
            f"{path} has version {manifest.version}, this langpose-rt reads {MANIFEST_VERSION}; "
            "export the model again"
        )
    try:
        manifest.model_config  # noqa: B018 - checks the configuration
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
    """Check that a file is present, undamaged and inside its folder.

    Args:
        folder: Folder of the file.
        name: File name without a path.
        expected: Expected SHA-256.
        repair: Next step, the end of the error message.

    Raises:
        ModelError: If it is missing or differs from the manifest.
    """
    if not _PLAIN_NAME.fullmatch(name) or not (folder / name).is_file():
        raise ModelError(f"model file {name!r} is missing from {folder}; {repair}")
    found = file_sha256(folder / name)
    if found != expected:
        raise ModelError(
            f"{folder / name} is damaged: its hash is {found[:12]}, "
            f"the manifest says {expected[:12]}; {repair}"
        )
