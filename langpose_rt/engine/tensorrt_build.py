"""An ONNX graph becomes an engine; for both TensorRTs, the imported module is an argument.

Written for TensorRT 11 and TensorRT-RTX 1.7: strongly typed networks only, so that precision is in
the graph and no flag asks for it. The same calls exist in TensorRT from 10.12 on. TensorRT reports
failures as log lines and an empty answer; here they become one `BuildError`.
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
"""Called with the outermost phase of the builder, its steps done, and its steps."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One built engine.

    Attributes:
        data: The serialised engine.
        timing_cache: To be given to the next build; empty where there is none.
        half_share: Share of half among the layer outputs of the parsed network.
        inputs, outputs: Type and shape by name.
        flags: Builder flags that were set.
        build_s: Seconds it took.
    """

    data: bytes
    timing_cache: bytes
    half_share: float
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
        trt: ``tensorrt`` or ``tensorrt_rtx``; a driver must have been found before, except for
            the latter.
        graph: Serialised ONNX model whose every input has a batch in front.
        config: Profiles, architectures, effort.
        flavor: Of trt.
        name: What errors call the network.
        timing_cache: From an earlier build on this machine; ignored where it does not fit.
        progress: Told how far the builder is.

    Raises:
        BuildError: With everything TensorRT complained about.
        KeyboardInterrupt: As soon as the builder notices.
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
        half_share=fp16_share_of_network(trt, network),
        inputs=inputs,
        outputs=outputs,
        flags=_flags(trt, settings),
        build_s=time.monotonic() - started_s,
    )


def timing_cache_of(settings: Any, earlier: bytes) -> Any:
    """The timing cache a build starts from: an earlier one if it fits, else an empty one.

    TensorRT itself compares GPU, version and flags, and refuses what was measured elsewhere.
    """
    for data in (earlier, b""):
        cache = settings.create_timing_cache(data)
        if cache is not None and settings.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None


def engine_information(trt: Any, data: bytes) -> str:
    """What the inspector says of a built engine, as JSON; needs the GPU it was built for.

    Raises:
        BuildError: If the engine cannot be opened.
    """
    log = _build_log(trt, "the built engine cannot be opened")
    engine = trt.Runtime(log).deserialize_cuda_engine(data)
    if engine is None:
        raise log.error()
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _build_log(trt: Any, what: str) -> Any:
    """A logger that keeps what was wrong; its class needs the module for its base."""

    class BuildLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self._lines.append(" ".join(message.split()))

        def error(self, detail: str = "") -> BuildError:
            reasons = "; ".join(dict.fromkeys(self._lines)) or "it gave no reason"
            return BuildError(f"{what}{detail}: {reasons}")

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
    settings.clear_flag(trt.BuilderFlag.TF32)  # islands are float32, and TF32 has half's digits
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
    if settings.add_optimization_profile(added) < 0:  # and no exception
        raise log.error(f" for batches {sizes}")


def _built(
    trt: Any, builder: Any, network: Any, settings: Any, progress: Progress | None
) -> Any | None:
    """Build on a thread of its own, and let an interrupt end it in an orderly way.

    TensorRT swallows an exception that is raised while it calls back, and an interrupt would be
    lost there; so this thread only waits for one, and tells the monitor.
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
    """Reports the outermost phase, and ends the build once something has been stopped."""
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
