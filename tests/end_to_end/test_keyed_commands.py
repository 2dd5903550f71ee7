"""Every command that speaks to a server, with keys, against one that has them."""

import argparse
import contextlib
import json
import socket
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.cli.arguments.connection import connection_from_arguments
from langpose_rt.cli.commands import doctor
from langpose_rt.cli.doctor.server import check_server
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.formats.recording import Entry, Recording, RecordingWriter
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.recording.recorder import FileRecorder
from langpose_rt.recording.replay import Replay
from langpose_rt.recording.setup import RecordedSetup, setup_from_facts
from langpose_rt.security.key_files import key_pair_from_file, new_key_files
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.background import repeating
from tests.commands import Done, part_of_demo_clip, run_here
from tests.end_to_end.test_footage import STAND_IN
from tests.fakes import MS, SIZE, FakeBackend, keypoint_parts, person_px
from tests.peers import LOCAL, WAIT_S, wait_until

PERSON = person_px((0, 0, 4))
NAMES = ("server", "admin", "rig0", "clip", "synth0", "film", "again", "viewer")
PIPELINE = PipelineConfig(smoothing="off", max_wait_ms=10_000.0)


class Keyed:
    """A server with keys, on three ports in a row as the doctor expects them."""

    def __init__(self, folder: Path, recorder: FileRecorder | None = None) -> None:
        self.folder = folder
        for name in NAMES:
            new_key_files(name, folder)
        self.server = self._started(recorder)
        self.ports = self.server.ports

    def run(self, name: str, *words: object, port: int = 0) -> Done:
        """A command with the key of that name; with its --server, if a port is given."""
        where = ("--server", f"tcp://{LOCAL}:{port}") if port else ()
        return run_here(*words, *where, *self.flags(name))

    def flags(self, name: str) -> tuple[object, ...]:
        server = self.folder / "server.key"
        return ("--key", self.folder / f"{name}.key_secret", "--server-key", server)

    @contextlib.contextmanager
    def rig(self, key: str = "rig0") -> Iterator[RigPublisher]:
        """rig0, or who says so."""
        own, server = (key_pair_from_file(self.folder / f"{n}.key_secret") for n in (key, "server"))
        with RigPublisher(
            f"tcp://{LOCAL}:{self.ports.keypoints}", "rig0", "cam0", skeleton="h36m17", size=SIZE,
            server_key=server.public, key_pair=(own.public, own.secret),
        ) as publisher:  # fmt: skip
            assert publisher.wait_for_server(WAIT_S)
            yield publisher

    def accepted(self, name: str) -> int:
        """Frames of a rig that were taken."""
        streams = self.server.snapshot().streams
        return sum(s.totals["accepted"] for s in streams if s.rig == name)

    def _started(self, recorder: FileRecorder | None) -> Server:
        for _ in range(20):
            with socket.socket() as free:
                free.bind((LOCAL, 0))
                port = min(free.getsockname()[1], 65533)
            config = ServerConfig(port=port, http_port=None, keys=self.folder, pipeline=PIPELINE)
            server = Server(FakeBackend(), config, recorder=recorder)
            with contextlib.suppress(ConfigError):  # taken: look further
                server.start()
                return server
        raise AssertionError("there are no three free ports in a row")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """The server, which rig0 feeds as long as it runs."""
    found = Keyed(tmp_path_factory.mktemp("keyed") / "keys")
    try:
        with found.rig() as rig, repeating(lambda: rig.publish(PERSON[None]), 0.02):
            wait_until(lambda: found.accepted("rig0") > 0)
            yield found
    finally:
        found.server.stop()


def test_top_shows_the_streams(keyed: Keyed) -> None:
    words = "top", "--once", "--json", "--wait-s", 2
    done = keyed.run("viewer", *words, port=keyed.ports.poses)
    assert [stream["stream"] for stream in json.loads(done.out)["streams"]] == ["rig0/cam0"]


def test_record_writes_what_is_published(keyed: Keyed, tmp_path: Path) -> None:
    words = "record", tmp_path / "a.mcap", "--seconds", 1.5, "--json"
    done = keyed.run("viewer", *words, port=keyed.ports.poses)
    assert json.loads(done.out)["poses"] > 0


@pytest.mark.parametrize("bridge", ["vmc", "lsl"])
def test_bridges_pass_poses_on(keyed: Keyed, bridge: str) -> None:
    if bridge == "lsl":
        pytest.importorskip("pylsl", exc_type=(ImportError, RuntimeError))
    done = keyed.run("viewer", bridge, "--seconds", 1.5, "--json", port=keyed.ports.poses)
    assert json.loads(done.out)["poses"] > 0


def test_control_asks(keyed: Keyed) -> None:
    done = keyed.run("viewer", "control", "status", "--json", port=keyed.ports.control)
    assert json.loads(done.out)["state"] == "ready"
    done = keyed.run("viewer", "control", "drain", port=keyed.ports.control)
    assert (done.code, keyed.server.snapshot().state) == (1, "ready")
    assert "is not for the key of 'viewer' but for the one that --admin names" in done.err


def test_the_doctor_hears_the_server_and_its_clock(keyed: Keyed) -> None:
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    words = "--server", f"tcp://{LOCAL}:{keyed.ports.keypoints}", *keyed.flags("viewer")
    connection = connection_from_arguments(parser.parse_args([str(word) for word in words]))
    found = {check.name: check.verdict for check in check_server(connection)}
    assert (found["server"], found["skew"]) == ("ok", "ok")


def test_publish_plays_a_clip(keyed: Keyed, tmp_path: Path) -> None:
    clip_to_npz(tmp_path / "clip.npz", part_of_demo_clip(5))
    words = "publish", tmp_path / "clip.npz", "--rig", "clip"
    assert keyed.run("clip", *words, port=keyed.ports.keypoints).code == 0
    wait_until(lambda: keyed.accepted("clip") == 5)


def test_publish_is_a_synthetic_rig_and_one_key_is_one_rig(keyed: Keyed) -> None:
    port, words = keyed.ports.keypoints, ("publish", "--seconds", 0.2, "--synthetic")
    assert keyed.run("synth0", *words, "1x1@30", port=port).code == 0
    wait_until(lambda: keyed.accepted("synth0") == 6)
    done = keyed.run("synth0", *words, "2x1@30", port=port)
    assert done.code == 2
    assert "a key is for one rig" in done.err


def test_publish_films(keyed: Keyed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rtmlib.py").write_text(textwrap.dedent(STAND_IN))
    monkeypatch.delitem(sys.modules, "rtmlib", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (64, 48))
    for _ in range(4):
        writer.write(np.full((48, 64, 3), 200, np.uint8))
    writer.release()
    done = keyed.run("film", "publish", path, "--rig", "film", port=keyed.ports.keypoints)
    sys.modules.pop("rtmlib", None)
    assert done.code == 0, done.err
    wait_until(lambda: keyed.accepted("film") == 4)


def test_replay_sends_a_recording_again(keyed: Keyed, tmp_path: Path) -> None:
    path, topic = tmp_path / "a.mcap", "kp2d/again/cam0/"
    writer = RecordingWriter(path, {"version": "1"})
    for seq in range(5):
        parts = keypoint_parts(PERSON, rig="again", seq=seq, t_ms=20.0 * seq)
        writer.add(Entry("received", topic, parts, seq * 20 * MS, seq * 20 * MS))
    parts = keypoint_parts(PERSON, rig="film", seq=0, t_ms=0.0)
    writer.add(Entry("received", "kp2d/film/cam0/", parts, 100 * MS, 100 * MS))
    writer.finish()
    to = f"tcp://{LOCAL}:{keyed.ports.keypoints}"
    done = keyed.run("again", "replay", path, "--to", to, "--json")
    assert json.loads(done.out)["messages"] == 6
    assert "takes again only, and this recording also has film; replay it once with" in done.err
    wait_until(lambda: keyed.accepted("again") == 5)
    stranger = run_here("replay", path, "--to", to, "--wait-s", 0.1)
    told = "no server asked" in stranger.err or "has keys and this client has none" in stranger.err
    assert (stranger.code, told) == (1, True), stranger.err  # the second once it has learned that


def test_a_keyed_session_is_replayed_with_the_same_refusals_and_holds_no_secret(
    tmp_path: Path,
) -> None:
    path = tmp_path / "session.mcap"
    setup = RecordedSetup.of(FakeBackend(), PIPELINE, threads=1)
    keyed = Keyed(tmp_path / "keys", FileRecorder(path, setup.to_facts()))
    try:
        with keyed.rig() as honest, keyed.rig("film") as spoofer:
            for frame in range(10):
                spoofer.publish(PERSON[None] + 50, t_ns=frame * 20 * MS)
                honest.publish(PERSON[None], t_ns=frame * 20 * MS)
            wait_until(lambda: keyed.server.snapshot().counters["messages"] == 20)
            wait_until(lambda: keyed.server.snapshot().counters["frames"] == 10)
        keyed.server.drain()
        assert keyed.server.wait(WAIT_S)
    finally:
        keyed.server.stop()
    assert keyed.server.snapshot().rejected["spoofed_rig"] == 10
    recording = Recording(path)
    recorded = setup_from_facts(recording.facts)
    pairs = {name: key_pair_from_file(keyed.folder / f"{name}.key_secret") for name in NAMES}
    assert recorded.keys == {name: pairs[name].public for name in NAMES if name != "server"}
    assert not any(pair.secret in str(recording.facts) for pair in pairs.values())
    comparison = Replay(recording, recorded, FakeBackend(), {}).run()
    assert (comparison.equal, comparison.frames) == (True, 10)
