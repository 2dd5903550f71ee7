"""Engines of a model: built in a scratch folder, proved, and only then put into the manifest.

The product is the model folder itself with engines beside its graphs, so one folder serves with and
without a GPU.
"""

import datetime
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import onnx

import langpose_rt
from langpose_rt.engine.acceptance import (
    check_fp16_share,
    check_io,
    check_parity,
    fp16_share_of_engine,
)
from langpose_rt.engine.build_config import BuildConfig
from langpose_rt.engine.fp16_graph import onnx_to_fp16
from langpose_rt.engine.fp16_reference import EVALUATOR, fp16_backend
from langpose_rt.engine.parity import ParityClip, parity
from langpose_rt.engine.tensorrt_build import Plan, Progress, engine_from_onnx, engine_information
from langpose_rt.errors import BackendError, BuildError, ConfigError, ModelError
from langpose_rt.manifest import (
    MANIFEST_NAME,
    Engine,
    EngineParity,
    EnginePart,
    EngineProduct,
    Manifest,
    check_file,
    read_manifest,
    write_manifest,
)
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.registry import open_backend
from langpose_rt.runtime.tensorrt_flavor import Flavor
from langpose_rt.runtime.tensors import encoder_io, lifter_io

RunEngine = Callable[[Path, Manifest, Engine], Backend]
"""Opens an engine whose files lie in a folder; it has no parity yet and is in no manifest."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """What builds.

    Attributes:
        trt: The imported module.
        flavor: Which one it is.
        gpu: Of this machine, if any.
        run_engine: How a built engine is run here; None where nothing can.
    """

    trt: Any
    flavor: Flavor
    gpu: Gpu | None
    run_engine: RunEngine | None = None

    def runs(self, targets: Sequence[str]) -> bool:
        """Whether an engine for these compute capabilities can be opened here."""
        return self.gpu is not None and self.gpu.compute_capability in targets


def engine_name(flavor: Flavor, config: BuildConfig) -> str:
    """What an engine is called in the manifest and in its files' names."""
    targets = (target.replace(".", "") for target in config.targets)
    return "-".join((flavor.name, *(f"sm{target}" for target in targets)))


def present_engine(
    source: Path, folder: Path, tools: Toolchain, config: BuildConfig
) -> tuple[EngineProduct | None, list[str]]:
    """What a build of a model would replace.

    Returns:
        The engine of that name in the folder, if any, and why it must be built again, each with
        what it was and what is wanted; no reason means that it is the one wanted.

    Raises:
        ModelError: If a model is missing or damaged.
    """
    purpose = _purpose(read_manifest(source), tools, config)
    if not (folder / MANIFEST_NAME).is_file():
        return None, []
    product = read_manifest(folder).engines.get(engine_name(tools.flavor, config))
    if product is None:
        return None, []
    engine = product.engine
    reasons = [
        f"{name} was {getattr(engine, name)}, is {value}"
        for name, value in purpose.items()
        if getattr(engine, name) != value
    ]
    try:
        for part in (engine.encoder, engine.lifter):
            check_file(folder, part.file, part.sha256, repair="building it again")
    except ModelError as error:
        reasons.append(str(error))
    return product, reasons


def build_product(
    source: Path,
    folder: Path,
    tools: Toolchain,
    config: BuildConfig,
    clip: ParityClip,
    *,
    command: str,
    progress: Progress | None = None,
) -> EngineProduct:
    """Build, prove and install the engine of a model.

    Args:
        source: Model folder.
        folder: Where the engine goes, with the model; may be the source. Made if missing.
        tools: What builds.
        config: What for.
        clip: Real keypoints the parity is measured on.
        command: Written into the manifest.
        progress: Told how far it is.

    Raises:
        ModelError: If the model is damaged, or the folder holds another one.
        ConfigError: If the folder cannot be written.
        BuildError: If an engine cannot be built or does not prove what it must.
    """
    _copy_model(source, folder, read_manifest(source))
    job = _Job(folder, read_manifest(folder), tools, config, progress or _silent)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        built = Path(scratch)
        graphs = job.half_graphs()
        plans = {name: job.plan(name, graph) for name, graph in graphs.items()}
        parts = {name: job.part(name, plan, graphs[name], built) for name, plan in plans.items()}
        engine = Engine(
            **_purpose(job.manifest, tools, config), flags=plans["encoder"].flags,
            encoder=parts["encoder"], lifter=parts["lifter"], command=command,
            date=datetime.date.today().isoformat(),
        )  # fmt: skip
        measured = job.parity(engine, graphs, built, clip)
        check_parity(measured)
        product = EngineProduct(engine=engine, parity=measured)
        job.install(built, product)
    return product


def _silent(_doing: str, _done: int, _steps: int) -> None:
    """Progress that nobody watches."""


def _copy_model(source: Path, folder: Path, manifest: Manifest) -> None:
    """The model's own files, so that the folder is a model without the one it came from."""
    if (folder / MANIFEST_NAME).is_file():
        other = read_manifest(folder)
        if other.sha256 != manifest.sha256:
            raise ModelError(
                f"{folder} holds model {other.name!r} ({other.sha256[:12]}), not {manifest.name!r} "
                f"({manifest.sha256[:12]}); choose another --out, or delete {folder}"
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in manifest.files:
            shutil.copyfile(source / name, folder / name)
        write_manifest(folder, msgspec.structs.replace(manifest, engines={}))
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror}; choose another --out"
        ) from None


def _purpose(manifest: Manifest, tools: Toolchain, config: BuildConfig) -> dict[str, Any]:
    """Everything that decides what the builder makes, as fields of `Engine`."""
    return {
        "flavor": tools.flavor.name,
        "version": tools.trt.__version__,
        "targets": list(config.targets),
        "gpu": tools.gpu.name if tools.gpu else None,
        "driver": tools.gpu.driver if tools.gpu else None,
        "model_sha256": manifest.sha256,
        "optimization_level": config.optimization_level,
        "profiles": config.profiles,
        "made_by": f"langpose-rt {langpose_rt.__version__}",
    }


@dataclass(frozen=True)
class _Job:
    """One build: what, where, for what, with what."""

    folder: Path
    manifest: Manifest
    tools: Toolchain
    config: BuildConfig
    progress: Progress

    @property
    def name(self) -> str:
        return engine_name(self.tools.flavor, self.config)

    def half_graphs(self) -> dict[str, onnx.ModelProto]:
        """Encoder and lifter as FP16 graphs."""
        product = self.manifest.products["fp32"]
        files = {"encoder": product.encoder, "lifter": product.lifter}
        return {name: onnx_to_fp16(onnx.load(self.folder / file)) for name, file in files.items()}

    def plan(self, network: str, graph: onnx.ModelProto) -> Plan:
        """The built network; what the builder measured stays in the folder for the next build."""

        def report(phase: str, done: int, steps: int) -> None:
            self.progress(f"{network}: {phase.lower()}", done, steps)

        cache = self.folder / f"{self.name}.cache"
        plan = engine_from_onnx(
            self.tools.trt, _bytes(graph), self.config, self.tools.flavor, name=network,
            timing_cache=cache.read_bytes() if cache.is_file() else b"", progress=report,
        )  # fmt: skip
        if plan.timing_cache:
            part = cache.with_name(cache.name + ".part")
            part.write_bytes(plan.timing_cache)
            part.replace(cache)
        return plan

    def part(self, network: str, plan: Plan, graph: onnx.ModelProto, built: Path) -> EnginePart:
        """Write one built network, after checking its types and tensors."""
        io = {"encoder": encoder_io, "lifter": lifter_io}[network]
        inputs, outputs = io(self.manifest.model_config)
        check_fp16_share(network, plan.half_share, "network")
        check_io(network, plan.inputs, inputs)
        check_io(network, plan.outputs, outputs)
        engine_half = None
        if self.tools.runs(self.config.targets):
            information = engine_information(self.tools.trt, plan.data)
            engine_half = fp16_share_of_engine(information, {*inputs, *outputs})
            check_fp16_share(network, engine_half, "engine")
        file = f"{network}.{self.name}.engine"
        (built / file).write_bytes(plan.data)
        return EnginePart(
            file=file,
            sha256=hashlib.sha256(plan.data).hexdigest(),
            size_bytes=len(plan.data),
            graph_sha256=hashlib.sha256(_bytes(graph)).hexdigest(),
            build_s=round(plan.build_s, 2),
            network_half=plan.half_share,
            engine_half=engine_half,
            inputs=plan.inputs,
            outputs=plan.outputs,
        )

    def parity(
        self, engine: Engine, graphs: dict[str, onnx.ModelProto], built: Path, clip: ParityClip
    ) -> EngineParity:
        """Distance in mm from float32: of the engine where it runs, else of its graphs."""
        self.progress("parity", 0, 1)
        gpu, run_engine = self.tools.gpu, self.tools.run_engine
        if gpu is not None and run_engine is not None and self.tools.runs(self.config.targets):
            candidate: Backend = run_engine(built, self.manifest, engine)
            evaluator = f"the engine on {gpu.name}"
        else:
            candidate, evaluator = fp16_backend(**graphs, manifest=self.manifest), EVALUATOR
        reference, reference_name = self._reference()
        try:
            measured = parity(candidate, reference, clip)
        except BackendError as error:
            raise BuildError(f"the engine fails on real keypoints: {error}") from error
        finally:
            candidate.close()
            reference.close()
        self.progress("parity", 1, 1)
        return EngineParity(
            **msgspec.to_builtins(measured), evaluator=evaluator, reference=reference_name
        )

    def _reference(self) -> tuple[Backend, str]:
        """Float32: torch where it and the checkpoint are, else the float32 graph.

        They are equal to 0.01 mm, see tests/engine/test_int8.py.
        """
        checkpoint = any(name.endswith(".safetensors") for name in self.manifest.files)
        if checkpoint and find_spec("torch") and find_spec("safetensors"):
            return open_backend(self.folder, "torch", slots=1), "float32 torch"
        return open_backend(self.folder, "onnx", slots=1), "float32 ONNX Runtime"

    def install(self, built: Path, product: EngineProduct) -> None:
        """Move finished files into place; the manifest names an engine only while it is whole."""
        others = {k: v for k, v in self.manifest.engines.items() if k != self.name}
        write_manifest(self.folder, msgspec.structs.replace(self.manifest, engines=others))
        for part in (product.engine.encoder, product.engine.lifter):
            (built / part.file).replace(self.folder / part.file)
        engines = {**others, self.name: product}
        write_manifest(self.folder, msgspec.structs.replace(self.manifest, engines=engines))


def _bytes(graph: onnx.ModelProto) -> bytes:
    return bytes(graph.SerializeToString(deterministic=True))
