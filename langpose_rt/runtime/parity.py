"""Parity: distance in mm between the poses of two backends on real keypoints.

Independent of any runtime library. Every exported graph and engine records its parity in the
manifest, and a backend of reduced precision is measured again on the machine that opens it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.camera import Intrinsics, pixel_to_ray
from langpose_rt.geometry.length_channels import length_channels
from langpose_rt.geometry.person_frame import AnchorState, anchor_step
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, REFERENCE_STATURE_M, to_h36m17
from langpose_rt.manifest import Parity
from langpose_rt.runtime.backend import GPU_BACKENDS, Backend
from langpose_rt.runtime.onnx import open_onnx

MM_PER_BODY_UNIT = 1000.0
"""Body units are metres of the reference body."""

MAX_MEAN_MM = 0.5
MAX_WORST_MM = 3.0
"""Limits for a reduced precision, at build time and when opened: mean, and worst joint."""

_BONES_M = REFERENCE_BONES_M * np.linspace(0.8, 1.2, len(REFERENCE_BONES_M), dtype=np.float32)
"""Lengths of every parity clip: no two inputs of them are the same."""


@dataclass(frozen=True)
class ParityClip:
    """Model input of a clip of one person.

    Attributes:
        name: Name of the clip, for the manifest.
        rows: Joint inputs from `anchor_step`, frame by frame.
        extras: Frame inputs from `anchor_step`, then those of bone lengths.
        time_ns: Capture times.
    """

    name: str
    rows: Float[np.ndarray, "frame 17 3"]
    extras: Float[np.ndarray, "frame extra"]
    time_ns: Int[np.ndarray, " frame"]

    def for_backend(self, backend: Backend) -> "ParityClip":
        """Return the clip with the frame inputs that the model of a backend takes."""
        channels = backend.manifest.model_config.extra_channels
        return replace(self, extras=self.extras[:, :channels])


def parity_clip(
    name: str,
    keypoints: Float[np.ndarray, "frame 17 3"],
    intrinsics: Intrinsics,
    time_ns: Int[np.ndarray, " frame"],
) -> ParityClip:
    """Compute the model input of 17-joint keypoints (x, y in px, and score; score 0 is missing)."""
    state = AnchorState.empty(1)
    rows, extras = [], []
    rays = pixel_to_ray(keypoints[..., :2], intrinsics)
    step_s = np.diff(time_ns, prepend=time_ns[:1]) / NS_PER_S
    unknown = np.full((1, 3), np.nan, np.float32)
    for ray, score, dt_s in zip(rays, keypoints[..., 2], step_s, strict=True):
        anchored = anchor_step(state, ray[None], score[None], np.array([dt_s], np.float32), unknown)
        rows.append(anchored.rows[0])
        extras.append(anchored.extras[0])
    lengths = length_channels(np.tile(_BONES_M, (len(rows), 1)))
    return ParityClip(name, np.stack(rows), np.concatenate([extras, lengths], 1), time_ns)


def demo_parity_clip() -> ParityClip:
    """Return the model input of the bundled demo clip.

    Raises:
        ConfigError: If the installed package lacks it.
    """
    clip = read_clip(DEMO_CLIP)
    intrinsics = clip.intrinsics or Intrinsics.from_fov(*clip.size, assumed=True)
    joints = to_h36m17(clip.keypoints[:, 0], clip.skeleton)
    return parity_clip(DEMO_CLIP.stem, joints, intrinsics, clip.t_ns)


def lift_clip(
    backend: Backend, clip: ParityClip, frames_back: int = 0
) -> tuple[Float[np.ndarray, "target 17 3"], Float[np.ndarray, "target 17"]]:
    """Lift a clip frame by frame in slot 0; return poses and sigma."""
    slot, back = np.zeros(1, np.int32), np.full(1, frames_back, np.int32)
    clip = clip.for_backend(backend)
    backend.reset(slot)
    poses, sigmas = [], []
    for index, now_ns in enumerate(clip.time_ns):
        here = slice(index, index + 1)
        backend.encode(clip.rows[here], clip.extras[here], slot, clip.time_ns[here])
        if index < frames_back:
            continue
        lag_s = np.array([(now_ns - clip.time_ns[index - frames_back]) / NS_PER_S], np.float32)
        pose, sigma = backend.lift(slot, back, lag_s)
        poses.append(pose[0])
        sigmas.append(sigma[0])
    backend.reset(slot)
    return np.stack(poses), np.stack(sigmas)


def parity(candidate: Backend, reference: Backend, clip: ParityClip) -> Parity:
    """Measure the distance between two backends on a clip, for a body of reference stature."""
    pose, _ = lift_clip(candidate, clip)
    expected, _ = lift_clip(reference, clip)
    distance = np.linalg.norm(pose - expected, axis=-1) * MM_PER_BODY_UNIT
    return Parity(
        clip=f"{clip.name}, stature {REFERENCE_STATURE_M:.2f} m",
        frames=len(pose),
        mean_mm=float(distance.mean()),
        worst_mm=float(distance.max()),
    )


def within_limits(measured: Parity) -> bool:
    """Return whether a parity is a number within MAX_MEAN_MM and MAX_WORST_MM; NaN is not."""
    return measured.mean_mm <= MAX_MEAN_MM and measured.worst_mm <= MAX_WORST_MM


def check_parity_here(candidate: Backend, folder: Path, *, threads: int = 1) -> None:
    """Measure a backend of reduced precision on this machine, and reject it beyond the limits.

    The parity in the manifest was measured on the machine that built the model; another processor
    or GPU may round differently. Float32 is the reference and is not measured.

    Args:
        candidate: Backend with no slot in use; its windows are empty again afterwards.
        folder: Its model folder; the float32 ONNX graph in it is the reference.
        threads: Threads of the reference.

    Raises:
        ConfigError: If the parity is beyond the limits.
        ModelError: If the folder has no float32 graph.
        BackendError: If it fails on real keypoints.
    """
    if candidate.precision == "fp32":
        return
    reference = open_onnx(folder, candidate.manifest, slots=1, threads=threads, precision="fp32")
    try:
        measured = parity(candidate, reference, demo_parity_clip())
    finally:
        reference.close()
    if not within_limits(measured):
        build = "langpose-rt build-engine --force"
        again = f" or build it again with '{build}'" if candidate.name in GPU_BACKENDS else ""
        raise ConfigError(
            f"{candidate.precision} on backend {candidate.name} is {measured.mean_mm:.3f} mm off "
            f"float32 on the mean and {measured.worst_mm:.3f} mm at the worst joint on this "
            f"machine, expected at most {MAX_MEAN_MM} and {MAX_WORST_MM:.0f} mm; use "
            f"'--backend onnx --precision fp32'{again}"
        )
