"""`publish video.mp4` from pictures to poses: with MediaPipe itself on a real video where it is
installed, and with a stand-in where rtmlib's models would be."""

import importlib.util
import json
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.capture.detector import INSTALL
from langpose_rt.evaluation.clip_scores import scores_of_poses
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.runtime.backend import DEFAULT_MODEL
from tests.commands import ENVIRONMENT, run_apart
from tests.end_to_end.test_commands import PATIENT, publishing, serving, subscribed
from tests.peers import WAIT_S

STAND_IN = """
    import numpy as np

    class Body:
        def __init__(self, mode, backend, device):
            print("load model")
            assert (mode, backend, device) == ("lightweight", "onnxruntime", "cpu")

        def det_model(self, picture):
            return [[0, 0, 64, 48]] if picture.mean() > 50 else []

        def pose_model(self, picture, bboxes):
            rows = np.linspace(5, 43, 17)
            columns = 32 + 6 * (np.arange(17) % 2 - 0.5)
            points = np.stack([columns, rows], -1)[None] + np.zeros((len(bboxes), 1, 1))
            return points, np.full((len(bboxes), 17), 0.9, np.float32)
"""


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two dark pictures, then eight bright ones."""
    path = tmp_path / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (64, 48))
    for frame in range(10):
        writer.write(np.full((48, 64, 3), 200 * (frame >= 2), np.uint8))
    writer.release()
    return path


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module by the name of rtmlib, for processes that are started."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "rtmlib.py").write_text(textwrap.dedent(STAND_IN))
    path = f"{tmp_path / 'modules'}:{ENVIRONMENT['PYTHONPATH']}"
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", path)


def test_a_video_becomes_poses_with_its_own_times(model: Path, video: Path, stand_in: None) -> None:
    with serving(model, *PATIENT) as (_, said), subscribed(said) as subscriber:
        done = run_apart(*publishing(video, said, "--json"))
        assert done.code == 0, done.err
        messages = [subscriber.receive(WAIT_S) for _ in range(10)]
    figures = json.loads(done.out)
    assert (figures["frames"], figures["people"], figures["dropped"]) == (10, 8, 0)
    assert figures["detector_ms"] > 0
    seen = [(m.src.t, len(m.ids)) for m in messages if m is not None]
    assert seen == [(40_000_000 * frame, int(frame >= 2)) for frame in range(10)]


def test_a_video_is_played_again_and_stops_in_time(
    model: Path, video: Path, stand_in: None
) -> None:
    with serving(model, *PATIENT) as (_, said):
        words = publishing(video, said, "--json", "--loop", "--speed", "20", "--seconds", "1")
        done = run_apart(*words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["frames"] > 10


@pytest.mark.usefixtures("stand_in", "video")
def test_what_cannot_be_opened_is_one_sentence_and_opencv_is_not_heard(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    done = run_apart("publish", damaged)
    assert done.code == 2
    assert "damaged.mp4 is no video that can be read" in done.sentence
    done = run_apart(
        "publish", tmp_path / "video.mp4", "--wait-s", "0.05", "--server", "tcp://127.0.0.1:1"
    )
    assert done.code == 1
    assert "no server took rig0/cam0" in done.err.splitlines()[-1]


def test_many_rigs_come_out_of_one_process(model: Path) -> None:
    with serving(model, *PATIENT) as (_, said):
        server = f"tcp://127.0.0.1:{said['port']}"
        words = ("publish", "--synthetic", "3x2@20", "--server", server, "--seconds", "1", "--json")
        done = run_apart(*words)
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert (figures["rigs"], figures["persons"], figures["frames"]) == (3, 2, 60)


@pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None,
    reason=f"MediaPipe is not installed: {INSTALL['mediapipe']}",
)
def test_a_real_video_becomes_poses_of_the_default_weights_through_mediapipe() -> None:
    clip = read_clip(DEMO_CLIP)  # the same frames, with 3D from three other cameras
    video = Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam01.mp4"
    with serving(DEFAULT_MODEL, *PATIENT) as (_, said), subscribed(said) as subscriber:
        words = publishing(video, said, "--json", "--detector", "mediapipe", "--seconds", "15")
        done = run_apart(*words)
        assert done.code == 0, done.err
        frames = json.loads(done.out)["frames"]  # all 100 where nothing else runs
        messages = [subscriber.receive(WAIT_S) for _ in range(frames)]
    assert frames >= 10
    poses = np.full((len(clip.t_ns), 17, 3), np.nan)
    for message in messages:
        assert message is not None
        if len(message.ids):
            poses[message.src.seq] = message.poses[0, :, :3]
    assert np.isfinite(poses).all(axis=(1, 2)).sum() >= 0.9 * frames
    assert scores_of_poses(poses, clip).p_mpjpe_mm < 100
