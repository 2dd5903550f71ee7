"""The warm-up loads what a frame needs, and leaves no people in the windows."""

import subprocess
import sys

from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.server.warm_up import warm_up_pipeline
from tests.fakes import FakeBackend

FIRST_FRAME = """
import sys
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.runtime.registry import open_backend
from langpose_rt.protocol.messages import encode_keypoints
from langpose_rt.pipeline.offline import frames_of_clip
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server

frame = next(frames_of_clip(read_clip(DEMO_CLIP), "rig", "cam", epoch=1))
assert any(frame.cam.dist), "the case that needs most"
server = Server(open_backend(), ServerConfig(port=0, http_port=None))
assert "cv2" not in sys.modules, "or this proves nothing"
server.start()
server.stop()
before = set(sys.modules)
server.pipeline.receive(encode_keypoints(frame), 1)
server.pipeline.step(1)
assert sum(server.pipeline.stats.latency.buckets) == 1
print(sorted(set(sys.modules) - before))
"""


def test_a_server_that_listens_has_loaded_all_that_a_frame_needs() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FIRST_FRAME], capture_output=True, text=True, check=False
    )
    assert run.stdout == "[]\n", run.stderr


def test_nobody_is_known_after_it() -> None:
    backend = FakeBackend()
    warm_up_pipeline(backend, PipelineConfig())
    assert all(history == [] for history in backend.history)
