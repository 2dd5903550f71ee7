"""Recorded by a real server through real sockets, and replayed to the same poses bit for bit."""

import json
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.formats.recording import Recording
from langpose_rt.manifest import read_manifest
from langpose_rt.protocol.messages import decode_pose, decode_status
from langpose_rt.runtime.backend import DEFAULT_MODEL
from langpose_rt.runtime.registry import cpu_backend
from tests.background import running
from tests.commands import ENVIRONMENT, run_apart, run_here
from tests.end_to_end.test_live import bad_messages
from tests.peers import LOCAL, WAIT_S, next_of, peers, wait_until

SERVE = [sys.executable, "-m", "langpose_rt", "serve", "--port", "0", "--http-port", "0", "--json"]


class Serving:
    """`serve` in a process of its own.

    Attributes:
        said: Ports and model.
    """

    def __init__(self, *options: object) -> None:
        self._process = subprocess.Popen(
            [*SERVE, *map(str, options)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise AssertionError("the server has not started")
        self.said = json.loads(line)

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def status(self) -> dict[str, object]:
        with urllib.request.urlopen(f"http://{LOCAL}:{self.said['http_port']}/status") as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def counter(self, name: str) -> int:
        counters = self.status()["counters"]
        assert isinstance(counters, dict)
        return int(counters[name])

    def limit_files(self, most_bytes: int) -> None:
        """From here on its disk is full beyond so many bytes a file."""
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    def drain(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(WAIT_S) == 0


def rig(port: int, name: str, people: int, frames: int, *, restart: int = -1) -> None:
    """A rig that jitters, skips, sends bursts and may restart; odd names let the server track."""
    rng = np.random.default_rng(len(name))
    crowd = Crowd(people, rate_hz=60.0, first_ns=time.time_ns())
    with RigPublisher(
        f"tcp://{LOCAL}:{port}", name, "cam0", skeleton=crowd.clip.skeleton.name,
        size=crowd.clip.size,
    ) as publisher:  # fmt: skip
        assert publisher.wait_for_server(WAIT_S)
        for frame in range(frames):
            if frame == restart:
                publisher.restart()
            seen = crowd.keypoints(frame)
            ids = None if len(name) % 2 else np.arange(people)
            publisher.publish(seen, ids, crowd.t_ns(frame) + int(rng.integers(0, 3_000_000)))
            time.sleep(0 if rng.random() < 0.3 else 0.02 * rng.random())


def a_busy_session(serving: Serving) -> None:
    port = int(serving.said["port"])
    rigs = [
        partial(rig, port, "a", 5, 60, restart=25),
        partial(rig, port, "bb", 3, 60),
        partial(rig, port, "ccc", 1, 20),
    ]
    with peers() as others:
        evil = others.publisher(port)
        with running(*rigs):
            for parts in bad_messages().values():
                if sum(map(len, parts)) <= 1 << 20:
                    evil.send_multipart(parts)
        wait_until(lambda: serving.counter("rejected") >= 12)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two seconds of crowds, restarts and bad messages."""
    path = tmp_path_factory.mktemp("session") / "session.mcap"
    options = "--record", path, "--lookahead-ms", 50, "--track-timeout-s", 0.2, "--idle-s", 1
    options += "--actions", DEFAULT_MODEL / "actions.npz"
    with Serving(*options) as serving:
        a_busy_session(serving)
        assert serving.status()["recording"] == "on"
        assert serving.counter("unrecorded") == 0
        serving.drain()
    return path


def test_a_session_replays_to_the_same_poses_bit_for_bit(session: Path, tmp_path: Path) -> None:
    done = run_here("replay", session, "--json", "-o", tmp_path / "again.mcap")
    assert done.code == 0, done.out + done.err
    found = json.loads(done.out)
    assert found["equal"]
    assert found["notes"] == []
    poses = [e.parts for e in Recording(session).entries() if e.topic.startswith("pose3d/")]
    assert found["frames"] == len(poses) > 60
    assert all(decode_pose(parts).actions is not None for parts in poses)
    assert len(list(Recording(tmp_path / "again.mcap").entries())) == len(poses)
    same = run_here("replay", session, "-o", session, "--force")
    assert "is what is replayed; choose another --out" in same.sentence
    assert "exists; choose" in run_here("replay", session, "-o", tmp_path / "again.mcap").sentence
    assert "is no .mcap file" in run_here("replay", session, "-o", tmp_path / "a.npz").sentence
    converted = run_here("convert", tmp_path / "again.mcap", "-o", tmp_path / "again.csv")
    assert converted.code == 0


def test_another_backend_differs_in_the_last_bits_and_both_are_named(session: Path) -> None:
    done = run_here("replay", session, "--backend", "torch", "--json")
    assert done.code == 1
    recorded, _ = cpu_backend(read_manifest(DEFAULT_MODEL), threads=1)
    assert f"the model ran as fp32 on {recorded}, and runs as fp32 on torch" in done.err
    found = json.loads(done.out)
    assert found["different"] > 0
    assert 0 < found["largest_mm"] < 0.1


def test_another_model_is_named_with_both_hashes(session: Path, model: Path) -> None:
    done = run_here("replay", session, "--model", model)
    assert done.code == 1
    assert "recorded with model live" in done.err
    assert "replayed with small" in done.err
    assert "actions are left out: model 'small' was not aligned with text" in done.err


def test_a_recording_plays_to_a_live_server_which_hears_the_same(
    session: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.mcap"
    heard = [e.parts for e in Recording(session).entries() if e.direction == "received"]
    with Serving("--record", again) as serving:
        to = f"tcp://{LOCAL}:{serving.said['port']}"
        done = run_here("replay", session, "--to", to, "--json", "--speed", 2)
        assert json.loads(done.out)["messages"] == len(heard)
        wait_until(lambda: serving.counter("messages") == len(heard))
        serving.drain()
    assert [e.parts for e in Recording(again).entries() if e.direction == "received"] == heard


def test_record_takes_what_a_server_publishes(tmp_path: Path) -> None:
    out = tmp_path / "poses.mcap"
    with Serving() as serving:
        port = serving.said["output_port"]
        words = "record", out, "--server", f"tcp://{LOCAL}:{port}", "--seconds", "1.5", "--json"
        with running(partial(rig, serving.said["port"], "a", 2, 200)):
            done = run_apart(*words)
    assert done.code == 0, done.err
    said = json.loads(done.out)
    topics = [entry.topic for entry in Recording(out).entries()]
    assert said["messages"] == len(topics)
    assert said["poses"] == topics.count("pose3d/a/cam0/") > 10
    assert "hb/langpose/" in topics
    assert run_here("convert", out, "-o", tmp_path / "a.csv").code == 0
    assert "record with 'langpose-rt serve --record" in run_here("replay", out).sentence
    assert "exists; choose another name or say --force" in run_here(*words).err


def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "full.mcap"
    with Serving("--record", path) as serving, peers() as others:
        serving.limit_files(300_000)
        ears = others.subscriber(serving.said["output_port"], b"event/record/")
        with running(*(partial(rig, serving.said["port"], name, 8, 120) for name in ("a", "bb"))):
            event = decode_status(next_of(ears, b"event/record/"))
        assert "recording into full.mcap has stopped: file too large" in event.detail  # type: ignore[union-attr]
        assert serving.status()["recording"] == "stopped: file too large"
        assert serving.counter("unrecorded") > 0
        frames = serving.counter("frames")
        rig(int(serving.said["port"]), "after", 1, 5)
        wait_until(lambda: serving.counter("frames") >= frames + 1)
        serving.drain()
    assert 50_000 < path.stat().st_size <= 300_000
    done = run_here("replay", path)
    assert done.code == 0, done.out + done.err
    assert "it was replayed as far as it goes" in done.err


def test_a_recording_of_that_name_is_not_replaced_unless_forced(session: Path) -> None:
    size = session.stat().st_size
    done = run_here("serve", "--port", 0, "--no-http", "--record", session)
    assert done.code == 2
    assert "exists; choose another name or say --force" in done.sentence
    assert session.stat().st_size == size
