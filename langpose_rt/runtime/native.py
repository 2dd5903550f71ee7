"""The step in our own C++ on the CPU, for models with one token a frame.

The rings stay where they are: the step reads them in place and writes the newest key, value and
representation into them. Weights are kept as they ship, in half, and widened in registers; the
arithmetic is float32. A person's pose has the same bits alone and in company. One thread computes;
several threads, 8-bit weights and models with a token for every joint are ONNX Runtime's.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NUM_JOINTS, ModelConfig
from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.extension import NOT_BUILT, why_no_extension
from langpose_rt.geometry.length_channels import flipped_extras
from langpose_rt.geometry.skeleton import FLIP_INDICES, INPUT_BONES, INPUT_BONES_M
from langpose_rt.manifest import Manifest
from langpose_rt.window.native import Window, reset
from langpose_rt.window.rotary import rotary_periods_ns

if not (_WHY_NOT := why_no_extension()):
    from langpose_rt import _native as native
else:
    native = None  # type: ignore[assignment]

WEIGHTS_NAME = "model.safetensors"

Weights = dict[str, np.ndarray]
"""By their names in the checkpoint."""


def instruction_sets() -> tuple[str, ...]:
    """Return what the step can use of this processor, the best first; nothing if not built."""
    return () if native is None else tuple(native.INSTRUCTION_SETS)


def why_not_native(manifest: Manifest) -> str | None:
    """Return why the native step cannot run this model here; None where it can."""
    config = manifest.model_config
    if config.tokens != "frame":
        return f"model {manifest.name!r} has a token for every joint, the native step one a frame"
    if WEIGHTS_NAME not in manifest.files:
        return f"model {manifest.name!r} carries no {WEIGHTS_NAME}"
    if not instruction_sets():
        return _WHY_NOT or NOT_BUILT
    return None


def open_native(
    folder: Path,
    manifest: Manifest,
    *,
    slots: int,
    precision: str,
    instruction_set: str | None = None,
) -> "NativeBackend":
    """Open the native backend of a checked model folder; arguments as in `open_backend`.

    Args:
        instruction_set: One of `instruction_sets`; None is the first.

    Raises:
        ConfigError: If the precision, the model or this installation has no native step.
        ModelError: If the weights cannot be read.
    """
    if precision != "fp32":
        raise ConfigError(f"the native backend runs fp32, not {precision}; use '--backend onnx'")
    reason = why_not_native(manifest)
    if reason is not None:
        raise ConfigError(f"backend native: {reason}; use '--backend onnx'")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        weights = load_file(folder / WEIGHTS_NAME)
    except (SafetensorError, OSError, KeyError) as error:
        raise ModelError(f"{folder / WEIGHTS_NAME} cannot be read ({error})") from error
    return NativeBackend(
        manifest, weights, slots=slots, instruction_set=instruction_set or instruction_sets()[0]
    )


class NativeBackend:
    """A `Backend` whose step is `langpose_rt._native.FrameStep`.

    Attributes:
        instruction_set: What the step uses of this processor.
    """

    name = "native"
    precision = "fp32"

    def __init__(
        self, manifest: Manifest, weights: Weights, *, slots: int, instruction_set: str
    ) -> None:
        """Copy the weights into the order of the step, and make the windows.

        Raises:
            ConfigError: If the model keeps no ring.
            ModelError: If the weights do not fit the model's config.
        """
        config = manifest.model_config
        if not config.causal or config.window < 1:
            raise ConfigError(
                f"model {manifest.name!r} keeps no ring (causal {config.causal}, "
                f"window {config.window}); serve a causal model"
            )
        self.manifest = manifest
        self.slots = slots
        self.frames = config.window
        self.instruction_set = instruction_set
        self._embedding = config.embedding
        self._step = _frame_step(manifest, config, weights, instruction_set)
        self.window = Window.empty(
            slots, config.blocks, config.window, config.channels, config.feature_channels
        )

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch extra"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """See `langpose_rt.runtime.backend.Backend.encode`."""
        window = self.window
        embeddings = np.empty((len(slots), self._embedding), np.float32)
        self._step.encode(
            window.keys,
            window.values,
            window.features,
            window.time_ns,
            window.head,
            window.fill,
            np.ascontiguousarray(rows),
            np.ascontiguousarray(extras),
            np.ascontiguousarray(slots),
            np.ascontiguousarray(time_ns),
            embeddings,
        )
        return embeddings

    def lift(
        self,
        slots: Int[np.ndarray, " batch"],
        frames_back: Int[np.ndarray, " batch"],
        lag_s: Float[np.ndarray, " batch"],
    ) -> tuple[Float[np.ndarray, "batch 17 3"], Float[np.ndarray, "batch 17"]]:
        """See `langpose_rt.runtime.backend.Backend.lift`."""
        window = self.window
        poses = np.empty((len(slots), NUM_JOINTS, 3), np.float32)
        sigmas = np.empty((len(slots), NUM_JOINTS), np.float32)
        self._step.lift(
            window.features,
            window.head,
            window.fill,
            np.ascontiguousarray(slots),
            np.ascontiguousarray(frames_back),
            np.ascontiguousarray(lag_s),
            poses,
            sigmas,
        )
        return poses, sigmas

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Forget everything about the given slots."""
        reset(self.window, slots)

    def close(self) -> None:
        """Nothing is held beyond memory."""


def _frame_step(
    manifest: Manifest, config: ModelConfig, weights: Weights, instruction_set: str
) -> "native.FrameStep":
    sizes = {
        "sides": config.sides,
        "width": config.width,
        "heads": config.heads,
        "depth": config.depth,
        "hidden": config.width * config.mlp_ratio,
        "window": config.window,
        "representation": config.representation,
        "embedding": config.embedding,
        "bones": len(INPUT_BONES) if config.bone_input else 0,
        "extras": config.extra_channels,
    }
    extra_order, extra_sign = flipped_extras(config.extra_channels)
    arrays = {
        "periods_ns": rotary_periods_ns(config.width // config.heads // 2),
        "opposite": FLIP_INDICES.astype(np.int32),
        "extra_order": extra_order,
        "extra_sign": extra_sign,
        "bone_joints": np.array(INPUT_BONES, np.int32)[: sizes["bones"]],
        "bone_lengths_m": INPUT_BONES_M[: sizes["bones"]],
    }
    reads_half = native.INSTRUCTION_SETS[instruction_set]
    try:
        arrays |= _as_read(_joined(weights), reads_half=reads_half)
        return native.FrameStep(instruction_set, sizes, config.max_age_ns, arrays)
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error).strip("'\"")
        raise ModelError(
            f"{WEIGHTS_NAME} of model {manifest.name!r} does not fit its config: {reason}; "
            "export the model again"
        ) from error


def _joined(weights: Weights) -> Weights:
    """Pose and sigma of the lifter as one product."""
    parts = {
        part: np.concatenate(
            [weights[f"lifter.{name}.{part}"] for name in ("to_pose", "to_log_sigma")]
        )
        for part in ("weight", "bias")
    }
    return weights | {
        f"lifter.to_pose_and_log_sigma.{part}": value for part, value in parts.items()
    }


def _as_read(weights: Weights, *, reads_half: bool) -> Weights:
    """Matrices in half where that loses nothing and is read; everything else in float32."""
    return {
        name: _half_if_exact(value) if reads_half and value.ndim == 2 else value.astype(np.float32)
        for name, value in weights.items()
    }


def _half_if_exact(matrix: np.ndarray) -> np.ndarray:
    if matrix.dtype == np.float16:
        return matrix
    single = matrix.astype(np.float32)
    with np.errstate(over="ignore"):
        half = single.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), single) else single
