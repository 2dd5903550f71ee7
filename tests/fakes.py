"""A backend that knows the answer, and people who stand where they are told."""

from collections.abc import Sequence

import numpy as np

from langpose_rt.config import ModelConfig
from langpose_rt.errors import BackendError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.person_frame import rotation_to_ray
from langpose_rt.geometry.skeleton import PARENTS, REFERENCE_BONES_M
from langpose_rt.manifest import Manifest
from langpose_rt.protocol.messages import KeypointMessage, encode_keypoints
from tests.projection import ray_to_pixel

SIZE = (1280, 720)
LENS = Intrinsics.from_fov(*SIZE)
MS = 1_000_000

_DIRECTIONS = np.array(
    [
        [-1, 0, 0], [0, 1, 0], [0, 1, 0.1], [1, 0, 0], [0, 1, 0], [0, 1, 0.1], [0, -1, 0],
        [0, -1, 0.05], [0, -1, -0.1], [0, -1, 0], [1, 0.1, 0], [0.3, 1, 0], [0.1, 1, -0.3],
        [-1, 0.1, 0], [-0.3, 1, 0], [-0.1, 1, -0.3],
    ],
    np.float64,
)  # fmt: skip


def standing_pose() -> np.ndarray:
    """A person of the reference bones, relative to the hip, in camera axes, metres [17, 3]."""
    pose = np.zeros((17, 3))
    for joint in range(1, 17):
        direction = _DIRECTIONS[joint - 1] / np.linalg.norm(_DIRECTIONS[joint - 1])
        pose[joint] = pose[PARENTS[joint]] + direction * REFERENCE_BONES_M[joint - 1]
    return pose.astype(np.float32)


POSE = standing_pose()


def person_px(root_m: Sequence[float], *, scale: float = 1.0, score: float = 0.9) -> np.ndarray:
    """Keypoints [17, 3] of a person standing at a place in camera axes."""
    points = POSE.astype(np.float64) * scale + np.asarray(root_m, np.float64)
    pixels = ray_to_pixel(points[:, :2] / points[:, 2:], LENS)
    return np.concatenate([pixels, np.full((17, 1), score)], 1).astype(np.float32)


def keypoint_message(
    *people: np.ndarray,
    seq: int = 0,
    t_ms: float = 0.0,
    ids: Sequence[int] | None = None,
    rig: str = "rig0",
    camera: str = "cam0",
    epoch: int = 7,
    **fields: object,
) -> KeypointMessage:
    """One frame of people given as h36m17 keypoints."""
    keypoints = np.stack(people) if people else np.zeros((0, 17, 3), np.float32)
    return KeypointMessage(
        rig=rig,
        camera=camera,
        epoch=epoch,
        seq=seq,
        t_ns=round(t_ms * MS),
        skeleton="h36m17",
        wh=SIZE,
        keypoints=keypoints,
        ids=np.array(range(len(people)) if ids is None else ids, np.int64),
        **fields,  # type: ignore[arg-type]
    )


def keypoint_parts(*people: np.ndarray, **fields: object) -> list[bytes]:
    """The bytes of `keypoint_message`."""
    return encode_keypoints(keypoint_message(*people, **fields))  # type: ignore[arg-type]


class FakeBackend:
    """Answers with the standing pose, turned into the axes of the frame it is asked for.

    It checks what the protocol promises it. Everybody who is lifted comes out as `POSE` in camera
    axes only if the caller turns the answer back with the right frame's rotation.

    Attributes:
        lifts: (slot, frames back, lag in s, time of the answered frame in ns) of every answer.
        encodes: How many people were in every call of encode.
        broken: Slots for which it gives NaN.
        failing: Whether every call raises.
        embedding: Motion embedding of everybody.
    """

    name = "fake"
    precision = "fp32"

    def __init__(self, slots: int = 8, frames: int = 16, *, length_input: bool = False) -> None:
        self.slots, self.frames = slots, frames
        self.manifest = Manifest(
            version=1, name="fake", made_by="tests", command="", date="2026-01-01",
            config=ModelConfig(window=frames, length_input=length_input).to_dict(),
            card={}, files={}, products={}, opset=18,
        )  # fmt: skip
        self.history: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(slots)]
        self.lifts: list[tuple[int, int, float, int]] = []
        self.encodes: list[int] = []
        self.broken: set[int] = set()
        self.broken_embeddings: set[int] = set()
        self.failing = False
        self.embedding = np.zeros(4, np.float32)

    def encode(
        self, rows: np.ndarray, extras: np.ndarray, slots: np.ndarray, time_ns: np.ndarray
    ) -> np.ndarray:
        if self.failing:
            raise BackendError("the fake backend was told to fail")
        assert rows.shape == (len(slots), 17, 3)
        assert extras.shape == (len(slots), self.manifest.model_config.extra_channels)
        assert rows.dtype == extras.dtype == np.float32
        assert time_ns.dtype == np.int64
        assert len(set(slots.tolist())) == len(slots), "slots must be distinct"
        assert np.isfinite(rows).all()
        assert np.isfinite(extras).all()
        self.encodes.append(len(slots))
        for row, (slot, now_ns) in enumerate(zip(slots.tolist(), time_ns.tolist(), strict=True)):
            past = self.history[slot]
            assert not past or now_ns > past[-1][0], "time must rise in every slot"
            past.append((now_ns, extras[row].astype(np.float64)))
        embedding = np.tile(self.embedding, (len(slots), 1))
        embedding[np.isin(slots, list(self.broken_embeddings))] = np.nan
        return embedding

    def lift(
        self, slots: np.ndarray, frames_back: np.ndarray, lag_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.failing:
            raise BackendError("the fake backend was told to fail")
        poses = np.zeros((len(slots), 17, 3), np.float32)
        for row, (slot, back) in enumerate(zip(slots.tolist(), frames_back.tolist(), strict=True)):
            past = self.history[slot]
            assert 0 <= back < min(self.frames, len(past)), "the frame is not remembered"
            time_ns, extras = past[-1 - back]
            assert abs((past[-1][0] - time_ns) / 1e9 - lag_s[row]) < 1e-6, "the lag is wrong"
            self.lifts.append((slot, back, float(lag_s[row]), time_ns))
            x = np.tan(extras[0])
            ray = np.array([x, np.tan(extras[1]) * np.sqrt(1 + x * x)])
            poses[row] = POSE @ rotation_to_ray(ray).T
        sigma = np.full((len(slots), 17), 0.02, np.float32)
        poses[np.isin(slots, list(self.broken))] = np.nan
        return poses, sigma

    def reset(self, slots: np.ndarray) -> None:
        for slot in slots.tolist():
            self.history[slot] = []

    def close(self) -> None:
        pass
