"""Build an engine from an ONNX graph with TensorRT or TensorRT-RTX, passed as an imported module.

Written for TensorRT 11 and TensorRT-RTX 1.7: networks are strongly typed, so the graph sets the
precision and no flag does. The same calls exist in TensorRT from 10.12 on. TensorRT reports
failures as log lines and an empty result; here they become one `BuildError`.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from langpose_rt.engine.acceptance import fp16_share_of_network, io_of_network
from langpose_rt.engine.build_config import BuildConfig
from langpose_rt.errors import BuildError
from langpose_rt.manifest import Profile
from langpose_rt.runtime.tensorrt_flavor import Flavor

Progress = Callable[[str, int, int], None]
"""Receives the outermost phase of the builder, its finished steps, and its number of steps."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Result of building one network (TensorRT calls it a plan).

    Attributes:
        data: Serialised engine.
        timing_cache: Timing cache for the next build; may be empty.
        fp16_share: Share of FP16 among the layer outputs of the parsed network.
        inputs, outputs: Type and shape by name.
        flags: Builder flags that were set.
        build_s: Duration of the build in seconds.
    """

    data: bytes
    timing_cache: bytes
    fp16_share: float
    inputs: dict[str, str]
    outputs: dict[str, str]
    flags: list[str]
    build_s: float


def engine_from_onnx(
    trt: Any,
    graph: bytes,
    config: BuildConfig,
    flavor: Flavor,
    *,
    name: str,
    timing_cache: bytes = b"",
    progress: Progress | None = None,
) -> Plan:
    """Build one network.

    Args:
        trt: ``tensorrt``, which needs a driver, or ``tensorrt_rtx``.
        graph: Serialised ONNX model; the first dimension of every input is the batch.
        config: Profiles, architectures, optimization level.
        flavor: Flavor of trt.
        name: Name of the network in errors.
        timing_cache: Timing cache of an earlier build on this machine; ignored if it does not fit.
        progress: Receives the progress of the builder.

    Raises:
        BuildError: With all errors TensorRT logged.
        KeyboardInterrupt: When the builder has stopped after an interrupt.
    """
    started_s = time.monotonic()
    log = _build_log(trt, f"{flavor.title} cannot build the {name}")
    builder = trt.Builder(log)
    network = _parsed(trt, builder, graph, log)
    settings = builder.create_builder_config()
    _configure(trt, settings, config, flavor)
    for profile in config.profiles:
        _add_profile(builder, network, settings, profile, log)
    cache = None if flavor.builds_anywhere else timing_cache_of(settings, timing_cache)
    data = _built(trt, builder, network, settings, progress)
    if data is None:
        raise log.error()
    inputs, outputs = io_of_network(trt, network)
    return Plan(
        data=bytes(data),
        timing_cache=b"" if cache is None else bytes(cache.serialize()),
        fp16_share=fp16_share_of_network(trt, network),
        inputs=inputs,
        outputs=outputs,
        flags=_flags(trt, settings),
        build_s=time.monotonic() - started_s,
    )


def timing_cache_of(settings: Any, earlier: bytes) -> Any:
    """Set the timing cache of a build: an earlier one if it fits, else an empty one.

    TensorRT compares GPU, version and flags, and rejects a cache from another machine.
    """
    for data in (earlier, b""):
        cache = settings.create_timing_cache(data)
        if cache is not None and settings.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None


def engine_information(trt: Any, data: bytes) -> str:
    """Return the inspector's JSON of a built engine; needs the GPU it was built for.

    Raises:
        BuildError: If the engine cannot be opened.
    """
    log = _build_log(trt, "the built engine cannot be opened")
    engine = trt.Runtime(log).deserialize_cuda_engine(data)
    if engine is None:
        raise log.error()
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _build_log(trt: Any, failure: str) -> Any:
    """Return a logger that collects errors; its base class comes from the imported module."""

    class BuildLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self._lines.append(" ".join(message.split()))

        def error(self, detail: str = "") -> BuildError:
            reasons = "; ".join(dict.fromkeys(self._lines)) or "it gave no reason"
            return BuildError(f"{failure}{detail}: {reasons}")

    return BuildLog()


def _parsed(trt: Any, builder: Any, graph: bytes, log: Any) -> Any:
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    if not trt.OnnxParser(network, log).parse(graph):
        raise log.error()
    return network


def _configure(trt: Any, settings: Any, config: BuildConfig, flavor: Flavor) -> None:
    settings.builder_optimization_level = config.optimization_level
    settings.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    settings.clear_flag(
        trt.BuilderFlag.TF32
    )  # the islands need float32; TF32 has the precision of FP16
    if flavor.builds_anywhere:
        settings.num_compute_capabilities = len(config.targets)
        for index, target in enumerate(config.targets):
            capability = getattr(trt.ComputeCapability, "SM" + target.replace(".", ""))
            settings.set_compute_capability(capability, index)


def _add_profile(builder: Any, network: Any, settings: Any, profile: Profile, log: Any) -> None:
    added = builder.create_optimization_profile()
    sizes = (profile.smallest, profile.typical, profile.largest)
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        added.set_shape(tensor.name, *([size, *tuple(tensor.shape)[1:]] for size in sizes))
    if settings.add_optimization_profile(added) < 0:  # TensorRT raises no exception here
        raise log.error(f" for batches {sizes}")


def _built(
    trt: Any, builder: Any, network: Any, settings: Any, progress: Progress | None
) -> Any | None:
    """Build on a separate thread, so that an interrupt can stop the builder.

    TensorRT swallows exceptions raised in its callbacks, which would lose an interrupt; so this
    thread waits for the result and passes an interrupt on to the monitor.
    """
    stopped: list[BaseException] = []
    settings.progress_monitor = _monitor(trt, progress, stopped)
    with ThreadPoolExecutor(max_workers=1) as pool:
        building = pool.submit(builder.build_serialized_network, network, settings)
        try:
            data = building.result()
        except KeyboardInterrupt as error:
            stopped.append(error)
    if stopped:
        raise stopped[0]
    return data


def _monitor(trt: Any, progress: Progress | None, stopped: list[BaseException]) -> Any:
    """Return a monitor that reports the outermost phase and stops the build on request."""
    phases: dict[str, int] = {}

    def report(phase: str, done: int) -> None:
        try:
            if progress is not None and not stopped and phase in phases:
                progress(phase, done, phases[phase])
        except Exception as error:  # noqa: BLE001 - raised when the builder has ended
            stopped.append(error)

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                phases[phase] = steps
            report(phase, 0)

        def step_complete(self, phase: str, step: int) -> bool:
            report(phase, step + 1)
            return not stopped

        def phase_finish(self, phase: str) -> None:
            report(phase, phases.get(phase, 0))

    return Monitor()


def _flags(trt: Any, settings: Any) -> list[str]:
    members = trt.BuilderFlag.__members__
    return sorted(name for name, flag in members.items() if settings.get_flag(flag))
