"""Picture of the demo: the chosen frame, drawn from pose messages."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.protocol.messages import PoseMessage, Source
from langpose_rt.visualization.demo_picture import SHOWN_FRAME, save_demo_picture, shown_message
from tests.protocol.samples import pose_sample

FIGURES = {
    "model": "small fp32 on onnx (none)", "poses_per_second": 60.0, "p_mpjpe_mm": 70.0,
    "constant_p_mpjpe_mm": 90.0, "server_added_latency_p50_ms": 1.0,
    "server_added_latency_p99_ms": 2.0,
}  # fmt: skip


def answer(epoch: int, seq: int, people: int = 1) -> PoseMessage:
    return replace(pose_sample(people), src=Source(epoch=epoch, seq=seq, t=0))


def test_the_shown_moment_is_the_last_of_its_frame_with_a_person() -> None:
    good = answer(2, SHOWN_FRAME)
    messages = [answer(1, SHOWN_FRAME), good, answer(2, 50), answer(3, SHOWN_FRAME, people=0)]
    assert shown_message(messages) is good
    assert shown_message(messages[2:]) is messages[2]


@pytest.mark.parametrize("seq", [SHOWN_FRAME, 3])
def test_the_picture_is_one_with_and_without_its_video_frame(tmp_path: Path, seq: int) -> None:
    clip = read_clip(DEMO_CLIP)
    root = np.array([[0.0, 0.0, 4.0]], np.float32)
    messages = [replace(answer(1, k), root=root) for k in range(seq + 1)]
    save_demo_picture(tmp_path / "demo.png", clip, messages, FIGURES)
    image = cv2.imread(str(tmp_path / "demo.png"))
    assert image is not None
    assert image.std() > 10
