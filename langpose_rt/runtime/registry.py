"""Which backend ``auto`` is: the fastest that this machine and this model allow, and why."""

from collections.abc import Callable
from pathlib import Path

from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import Manifest
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.gpu_info import why_no_gpu

Open = Callable[[str], Backend]
"""Opens a backend by name."""

PREFERRED = ("tensorrt", "tensorrt-rtx")
"""Tried in this order where there is a GPU; the CPU is what remains."""


Say = Callable[[str], None]
"""Told in one line which backend was taken, and why."""


def automatic_backend(open_named: Open, manifest: Manifest, folder: Path, *, say: Say) -> Backend:
    """The first of PREFERRED that opens, else ONNX Runtime.

    Args:
        open_named: Opens one by name.
        manifest: Of the model.
        folder: Of the model, for the sentence.
        say: Told which and why.

    Raises:
        ConfigError: If not even ONNX Runtime opens.
    """
    reason = why_no_gpu() or _why_no_engine(manifest, folder)
    if reason is not None:
        say(f"backend onnx: {reason}")
        return open_named("onnx")
    refusals = []
    for name in PREFERRED:
        try:
            backend = open_named(name)
        except (ConfigError, BackendError) as error:
            refusals.append(f"{name}: {error}")
            continue
        why = "; ".join(refusals) or "it fits this machine"
        say(f"backend {name}: {why}")
        return backend
    say(f"backend onnx: {'; '.join(refusals)}")
    return open_named("onnx")


def _why_no_engine(manifest: Manifest, folder: Path) -> str | None:
    if manifest.engines:
        return None
    return (
        f"{folder} has no engine; build one with "
        f"'langpose-rt build-engine --model {folder} --out {folder.parent}'"
    )
