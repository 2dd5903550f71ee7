"""Backend on the CPU: a network and the K/V rings of its persons.

`RingBackend` does everything for a frame except the arithmetic: it reads the ring, runs one step of
a `Network`, and writes the new keys, values and representation back. ONNX Runtime and torch share
it, so they can differ only in arithmetic.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError
from langpose_rt.manifest import Manifest
from langpose_rt.window.native import Window, feature_at, key_bias, push, reset
from langpose_rt.window.reference import Stored
from langpose_rt.window.rotary import rotary_periods_ns, rotary_table


@runtime_checkable
class Network(Protocol):
    """Runs the two graphs of a model in one library; keeps no state between calls."""

    name: str
    precision: str
    persons_per_call: int

    def encode(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the encoder on ENCODER_INPUTS; return ENCODER_OUTPUTS in order."""
        ...

    def lift(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the lifter on LIFTER_INPUTS; return LIFTER_OUTPUTS in order."""
        ...


class RingBackend:
    """Implements `Backend` with any network and a ring of keys and values."""

    def __init__(
        self,
        network: Network,
        manifest: Manifest,
        *,
        slots: int,
        stored: Stored = np.float32,
    ) -> None:
        """Allocate the windows.

        Args:
            network: Runs the steps.
            manifest: Manifest of its model.
            slots: Number of slots, one per person.
            stored: Type of keys and values, in the ring and as network input.

        Raises:
            ConfigError: If the model keeps no ring.
        """
        config = manifest.model_config
        if not config.causal or config.window < 1:
            raise ConfigError(
                f"model {manifest.name!r} keeps no ring (causal {config.causal}, "
                f"window {config.window}); "
                "serve a causal model, or evaluate this one with 'python -m training.benchmark'"
            )
        self.name = network.name
        self.precision = network.precision
        self.manifest = manifest
        self.slots = slots
        self.frames = config.window
        self._network = network
        self._max_age_ns, self._embedding = config.max_age_ns, config.embedding
        self._periods_ns = rotary_periods_ns(config.rotary_pairs)
        self.window = Window.empty(
            slots, config.blocks, config.window, config.channels, config.feature_channels,
            dtype=stored,
        )  # fmt: skip

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch extra"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """See `langpose_rt.runtime.backend.Backend.encode`."""
        if not len(slots):
            return np.empty((0, self._embedding), np.float32)
        cos, sin = rotary_table(time_ns, self._periods_ns)
        bias = key_bias(self.window, slots, time_ns, self._max_age_ns)
        embeddings = []
        for part in _parts(len(slots), self._network.persons_per_call):
            keys, values = self._ring(slots[part])
            inputs = {
                "rows": rows[part], "extras": extras[part], "cos": cos[part], "sin": sin[part],
                "ring_keys": keys, "ring_values": values, "bias": bias[part],
            }  # fmt: skip
            feature, embedding, key, value = self._network.encode(inputs)
            push(self.window, slots[part], key, value, feature, time_ns[part])
            embeddings.append(embedding)
        return np.concatenate(embeddings) if len(embeddings) != 1 else embeddings[0]

    def lift(
        self,
        slots: Int[np.ndarray, " batch"],
        frames_back: Int[np.ndarray, " batch"],
        lag_s: Float[np.ndarray, " batch"],
    ) -> tuple[Float[np.ndarray, "batch 17 3"], Float[np.ndarray, "batch 17"]]:
        """See `langpose_rt.runtime.backend.Backend.lift`."""
        if not len(slots):
            return np.empty((0, NUM_JOINTS, 3), np.float32), np.empty((0, NUM_JOINTS), np.float32)
        newest = feature_at(self.window, slots, np.zeros_like(frames_back))
        target = feature_at(self.window, slots, frames_back) if frames_back.any() else newest
        poses, sigmas = [], []
        for part in _parts(len(slots), self._network.persons_per_call):
            inputs = {"newest": newest[part], "answered": target[part], "lag_s": lag_s[part]}
            pose, sigma = self._network.lift(inputs)
            poses.append(pose)
            sigmas.append(sigma)
        if len(poses) == 1:
            return poses[0], sigmas[0]
        return np.concatenate(poses), np.concatenate(sigmas)

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """See `langpose_rt.runtime.backend.Backend.reset`."""
        reset(self.window, slots)

    def close(self) -> None:
        """Do nothing; only memory is held."""

    def _ring(self, slots: Int[np.ndarray, " batch"]) -> tuple[np.ndarray, np.ndarray]:
        """Return keys and values of the slots: a view if the slots are consecutive, else a copy."""
        first, last = int(slots[0]), int(slots[-1])
        if last - first == len(slots) - 1 and (len(slots) < 3 or bool((np.diff(slots) == 1).all())):
            consecutive = slice(first, last + 1)
            return self.window.keys[consecutive], self.window.values[consecutive]
        return self.window.keys[slots], self.window.values[slots]


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
