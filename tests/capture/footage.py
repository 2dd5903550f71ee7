"""Videos written by tests, and a stand-in for rtmlib whose person moves with the pictures."""

import importlib.machinery
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

SIZE = (128, 160)
FRAMES = 12
FPS = 25.0
EMPTY_FRAMES = 2
"""So many dark pictures come first; nobody is in them."""


def written_video(path: Path) -> Path:
    """A video of dark pictures and then bright ones."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, SIZE)
    for frame in range(FRAMES):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 200 * (frame >= EMPTY_FRAMES), np.uint8))
    writer.release()
    return path


def person_coco() -> np.ndarray:
    """Somebody who stands in the middle of the picture, as COCO keypoints without scores."""
    rows = [30, 28, 28, 29, 29, 48, 48, 66, 66, 82, 82, 84, 84, 110, 110, 138, 138]
    across = [0, -2, 2, -4, 4, -11, 11, -15, 15, -16, 16, -7, 7, -8, 8, -8, 8]
    return np.stack([64.0 - np.array(across), np.array(rows, float)], -1)


class Body:
    """As rtmlib's Body."""

    def __init__(self, **options: object) -> None:
        self.options = options

    def det_model(self, picture: np.ndarray) -> list[list[float]]:
        return [[0, 0, *map(float, SIZE)]] if picture.mean() > 50 else []

    def pose_model(self, _picture: np.ndarray, bboxes: list[object]) -> tuple[np.ndarray, ...]:
        return np.stack([person_coco()] * len(bboxes)), np.full((len(bboxes), 17), 0.9)


def install_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rtmlib be installed, as far as this process can tell."""
    module = types.ModuleType("rtmlib")
    module.__spec__ = importlib.machinery.ModuleSpec("rtmlib", None)
    module.Body = Body  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rtmlib", module)
