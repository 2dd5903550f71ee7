"""langpose-rt: live 2D keypoints in, 3D human poses out.

The names of the public interface are loaded when they are first used, so that importing the package
loads neither ZeroMQ nor a model runtime.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langpose_rt.client.control import ControlClient
    from langpose_rt.client.publisher import RigPublisher
    from langpose_rt.client.subscriber import PoseSubscriber
    from langpose_rt.pipeline.offline import lift_clip
    from langpose_rt.runtime.registry import open_backend

__version__ = "0.1.0"

__all__ = ["ControlClient", "PoseSubscriber", "RigPublisher", "lift_clip", "open_backend"]

_HOMES = {
    "ControlClient": "langpose_rt.client.control",
    "PoseSubscriber": "langpose_rt.client.subscriber",
    "RigPublisher": "langpose_rt.client.publisher",
    "lift_clip": "langpose_rt.pipeline.offline",
    "open_backend": "langpose_rt.runtime.registry",
}

# ONNX Runtime's wheels report to Microsoft by default and keep an identifier of the machine on
# disk; it reads this once, when it is imported. Setting it to 0 allows the reports.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
