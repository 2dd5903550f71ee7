"""What poses depend on besides the messages: the facts at the beginning of a recording."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import msgspec

import langpose_rt
from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.pose_builder import stamp_of_backend
from langpose_rt.protocol.messages import ModelStamp
from langpose_rt.runtime.backend import Backend

_LIBRARIES = ("numpy", "onnxruntime", "scipy")


def this_machine() -> dict[str, str]:
    """What decides the last bits of a sum: the processor and the libraries."""
    found = {"processor": _processor(), "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - no file of ours
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


@dataclass(frozen=True, kw_only=True)
class RecordedSetup:
    """A server as it was started. Nothing of it is random but its epoch.

    Attributes:
        pipeline: Its options.
        model: What computed, with the hash of its files.
        slots, threads: Of the backend.
        cameras: Text of the camera file; empty if there was none.
        up: Which way was said to be up in the world of the cameras; empty if nobody did.
        gallery: The file of action sentences; empty if there was none.
        version: Of langpose-rt.
        machine: Processor and versions of the libraries; poses are equal bit for bit where these
            are.
        epoch: Of the server.
        keys: Public keys by the names they were pinned to when it started; empty without keys.
    """

    pipeline: PipelineConfig
    model: ModelStamp
    slots: int = 64
    threads: int = 1
    cameras: str = ""
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
        cameras: str = "",
        up: str = "",
        gallery: bytes = b"",
    ) -> "RecordedSetup":
        """The setup of a server that is about to start."""
        return cls(
            pipeline=pipeline,
            model=stamp_of_backend(backend),
            slots=backend.slots,
            threads=threads,
            cameras=cameras,
            up=up,
            gallery=gallery,
        )

    def to_facts(self) -> dict[str, str]:
        """As the text that a recording holds."""
        values: dict[str, object] = msgspec.to_builtins(self)
        return {
            name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in values.items()
        }


def setup_from_facts(facts: Mapping[str, str]) -> RecordedSetup:
    """The setup a recording tells of.

    Raises:
        ConfigError: If it tells of none: only `serve --record` knows it.
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
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"the recording's setup is damaged: {error}") from None
