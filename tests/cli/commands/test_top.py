"""`top`: a table once, a line a second into a pipe, and how it ends."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
import zmq

from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.commands import COMMAND, ENVIRONMENT, run_here
from tests.fakes import FakeBackend
from tests.peers import WAIT_S


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


def test_a_pipe_gets_lines_with_the_last_event_until_it_is_interrupted(server: Server) -> None:
    command = [*COMMAND, *words(server)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as top,
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
    with subprocess.Popen(
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
