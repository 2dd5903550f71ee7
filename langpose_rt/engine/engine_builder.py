"""Build the engines of a model in a scratch folder, validate them, and register them.

Engines are stored in the model folder beside the ONNX graphs, so the folder runs with and without a
GPU.
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
from langpose_rt.runtime.parity import ParityClip, parity
from langpose_rt.runtime.registry import open_backend
from langpose_rt.runtime.tensorrt_flavor import Flavor
from langpose_rt.runtime.tensors import encoder_io, lifter_io

RunEngine = Callable[[Path, Manifest, Engine], Backend]
"""Opens an engine from its files in a folder; it is not in a manifest yet."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """TensorRT module, flavor and GPU of a build.

    Attributes:
        trt: Imported TensorRT module.
        flavor: Flavor of trt.
        gpu: GPU of this machine, if any.
        run_engine: Opens a built engine on this machine; None if that is not possible.
    """

    trt: Any
    flavor: Flavor
    gpu: Gpu | None
    run_engine: RunEngine | None = None

    def runs(self, targets: Sequence[str]) -> bool:
        """Return True if an engine for these compute capabilities runs on this machine."""
        return self.gpu is not None and self.gpu.compute_capability in targets


def engine_name(flavor: Flavor, config: BuildConfig) -> str:
    """Return the name of an engine in the manifest and in its file names."""
    targets = (target.replace(".", "") for target in config.targets)
    return "-".join((flavor.name, *(f"sm{target}" for target in targets)))


def existing_engine(
    source: Path, folder: Path, tools: Toolchain, config: BuildConfig
) -> tuple[EngineProduct | None, list[str]]:
    """Find the engine a build would replace.

    Returns:
        The engine of that name in the folder, if any, and the reasons to build it again, each with
        the present and the requested value; without a reason it is up to date.

    Raises:
        ModelError: If a model is missing or damaged.
    """
    requested = _build_fields(read_manifest(source), tools, config)
    if not (folder / MANIFEST_NAME).is_file():
        return None, []
    product = read_manifest(folder).engines.get(engine_name(tools.flavor, config))
    if product is None:
        return None, []
    engine = product.engine
    reasons = [
        f"{name} was {getattr(engine, name)}, is {value}"
        for name, value in requested.items()
        if getattr(engine, name) != value
    ]
    try:
        for part in (engine.encoder, engine.lifter):
            check_file(folder, part.file, part.sha256, repair="building it again")
    except ModelError as error:
        reasons.append(str(error))
    return product, reasons


def build_engine_folder(
    source: Path,
    folder: Path,
    tools: Toolchain,
    config: BuildConfig,
    clip: ParityClip,
    *,
    command: str,
    progress: Progress | None = None,
) -> EngineProduct:
    """Build, validate and register the engine of a model.

    Args:
        source: Model folder.
        folder: Target folder for model and engine; may be the source. Created if missing.
        tools: TensorRT module and GPU.
        config: Build options.
        clip: Real keypoints the parity is measured on.
        command: Command line, written into the manifest.
        progress: Receives the progress of the build.

    Raises:
        ModelError: If the model is damaged, or the folder holds another one.
        ConfigError: If the folder cannot be written.
        BuildError: If an engine cannot be built or fails an acceptance check.
    """
    _copy_model(source, folder, read_manifest(source))
    build = _EngineBuild(folder, read_manifest(folder), tools, config, progress or _no_progress)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        built = Path(scratch)
        graphs = build.fp16_graphs()
        plans = {name: build.plan(name, graph) for name, graph in graphs.items()}
        parts = {name: build.part(name, plan, graphs[name], built) for name, plan in plans.items()}
        engine = Engine(
            **_build_fields(build.manifest, tools, config), encoder=parts["encoder"],
            lifter=parts["lifter"], command=command, date=datetime.date.today().isoformat(),
        )  # fmt: skip
        measured = build.parity(engine, graphs, built, clip)
        check_parity(measured)
        product = EngineProduct(engine=engine, parity=measured)
        build.install(built, product)
    return product


def _no_progress(_phase: str, _done: int, _steps: int) -> None:
    """Ignore progress."""


def _copy_model(source: Path, folder: Path, manifest: Manifest) -> None:
    """Copy the model's files and manifest, so that the target folder is complete by itself."""
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


def _build_fields(manifest: Manifest, tools: Toolchain, config: BuildConfig) -> dict[str, Any]:
    """Return the fields of `Engine` that determine the result of a build."""
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
class _EngineBuild:
    """Build of one engine: model folder, manifest, toolchain and options."""

    folder: Path
    manifest: Manifest
    tools: Toolchain
    config: BuildConfig
    progress: Progress

    @property
    def name(self) -> str:
        return engine_name(self.tools.flavor, self.config)

    def fp16_graphs(self) -> dict[str, onnx.ModelProto]:
        """Convert encoder and lifter to FP16 graphs."""
        product = self.manifest.products["fp32"]
        files = {"encoder": product.encoder, "lifter": product.lifter}
        return {name: onnx_to_fp16(onnx.load(self.folder / file)) for name, file in files.items()}

    def plan(self, network: str, graph: onnx.ModelProto) -> Plan:
        """Build one network; the timing cache stays in the folder for the next build."""

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
        """Write one built network after the checks of its types and tensors."""
        io = {"encoder": encoder_io, "lifter": lifter_io}[network]
        inputs, outputs = io(self.manifest.model_config)
        check_fp16_share(network, plan.fp16_share, "network")
        check_io(network, plan.inputs, inputs)
        check_io(network, plan.outputs, outputs)
        engine_fp16 = None
        if self.tools.runs(self.config.targets):
            information = engine_information(self.tools.trt, plan.data)
            engine_fp16 = fp16_share_of_engine(information, {*inputs, *outputs})
            check_fp16_share(network, engine_fp16, "engine")
        file = f"{network}.{self.name}.engine"
        (built / file).write_bytes(plan.data)
        return EnginePart(
            file=file,
            sha256=hashlib.sha256(plan.data).hexdigest(),
            size_bytes=len(plan.data),
            graph_sha256=hashlib.sha256(_bytes(graph)).hexdigest(),
            build_s=round(plan.build_s, 2),
            network_half=plan.fp16_share,
            engine_half=engine_fp16,
            inputs=plan.inputs,
            outputs=plan.outputs,
            flags=plan.flags,
        )

    def parity(
        self, engine: Engine, graphs: dict[str, onnx.ModelProto], built: Path, clip: ParityClip
    ) -> EngineParity:
        """Measure the parity of the engine if it runs on this machine, else of its FP16 graphs."""
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
        """Open the float32 reference: torch if it and the checkpoint exist, else the ONNX graph.

        They agree to 0.01 mm, see tests/runtime/test_parity.py.
        """
        checkpoint = any(name.endswith(".safetensors") for name in self.manifest.files)
        if checkpoint and find_spec("torch") and find_spec("safetensors"):
            return open_backend(self.folder, "torch", slots=1), "float32 torch"
        return open_backend(self.folder, "onnx", slots=1), "float32 ONNX Runtime"

    def install(self, built: Path, product: EngineProduct) -> None:
        """Move finished files into place; the manifest lists an engine only if its files exist."""
        others = {k: v for k, v in self.manifest.engines.items() if k != self.name}
        write_manifest(self.folder, msgspec.structs.replace(self.manifest, engines=others))
        for part in (product.engine.encoder, product.engine.lifter):
            (built / part.file).replace(self.folder / part.file)
        engines = {**others, self.name: product}
        write_manifest(self.folder, msgspec.structs.replace(self.manifest, engines=engines))


def _bytes(graph: onnx.ModelProto) -> bytes:
    return bytes(graph.SerializeToString(deterministic=True))
