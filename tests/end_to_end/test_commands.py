"""Commands together, over real sockets: what a user types on two terminals."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langpose_rt.benchmark.playback import loop_ns_of_clip
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.formats.lifted_npz import lifted_from_npz
from langpose_rt.manifest import read_manifest
from langpose_rt.runtime.registry import cpu_backend
from tests.background import process
from tests.commands import COMMAND, ENVIRONMENT, part_of_demo_clip, run_apart, run_here
from tests.peers import WAIT_S, wait_until

PATIENT = ("--max-wait-ms", "10000")
"""A busy machine must not make the server skip frames: every pose is compared."""


@contextlib.contextmanager
def started(*words: object) -> Iterator["subprocess.Popen[str]"]:
    """A command in a process of its own; killed at the end if it is still there."""
    with process(
        [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT,
    ) as running:  # fmt: skip
        yield running


@contextlib.contextmanager
def serving(model: Path, *words: object) -> Iterator[tuple["subprocess.Popen[str]", Any]]:
    """A server on free ports, and what it says of itself."""
    ports = ("--port", "0", "--http-port", "0", "--json")
    with started("serve", *ports, "--model", model, *words) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, server.communicate()
        yield server, json.loads(line)


@contextlib.contextmanager
def subscribed(said: Any) -> Iterator[PoseSubscriber]:
    """A consumer that the server has attached."""
    with PoseSubscriber(f"tcp://127.0.0.1:{said['output_port']}", "stage") as subscriber:
        wait_until(lambda: subscriber.heartbeat is not None)
        yield subscriber


def publishing(clip: Path, said: Any, *words: object) -> tuple[object, ...]:
    server = f"tcp://127.0.0.1:{said['port']}"
    return ("publish", clip, "--server", server, "--rig", "stage", "--camera", "left", *words)


@pytest.mark.parametrize("options", [(), ("--lookahead-ms", "70", "--smoothing", "off")])
def test_what_is_served_live_is_what_lift_writes(
    model: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    clip = part_of_demo_clip(20)
    two = np.concatenate([clip.keypoints, clip.keypoints + np.array([25, 0, 0])], 1)
    two[:6, 0] = 0  # somebody comes in
    file, out = tmp_path / "clip.npz", tmp_path / "poses.npz"
    clip_to_npz(file, part_of_demo_clip(20, keypoints=two, ids=np.tile([3, 8], (20, 1))))
    assert run_here("lift", file, "-o", out, "--model", model, *options).code == 0
    expected = lifted_from_npz(out)
    with serving(model, *PATIENT, *options) as (server, said):
        with subscribed(said) as subscriber:
            done = run_apart(*publishing(file, said, "--json"))
            assert (done.code, json.loads(done.out)["frames"]) == (0, 20), done.err
            messages = [subscriber.receive(WAIT_S) for _ in range(20)]
        server.send_signal(signal.SIGTERM)
        assert server.wait(WAIT_S) == 0
    seen = np.zeros((20, 2), bool)
    for message in messages:
        assert message is not None
        frame, columns = message.src.seq, [{3: 0, 8: 1}[i] for i in message.ids.tolist()]
        seen[frame, columns] = True
        assert message.src.t == clip.t_ns[frame]
        for found, wanted in (
            (message.poses[..., :3], expected.pose),
            (message.poses[..., 3], expected.sigma_m),
            (message.root, expected.root),
        ):
            np.testing.assert_allclose(found, wanted[frame, columns], atol=1e-5)
    np.testing.assert_array_equal(seen, expected.ids >= 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_looping_rig_stops_on_a_signal_and_goes_on_as_the_same_people(
    model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    clip = part_of_demo_clip(3)
    clip_to_npz(tmp_path / "clip.npz", clip)
    words = ("--loop", "--speed", "5", "--json")
    with (
        serving(model, *PATIENT) as (_, said),
        subscribed(said) as subscriber,
        started(*publishing(tmp_path / "clip.npz", said, *words)) as rig,
    ):
        messages = [subscriber.receive(WAIT_S)]
        while messages[-1].src.seq < 12:
            messages.append(subscriber.receive(WAIT_S))
        rig.send_signal(number)
        out, err = rig.communicate(timeout=WAIT_S)
    assert rig.returncode == 0, err
    sent = json.loads(out)["frames"]
    assert sent >= len(messages) - 1, "the signal may fall between a frame and its count"
    assert "Traceback" not in err
    assert len({message.src.epoch for message in messages}) == 1
    frames = [message.src.seq for message in messages]
    assert frames == sorted(set(frames))
    loops = [divmod(frame, len(clip.t_ns)) for frame in frames]
    times = [loop * loop_ns_of_clip(clip) + int(clip.t_ns[index]) for loop, index in loops]
    assert [message.src.t for message in messages] == times
    assert {tuple(message.ids) for message in messages} == {tuple(clip.ids[0])}
    assert messages[-1].win.filled[0] > len(clip.t_ns), "the window begins again with a loop"


def test_a_server_tells_a_person_its_ports_and_stops_on_ctrl_c(model: Path) -> None:
    words = ("--port", "0", "--http-port", "0", "--model", model)
    with started("serve", *words) as server:
        assert server.stderr is not None
        said = [server.stderr.readline() for _ in range(7)]
        server.send_signal(signal.SIGINT)
        _, rest = server.communicate(timeout=WAIT_S)
    assert server.returncode == 0
    assert [line.partition(": ")[2] for line in rest.splitlines()] == [
        "the server is about to stop [drain drain]"
    ]
    logged = [line for line in said if "langpose_rt.cli.commands.serve: " in line]
    assert [re.sub(r".*?: (backend \S+: \S).*\n", r"\1", line) for line in logged] == [
        f"backend {cpu_backend(read_manifest(model), threads=1)[0]}: n"
    ]
    assert [line.split()[0] for line in said if line not in logged] == [
        "keypoints", "poses", "control", "viewer", "model", "weights"
    ]  # fmt: skip


def test_a_server_whose_terminal_is_closed_ends(model: Path) -> None:
    ours, theirs = os.openpty()
    words = ("serve", "--port", "0", "--no-http", "--json", "--model", model)
    with process(
        [*COMMAND, *map(str, words)], stdin=theirs, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline()
            server.send_signal(signal.SIGHUP)
            assert server.wait(WAIT_S) == 0
        finally:
            os.close(ours)
            os.close(theirs)


def test_the_demo_prints_its_figures_and_saves_a_picture(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    done = run_apart("demo", "--frames", 1, "--out", picture, "--model", model, "--json")
    assert done.code == 0, done.err
    figures = json.loads(done.out, parse_constant=pytest.fail)
    assert figures["frames_sent"] == 100
    assert 0 < figures["poses_received"] <= 100
    assert figures["p_mpjpe_mm"] > 0
    assert figures["server_added_latency_p99_ms"] > 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
