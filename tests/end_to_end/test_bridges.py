"""Bridges over real sockets: a server, a rig, and the receiver the bridge is made for."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.bridges.lsl import CHANNELS, sample_of_person
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.geometry.level_axes import level_from_pose
from tests.end_to_end.test_commands import PATIENT, serving, started
from tests.peers import WAIT_S

NAME = f"bridge-test-{os.getpid()}"
"""Of the LSL stream: others on this network, or another worker, may run the same test."""


@contextlib.contextmanager
def bridged(
    model: Path, command: str, *words: object
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A bridge on a server that a synthetic rig of one person feeds; and where poses come from."""
    with serving(model, *PATIENT) as (_, said):
        poses = f"tcp://127.0.0.1:{said['output_port']}"
        keypoints = f"tcp://127.0.0.1:{said['port']}"
        rig = ("publish", "--synthetic", "1x1@30", "--server", keypoints, "--seconds", "60")
        with (
            started(command, "--server", poses, "--json", *words) as bridge,
            started(*rig),
        ):
            yield bridge, poses


def stopped(bridge: "subprocess.Popen[str]") -> dict[str, int]:
    bridge.send_signal(signal.SIGTERM)
    out, err = bridge.communicate(timeout=WAIT_S)
    assert bridge.returncode == 0, err
    assert "Traceback" not in err
    return dict(json.loads(out))


def test_an_avatar_is_told_every_bone_over_udp(model: Path) -> None:
    from pythonosc.osc_packet import OscPacket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(WAIT_S)
        to = f"127.0.0.1:{receiver.getsockname()[1]}"
        with bridged(model, "vmc", "--to", to) as (bridge, _):
            told: dict[str, list[float]] = {}
            hands = 0
            while hands < 2:  # the first may be on its way while its frame is not counted yet
                packet = receiver.recv(65536)
                assert len(packet) < 1400
                for timed in OscPacket(packet).messages:
                    name, *numbers = timed.message.params
                    if timed.message.address.endswith("/Pos"):
                        told[name] = numbers
                        hands += name == "RightHand"
            assert stopped(bridge)["poses"] >= 1
    assert len(told) == 17
    for name, numbers in told.items():
        assert len(numbers) == 7
        assert np.linalg.norm(numbers[3:]) == pytest.approx(1, abs=1e-5), name


def test_an_inlet_gets_what_the_server_published_at_the_time_it_was_seen(model: Path) -> None:
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no liblsl: {error}")
    with bridged(model, "lsl", "--name", NAME) as (bridge, poses):
        found = pylsl.resolve_byprop("name", NAME, timeout=WAIT_S)
        if not found:
            pytest.skip("LSL finds no stream here: multicast is blocked")
        inlet = pylsl.StreamInlet(found[0])
        info = inlet.info(WAIT_S)
        channel = info.desc().child("channels").child("channel")
        labels, units = [], set()
        for _ in CHANNELS:
            labels.append(channel.child_value("label"))
            units.add(channel.child_value("unit"))
            channel = channel.next_sibling()
        assert (tuple(labels), units) == (CHANNELS, {"m", "none"})
        assert info.nominal_srate() == pylsl.IRREGULAR_RATE
        with PoseSubscriber(poses) as subscriber:
            seen = {}
            while len(seen) < 15:
                message = subscriber.receive(WAIT_S)
                assert message is not None
                assert message.root is not None
                wrist = sample_of_person(message, 0)[CHANNELS.index("LWrist_X") :][:3]
                seen[tuple(wrist.tolist())] = message.t_srv
                if len(seen) == 1:
                    inlet.open_stream(WAIT_S)
            got = []
            while len(got) < 5:
                sample, time_s = inlet.pull_sample(WAIT_S)
                assert sample is not None
                wrist_m = tuple(sample[CHANNELS.index("LWrist_X") :][:3])
                if wrist_m in seen:
                    got.append((seen[wrist_m] / 1e9, time_s))
        assert stopped(bridge)["poses"] >= 5
    captured_s, lsl_s = np.array(got).T
    np.testing.assert_allclose(np.diff(lsl_s), np.diff(captured_s), atol=0.002)


def test_a_file_for_rerun_holds_what_the_server_published(model: Path, tmp_path: Path) -> None:
    chunk = pytest.importorskip("rerun.chunk", reason='pip install ".[view]"')
    file, wrists = tmp_path / "live.rrd", {}
    with bridged(model, "rerun", "--save", file) as (bridge, poses):
        with PoseSubscriber(poses) as subscriber:
            while len(wrists) < 20:
                message = subscriber.receive(WAIT_S)
                assert message is not None
                assert message.root is not None
                wrist = message.poses[0, 13, :3] + message.root[0]
                wrists[message.seq] = level_from_pose(message.frame, message.gravity) @ wrist
        summary = stopped(bridge)
    found = {}
    for part in chunk.RrdReader(file).stream().to_chunks():
        if part.entity_path == "/synth0/cam0/0/joints":
            batch = part.to_record_batch()
            positions = batch.column("Points3D:positions").to_pylist()
            found |= dict(zip(batch.column("sequence").to_pylist(), positions, strict=True))
    assert len(found) == summary["poses"] > 0
    both = wrists.keys() & found.keys()
    assert len(both) > 5
    for sequence in both:
        np.testing.assert_allclose(found[sequence][13], wrists[sequence], atol=1e-5)
