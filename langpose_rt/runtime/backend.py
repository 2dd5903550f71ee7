"""Backend protocol: the interface of everything that runs a model.

A backend owns the sliding windows of its persons. `encode` adds the newest frame of any number of
persons to their windows; `lift` predicts the pose of a frame in a window. Persons are addressed by
slot; the caller assigns persons to slots. The argument names ``rows`` (joint inputs) and ``extras``
(frame inputs) are those of the exported graphs.
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.manifest import Manifest

DEFAULT_MODEL = Path(__file__).parent.parent / "assets" / "live"
"""Model folder that ships with the package."""

GPU_BACKENDS = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
"""Name of each backend that runs engines to its TensorRT flavor."""

BACKENDS = ("auto", *GPU_BACKENDS, "native", "onnx", "torch")
PRECISIONS = ("auto", "fp32", "fp16")
"""``auto`` is fp16 for engines and fp32 for the others."""


@runtime_checkable
class Backend(Protocol):
    """Computes poses; called from one thread at a time, but not always from the same one.

    Attributes:
        name: One of BACKENDS except ``auto``.
        precision: One of PRECISIONS except ``auto``.
        manifest: Manifest of the model it runs.
        slots: Number of slots, one per person.
        frames: Window length in frames; `lift` reaches back at most ``frames - 1``.
    """

    name: str
    precision: str
    manifest: Manifest
    slots: int
    frames: int

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch extra"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """Add the newest frame of the given persons to their windows.

        Args:
            rows: Person-centred joint inputs (`langpose_rt.geometry.person_frame`).
            extras: Frame inputs from the same function, then those of `length_channels` if the
                model's config has ``length_input``.
            slots: Distinct slots of the persons; may be empty.
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
        """Lift one frame in the window of each given slot; slots may repeat.

        Args:
            slots: Slots that hold at least one frame; may be empty.
            frames_back: Target frame: 0 is the latest frame, 1 the one before it.
            lag_s: Time from the target frame to the latest one.

        Returns:
            Root-relative pose in body units and in the person frame of the target frame, and the
            joints' standard deviation in body units; new arrays.
        """
        ...

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Clear the windows of the given slots."""
        ...

    def close(self) -> None:
        """Release all resources; the backend cannot be used afterwards."""
        ...
