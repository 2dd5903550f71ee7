"""A tiny mocap folder in the published layout, written by the tests themselves."""

import json
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import install_import_hook

# Before anything imports the trainer: its shapes are assertions too.
install_import_hook("training", "beartype.beartype")

from langpose_rt.geometry.skeleton import BONES, REFERENCE_BONES_M  # noqa: E402
from tests.training.text_checkpoint import write_text_checkpoint  # noqa: E402
from training.data.mocap import Mocap, read_mocap  # noqa: E402

DIRECTIONS = np.array(
    [
        [0.0, -1, 0], [0, 0, -1], [0, 0, -1], [0, 1, 0], [0, 0, -1], [0, 0, -1], [0, 0, 1],
        [0, 0, 1], [0.6, 0, 0.8], [0, 0, 1], [0, 1, 0], [0, 0, -1], [0, 0, -1], [0, -1, 0],
        [0, 0, -1], [0, 0, -1],
    ]
)  # fmt: skip
"""Of the bones of a person who stands upright, faces +x, and has the left hand at +y; z up."""

LICENCES = {
    "cmu": "CMU Graphics Lab terms: free use",
    "deepmimic": "MIT (xbpeng/DeepMimic)",
    "bandai1": "CC BY-NC 4.0 (Bandai Namco Research Inc.)",
}

CLIPS = (
    ("cmu", "walk", 60, 200),
    ("cmu", "walk", 60, 150),
    ("cmu", "jump", 60, 120),
    ("deepmimic", "spin", 60, 90),
    ("bandai1", "bow", 30, 80),
)


@pytest.fixture
def standing_pose() -> np.ndarray:
    """The upright person, hip at the origin, metres."""
    pose = np.zeros((17, 3))
    for (parent, joint), direction, length in zip(
        BONES, DIRECTIONS, REFERENCE_BONES_M, strict=True
    ):
        pose[joint] = pose[parent] + direction * length
    return pose


def moving_joints(frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A person who turns, swings the limbs and walks: hip-relative pose and hip, metres."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / 30
    swing = 0.5 * np.sin(t * rng.uniform(0.5, 3, 16) + rng.uniform(0, 6, 16))
    directions = DIRECTIONS + swing[..., None] * rng.standard_normal((16, 3)) * 0.5
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    pose = np.zeros((frames, 17, 3))
    for bone, (parent, joint) in enumerate(BONES):
        step = directions[:, bone] * REFERENCE_BONES_M[bone]
        pose[:, joint] = pose[:, parent] + step
    turn = 0.3 * t[:, 0]
    x, y = pose[..., 0].copy(), pose[..., 1].copy()
    pose[..., 0] = np.cos(turn)[:, None] * x - np.sin(turn)[:, None] * y
    pose[..., 1] = np.sin(turn)[:, None] * x + np.cos(turn)[:, None] * y
    return pose, np.concatenate([0.5 * t, 0.1 * t, np.full_like(t, 0.95)], 1)


def write_mocap(folder: Path) -> None:
    """index.json and one npz per split and source, keys and types as in the data's README."""
    index = {"fps": "per clip", "up": "z", "unit": "metre", "pose_scale": 0.0001, "clips": []}
    for split in ("train", "val"):
        parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for number, (source, action, fps, frames) in enumerate(CLIPS):
            drawn = parts.setdefault(source, [])
            start = sum(len(root) for _, root in drawn)
            drawn.append(moving_joints(frames, number + 100 * (split == "val")))
            index["clips"].append(
                {
                    "id": f"{source}_{split}_{number}", "split": split,
                    "file": f"{split}_{source}.npz", "start": start, "frames": frames, "fps": fps,
                    "subject": "01", "text": action, "action": action, "source": source,
                    "licence": LICENCES[source], "native_fps": float(fps),
                }
            )  # fmt: skip
        for source, drawn in parts.items():
            pose = np.concatenate([pose for pose, _ in drawn])
            root = np.concatenate([root for _, root in drawn])
            np.savez(
                folder / f"{split}_{source}.npz",
                pose=np.round(pose * 1e4).astype(np.int16),
                root=root.astype(np.float32),
            )
    (folder / "index.json").write_text(json.dumps(index))


@pytest.fixture(scope="session")
def mocap_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `--mocap` wants it."""
    folder = tmp_path_factory.mktemp("mocap")
    write_mocap(folder)
    return folder


@pytest.fixture(scope="session")
def mocap(mocap_folder: Path) -> Mocap:
    """Its training split."""
    return read_mocap(mocap_folder, "train")


@pytest.fixture(scope="session")
def text_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `--text-encoder` wants it."""
    return write_text_checkpoint(tmp_path_factory.mktemp("text") / "bert")


@pytest.fixture(scope="session")
def inputs(mocap_folder: Path, text_checkpoint: Path) -> list[str]:
    """Flags that say where stage 1 finds motion and text."""
    return ["--mocap", str(mocap_folder), "--text-encoder", str(text_checkpoint)]


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(7)
