"""Several cameras of one capture volume through real sockets: rigs of different rates, and faults.

The rigs play the two-person trial to a real `serve --fuse`. A loaded machine sends late; every rig
says how its clock stands to the server's, so only the arrival suffers, and the server waits long.
Every fourth frame of the trial is sent, 15 a second: a core that others use too carries that.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from langpose_rt.client.control import ControlClient
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.errors import LangPoseError
from langpose_rt.formats.calibration import cameras_to_toml
from langpose_rt.formats.recording import Recording
from langpose_rt.geometry.camera import Camera
from langpose_rt.protocol.messages import Event, PoseMessage, decode_status
from tests.commands import run_here
from tests.end_to_end.test_record_replay import Serving
from tests.fusion.rigs import TWO_PEOPLE
from tests.peers import LOCAL, Peers, peers
from tests.pipeline.volumes.trial import Sent, trial_errors, trial_messages, trial_volume

TRIAL = trial_volume()
RIGS = {"cam_01": "left", "cam_02": "left", "cam_03": "right", "cam_04": "top"}
NS_PER_S = 1_000_000_000
EVERY = dict.fromkeys(TRIAL.cameras, 4)
INSTANTS = 25


@contextmanager
def serving(folder: Path, *options: object, wait_ms: float = 500.0) -> Iterator[Serving]:
    """`serve --fuse` of the trial's calibration, as the volume "stage"."""
    path = folder / "stage.toml"
    if not path.exists():
        path.write_text(TRIAL.text)
    more = "--fuse", "--fuse-wait-ms", wait_ms, "--max-wait-ms", 10_000
    with Serving("--cameras", path, *more, *options) as server:
        yield server


def synchronised(sent: Sent, offset_ns: int) -> list[bytes]:
    """The message of a rig that has measured how its clock stands to the server's."""
    header = msgspec.msgpack.decode(sent.parts[1])
    header["sync"] = {"offset": offset_ns, "unc": 1_000_000}
    return [sent.parts[0], msgspec.msgpack.encode(header), *sent.parts[2:]]


class Rigs:
    """One publishing socket per rig, and consumers of fused poses and of events."""

    def __init__(self, server: Serving, others: Peers, volume: str) -> None:
        self.said, self._others = server.said, others
        self._offset_ns: int | None = None
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._events = others.subscriber(self.said["output_port"], b"event/")
        self.consumer = PoseSubscriber(
            f"tcp://{LOCAL}:{self.said['output_port']}", rig=volume, camera="fused"
        )
        assert self.consumer.receive(timeout_s=0.5) is None

    def play(self, messages: Sequence[Sent]) -> int:
        """Send in real time; return when the first message was taken, on the server's clock.

        What is played later goes on in the same time, and catches up with it.
        """
        for sent in messages:
            rig = sent.parts[0].split(b"/")[1].decode()
            if rig not in self._sockets:
                self._sockets[rig] = self._others.publisher(self.said["port"])
        if self._offset_ns is None:
            self._offset_ns = time.time_ns() - messages[0].t_ns
        offset_ns = self._offset_ns
        for sent in messages:
            due_ns = sent.now_ns + offset_ns
            time.sleep(max(due_ns - time.time_ns(), 0) / NS_PER_S)
            rig = sent.parts[0].split(b"/")[1].decode()
            self._sockets[rig].send_multipart(synchronised(sent, offset_ns))
        return messages[0].t_ns + offset_ns

    def fused(self, until_seq: int) -> list[PoseMessage]:
        """What has been fused so far, until that message or until nothing comes any more."""
        found: list[PoseMessage] = []
        while (message := self.consumer.receive(timeout_s=4.0)) is not None:
            found.append(message)
            if message.seq >= until_seq:
                break
        return found

    def events(self) -> list[Event]:
        found = []
        until_s = time.monotonic() + 3.0
        while (left_s := until_s - time.monotonic()) > 0:
            if not self._events.poll(1000 * left_s):
                break
            parts = self._events.recv_multipart()
            if parts[0].startswith(b"event/"):
                event = decode_status(parts)
                assert isinstance(event, Event)
                found.append(event)
        return found


@contextmanager
def rigs_of(server: Serving, volume: str = "stage") -> Iterator[Rigs]:
    with peers() as others:
        rigs = Rigs(server, others, volume)
        with rigs.consumer:
            yield rigs


def placed(cameras: dict[str, Camera], path: Path, prefix: str = "") -> Path:
    cameras_to_toml(path, {prefix + n: replace(c, name=prefix + n) for n, c in cameras.items()})
    return path


def ids_of(fused: list[PoseMessage]) -> set[int]:
    return {number for message in fused for number in message.ids.tolist()}


def test_rigs_of_different_rates_become_one_volume_with_one_id_for_each_person(
    tmp_path: Path,
) -> None:
    messages = trial_messages(rigs=RIGS, every=EVERY | {"cam_02": 8})
    with serving(tmp_path) as server, rigs_of(server) as rigs:
        begin_ns = rigs.play(messages)
        fused = rigs.fused(until_seq=INSTANTS - 1)
        status: Any = server.status()
    assert len(fused) >= 0.8 * INSTANTS
    errors = trial_errors(fused, begin_ns, skip=20)
    assert [len(ids) for _, ids in errors.values()] == [1, 1]
    # cam_02 sends 7.5 frames a second, and people walk between them
    assert max(error_m for error_m, _ in errors.values()) < 0.04
    message = fused[-1]
    assert message.fused is not None
    assert message.fused.cameras == tuple(TRIAL.cameras)
    assert message.frame == "world"
    assert message.views is not None
    assert np.median(message.fused.cameras_in(message.views).sum(-1)) >= 2
    (volume,) = status["volumes"]
    assert {camera["stream"].split("/")[0] for camera in volume["cameras"]} == set(RIGS.values())


def test_a_camera_dies_and_comes_back_and_nobody_changes_the_id(tmp_path: Path) -> None:
    messages = trial_messages(every=EVERY, repeats=3)
    begin_ns = messages[0].t_ns
    dead = [
        sent for sent in messages
        if sent.camera != "cam_02" or not 0.8 < (sent.t_ns - begin_ns) / NS_PER_S < 2.8
    ]  # fmt: skip
    with serving(tmp_path, wait_ms=100.0) as server, rigs_of(server) as rigs:
        rigs.play(dead)
        fused = rigs.fused(until_seq=3 * INSTANTS - 2)
        kinds = [(event.kind, event.reason) for event in rigs.events()]
    assert ("volume", "camera_asleep") in kinds
    assert ("volume", "camera_awake") in kinds
    live = [m.fused.live for m in fused if m.fused is not None]
    assert 0b1101 in live
    assert 0b1111 in live[-5:]
    assert len(ids_of(fused[10:15]) & ids_of(fused[-5:])) >= 2


def test_a_late_camera_is_waited_for_and_the_single_streams_are_not(tmp_path: Path) -> None:
    messages = trial_messages(every=EVERY, delay_ms={"cam_03": 120.0})
    with serving(tmp_path, wait_ms=1000.0) as server, rigs_of(server) as rigs:
        rigs.play(messages)
        fused = rigs.fused(until_seq=INSTANTS - 4)
    waits_ms = [m.fused.wait_ns / 1e6 for m in fused if m.fused is not None]
    assert np.median(waits_ms[3:]) > 80
    views = np.concatenate([m.views.ravel() for m in fused[5:] if m.views is not None])
    assert (views & 0b0100).any()


def test_a_camera_that_floods_costs_the_others_nothing(tmp_path: Path) -> None:
    messages = trial_messages(every=EVERY)
    with serving(tmp_path) as server, rigs_of(server) as rigs:
        begin_ns = rigs.play(messages[:16])
        with peers() as others:
            flood = others.publisher(server.said["port"])
            noise = trial_messages(rigs=dict.fromkeys(TRIAL.cameras, "mad"))[0].parts
            header = msgspec.msgpack.decode(noise[1])
            for seq in range(1500):
                raw = msgspec.msgpack.encode(header | {"seq": seq, "t": header["t"] + seq * 10**5})
                flood.send_multipart([noise[0], raw, noise[2]])
            again_ns = rigs.play(messages[16:])
            fused = rigs.fused(until_seq=10**6)
            reasons = {event.reason for event in rigs.events()}
    assert "two_streams" in reasons
    after = [message for message in fused if message.t_srv >= again_ns]
    assert len(after) > 10
    errors = trial_errors(after, begin_ns, skip=40)
    assert all(error_m < 0.05 for error_m, _ in errors.values()), errors


def test_two_volumes_are_two_streams(tmp_path: Path) -> None:
    other = placed(TRIAL.cameras, tmp_path / "other.toml", "b/")
    rigs_b = dict.fromkeys(TRIAL.cameras, "b")
    both = trial_messages(every=EVERY) + trial_messages(every=EVERY, rigs=rigs_b)
    with (
        serving(tmp_path, "--cameras", other) as server,
        rigs_of(server) as stage,
        rigs_of(server, "other") as others,
    ):
        stage.play(sorted(both, key=lambda sent: sent.now_ns))
        assert len(stage.fused(until_seq=INSTANTS - 4)) > 15
        assert len(others.fused(until_seq=INSTANTS - 4)) > 15


def test_a_drain_fuses_what_waits(tmp_path: Path) -> None:
    with serving(tmp_path, wait_ms=1000.0) as server, rigs_of(server) as rigs:
        rigs.play([sent for sent in trial_messages(every=EVERY)[:80] if sent.camera != "cam_04"])
        server.drain()
        assert len(rigs.fused(until_seq=19)) >= 12


def test_a_calibration_is_loaded_by_a_request_and_a_wrong_one_is_one_sentence(
    tmp_path: Path,
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[cam_01]\nmatrix = 3")
    with serving(tmp_path) as server, rigs_of(server) as rigs:
        rigs.play(trial_messages(every=EVERY)[:60])
        where = f"tcp://{LOCAL}:{server.said['control_port']}"
        with ControlClient(where, timeout_s=20.0) as control:
            loaded = control.load_cameras(tmp_path / "stage.toml")
            assert (loaded.volume, loaded.cameras) == ("stage", tuple(TRIAL.cameras))
            with pytest.raises(LangPoseError, match="refuses cameras"):
                control.load_cameras(wrong)
        assert ("volume", "calibrated") in {(e.kind, e.reason) for e in rigs.events()}
        assert rigs.fused(until_seq=5)


def test_a_recording_of_fused_poses_is_replayed_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "session.mcap"
    with serving(tmp_path, "--record", path, wait_ms=60.0) as server, rigs_of(server) as rigs:
        messages = trial_messages(rigs=RIGS, every=EVERY | {"cam_02": 8})
        rigs.play(messages[:50])
        where = f"tcp://{LOCAL}:{server.said['control_port']}"
        with ControlClient(where, timeout_s=20.0) as control:
            control.load_cameras(tmp_path / "stage.toml")
        rigs.play(messages[50:])
        rigs.fused(until_seq=INSTANTS - 4)
        server.drain()
    done = run_here("replay", path, "--json")
    assert done.code == 0, done.out + done.err
    assert json.loads(done.out)["equal"]
    published = [e.topic for e in Recording(path).entries() if e.direction == "published"]
    assert published.count("pose3d/stage/fused/") > 15


def test_cameras_that_cannot_be_fused_are_one_sentence_before_anything_starts(
    tmp_path: Path,
) -> None:
    only = {"cam_01": TRIAL.cameras["cam_01"]}
    path = placed(only, tmp_path / "one.toml")
    done = run_here("serve", "--port", 0, "--fuse", "--cameras", path)
    assert 'volume "one": the calibration has 1 cameras' in done.sentence
    assert "--fuse needs calibrated cameras" in run_here("serve", "--port", 0, "--fuse").sentence
    both = "--cameras", path, "--cameras", TWO_PEOPLE.with_suffix(".toml")
    twice = run_here("serve", "--port", 0, "--fuse", *both)
    assert 'camera "cam_01" is in the volumes' in twice.sentence
