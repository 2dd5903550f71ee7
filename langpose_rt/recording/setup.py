"""Setup of a recording: everything besides the messages that poses depend on."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import msgspec

import langpose_rt
from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.responder import stamp_of_backend
from langpose_rt.protocol.messages import ModelStamp
from langpose_rt.runtime.backend import Backend

_LIBRARIES = ("numpy", "onnxruntime", "scipy")


def this_machine() -> dict[str, str]:
    """Return the processor, instruction set and library versions that decide rounding."""
    from langpose_rt.runtime.native import instruction_sets

    machine = {"processor": _processor(), "python": platform.python_version()}
    machine["native step"] = next(iter(instruction_sets()), "not built")
    for name in _LIBRARIES:
        try:
            machine[name] = version(name)
        except PackageNotFoundError:
            machine[name] = "not installed"
    return machine


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a kernel file
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


@dataclass(frozen=True, kw_only=True)
class RecordedSetup:
    """Setup of a server at its start; only the epoch is random.

    Attributes:
        pipeline: Pipeline options.
        model: Model, with the hash of its files.
        slots, threads: Options of the backend.
        cameras: Text of the camera file; empty without one.
        volumes: Texts of the camera files by the names of their capture volumes, instead of
            `cameras`.
        up: Up axis given for the world of the cameras; empty without one.
        gallery: File of action sentences; empty without one.
        version: Version of langpose-rt.
        machine: Processor and library versions; poses are equal bit for bit if these are equal.
        epoch: Epoch of the server.
        keys: Public keys by pinned name at the start; empty without keys.
    """

    pipeline: PipelineConfig
    model: ModelStamp
    slots: int = 64
    threads: int = 1
    cameras: str = ""
    volumes: dict[str, str] = field(default_factory=dict)
    up: str = ""
    gallery: bytes = b""
    version: str = langpose_rt.__version__
    machine: dict[str, str] = field(default_factory=this_machine)
    epoch: int = 0
    keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        backend: Backend,
        pipeline: PipelineConfig,
        *,
        threads: int,
        volumes: Mapping[str, str] | None = None,
        up: str = "",
        gallery: bytes = b"",
    ) -> "RecordedSetup":
        """Return the setup of a server that is about to start."""
        return cls(
            pipeline=pipeline,
            model=stamp_of_backend(backend),
            slots=backend.slots,
            threads=threads,
            volumes=dict(volumes or {}),
            up=up,
            gallery=gallery,
        )

    def to_facts(self) -> dict[str, str]:
        """Encode the setup as the texts stored in a recording."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return {
            name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in values.items()
        }


def setup_from_facts(facts: Mapping[str, str]) -> RecordedSetup:
    """Decode the setup stored in a recording.

    Raises:
        ConfigError: If the recording has none, because `serve --record` did not write it.
    """
    if "pipeline" not in facts:
        raise ConfigError(
            "the recording holds poses without the keypoints they came from; "
            "record with 'langpose-rt serve --record FILE.mcap' to replay"
        )
    texts = ("cameras", "up", "gallery", "version")
    try:
        values = {
            name: text if name in texts else msgspec.json.decode(text)
            for name, text in facts.items()
        }
        return msgspec.convert(values, RecordedSetup)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigError(f"the recording's setup is damaged: {error}") from None
