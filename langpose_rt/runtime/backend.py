"""The protocol every backend honours, and how one is opened.

A backend owns the sliding windows of its persons. `encode` takes the newest frame of any number of
persons and remembers it; `lift` answers for a frame that is remembered. Persons are slots; which
person is in which slot is the caller's business.
"""

import logging
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.manifest import Manifest

DEFAULT_MODEL = Path(__file__).parent.parent / "assets" / "live"
"""The model that ships with the package."""

GPU_BACKENDS = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
"""Backends that run engines, and their flavor (`langpose_rt.runtime.tensorrt_flavor`)."""

BACKENDS = ("auto", *GPU_BACKENDS, "onnx", "torch")
PRECISIONS = ("auto", "fp32", "fp16", "int8")
"""``auto`` is fp16 for engines and fp32 for the others."""


log = logging.getLogger(__name__)


@runtime_checkable
class Backend(Protocol):
    """What computes poses; called from one thread at a time, but not always from the same one.

    Attributes:
        name: One of BACKENDS, but ``auto``.
        precision: One of PRECISIONS, but ``auto``.
        manifest: Of the model it runs.
        slots: Persons it can remember at once.
        frames: Frames it remembers of each person; `lift` reaches back at most ``frames - 1``.
    """

    name: str
    precision: str
    manifest: Manifest
    slots: int
    frames: int

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch 7"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """Take the newest frame of the given persons into their windows.

        Args:
            rows: Anchored rows, from `langpose_rt.geometry.person_frame.anchor_step`.
            extras: Anchored extras.
            slots: Distinct slots of the persons.
            time_ns: Capture times since the stream's origin; rising per slot.

        Returns:
            Projected motion embedding; a new array.

        Raises:
            BackendError: If the computation failed; windows of these slots should be reset.
        """
        ...

    def lift(
        self,
        slots: Int[np.ndarray, " batch"],
        frames_back: Int[np.ndarray, " batch"],
        lag_s: Float[np.ndarray, " batch"],
    ) -> tuple[Float[np.ndarray, "batch 17 3"], Float[np.ndarray, "batch 17"]]:
        """Pose of a remembered frame of each given slot; slots may repeat.

        Args:
            slots: Slots that have at least one frame.
            frames_back: 0 answers for the newest frame, 1 for the one before it.
            lag_s: Time from the answered frame to the newest one.

        Returns:
            Root-relative pose in body units and anchored axes of the answered frame, and the
            joints' standard deviation in body units; new arrays.
        """
        ...

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Forget everything about the given slots."""
        ...

    def close(self) -> None:
        """Release what the backend holds; it cannot be used afterwards."""
        ...
