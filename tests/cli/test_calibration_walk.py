"""A walk before running rigs becomes a calibration: real sockets, and what is refused."""

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.benchmark.volume_playback import play_together
from langpose_rt.cli.main import main
from langpose_rt.client.address import Connection
from langpose_rt.formats.calibration import cameras_from_toml
from tests.fusion.walks import SECONDS, clips_of_walk


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_walk_before_running_rigs_becomes_a_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, out = free_port(), tmp_path / "calib.toml"
    start_ns = time.time_ns()
    clips = {
        name: replace(clip, t_ns=clip.t_ns - clip.t_ns[0] + start_ns)
        for name, clip in clips_of_walk().items()
    }
    server = Connection(endpoint=f"tcp://127.0.0.1:{port}")
    rigs = threading.Thread(target=play_together, args=(clips, server, "rig"), daemon=True)
    rigs.start()
    words = ["calibrate", "--server", server.endpoint, "--seconds", str(SECONDS + 1)]
    assert main([*words, "-o", str(out)]) == 0
    rigs.join(10)
    said = capsys.readouterr()
    assert "the walk begins" in said.err
    assert "4 cameras, the walker got around" in said.out
    cameras = cameras_from_toml(out)
    assert sorted(cameras) == ["rig/cam0", "rig/cam1", "rig/cam2", "rig/cam3"]
    places = [camera.T_world_camera for camera in cameras.values()]
    distances = [np.linalg.norm(T[:2, 3]) for T in places if T is not None]
    assert 3 < min(distances) <= max(distances) < 5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say either files of the cameras, or --server URL to listen to running rigs"),
        (["a.npz", "--server", "tcp://localhost"], "say either files of the cameras, or --server"),
        (["a.npz", "--distance", "a", "b", "far"], '--distance ends with "far"; expected two'),
        (["--server", "cam.npz"], '--server is "cam.npz"; expected the address whose place'),
        (["--server", "tcp://127.0.0.1:70000"], '--server is "tcp://127.0.0.1:70000"; expected'),
        (["--live", "--seconds", "0"], "--seconds is 0; expected 1 to 600"),
    ],
)
def test_what_cannot_be_a_walk_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["calibrate", *words, "-o", str(tmp_path / "calib.toml")]) == 2
    assert sentence in capsys.readouterr().err
