"""`top`: a table once, a line a second into a pipe, and how it ends."""

import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
import zmq
from rich.console import Console

from langpose_rt.cli.commands.top import _line, _table
from langpose_rt.cli.terminal.server_watch import ServerWatch
from langpose_rt.protocol.messages import Drops, encode_pose, encode_status
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.background import process
from tests.commands import COMMAND, ENVIRONMENT, run_here
from tests.fakes import FakeBackend
from tests.peers import WAIT_S
from tests.protocol.samples import fused_sample, heartbeat_sample, pose_sample


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(FakeBackend(), ServerConfig(port=0, http_port=None))
    server.start()
    yield server
    server.stop()


def words(server: Server) -> tuple[str, ...]:
    return "top", "--server", f"tcp://127.0.0.1:{server.ports.poses}"


def test_a_server_is_shown_once_in_a_pipe(server: Server) -> None:
    done = run_here(*words(server), "--once", "--json")
    shown = run_here(*words(server), "--once")
    assert json.loads(done.out)["server"]["state"] == "ready"
    assert shown.code == 0
    assert "ready" in shown.out
    assert "no poses yet" in shown.out


def test_what_the_columns_mean_is_said_below_the_table() -> None:
    watch = ServerWatch()
    lost = replace(pose_sample(1), drop=Drops(shed=2, gap=1))
    watch.note(encode_pose(lost), 0.0)
    watch.note(encode_status(heartbeat_sample()), 0.0)
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(_table(watch.report(0.1)))
    title, *_, columns, losses = console.export_text().splitlines()
    assert title.count(" poses/s, p99 ") == 1, "not broken at the width of the table"
    assert " on " in title
    assert columns.startswith("p50, p99: the server adds no more to half, to 99 of 100 frames;")
    assert losses == "dropped: gap: never came; shed: left out because there was no time"


def test_volumes_are_shown_with_their_cameras() -> None:
    watch = ServerWatch()
    watch.note(encode_pose(fused_sample()), 0.0)
    watch.note(encode_status(heartbeat_sample()), 0.0)
    report = watch.report(0.1)
    line = _line(report, "tcp://127.0.0.1:5556")
    assert (
        "volume studio 1 ok, 1 held, 0.0 fps, waits p50 9.0, p99 9.0 ms, rig0/left 100 % " in line
    )
    assert "top 0 % - px" in line
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(_table(report))
    shown = console.export_text()
    assert "volume studio, 2 people" in shown
    assert "residual: how far the camera is from what the others see" in shown
    assert "rig0/right" in shown


def test_a_pipe_gets_lines_with_the_last_event_until_it_is_interrupted(server: Server) -> None:
    command = [*COMMAND, *words(server)]
    with (
        process(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as top,
        zmq.Context() as context,
        context.socket(zmq.PUB) as rig,
    ):
        rig.connect(f"tcp://127.0.0.1:{server.ports.keypoints}")
        assert top.stdout is not None
        line = ""
        while "ago reject/" not in line:
            line = top.stdout.readline()
            rig.send_multipart([b"kp2d/rig0/cam0/", b"\xc1", b""])
        top.send_signal(signal.SIGINT)
        assert top.wait(WAIT_S) == 0
    assert " ready, up " in line
    assert "\x1b" not in line


def test_a_terminal_gets_its_cursor_back(server: Server) -> None:
    ours, theirs = os.openpty()
    with process(
        [*COMMAND, *words(server)], stdout=theirs, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as top:
        os.close(theirs)
        shown = b""
        while b"ready" not in shown:
            shown += os.read(ours, 65536)
        top.send_signal(signal.SIGTERM)
        while b"\x1b[?25h" not in shown:
            shown += os.read(ours, 65536)
        assert top.wait(WAIT_S) == 0
        assert top.stderr is not None
        assert top.stderr.read() == b""
    os.close(ours)
    assert b"\x1b[?25l" in shown


def test_without_a_server_once_is_one_sentence() -> None:
    done = run_here("top", "--server", "tcp://127.0.0.1:9", "--once", "--wait-s", "0.2")
    assert done.code == 1
    assert "no server was heard at tcp://127.0.0.1:9" in done.sentence
