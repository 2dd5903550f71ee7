"""Socket server: limits, faults, start, drain and stop of one that publishes nothing."""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import zmq

from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.protocol.control import LoadedCameras, Request, decode_reply, encode_control
from langpose_rt.server import connections
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.control_api import ControlApi
from langpose_rt.server.socket_server import SocketServer
from langpose_rt.server.sockets import RigSockets, Socket
from langpose_rt.server.viewer.feed import ViewerFeed
from tests.background import running
from tests.peers import LOCAL, WAIT_S, Peers, peers, wait_until


class Passer(SocketServer):
    """Takes messages and publishes nothing."""

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config, name="passer", last_thread="pass", feed=ViewerFeed())
        self.stats = Stats()
        self.reporter = FaultReporter(self.stats, Announcer("passer", self.epoch))
        self.closed = 0

    @property
    def _faults(self) -> FaultReporter:
        return self.reporter

    def _serve(self, rigs: RigSockets, poses: Socket) -> None:
        self._threads.start("pass", partial(self._pass, rigs), poses)

    def _pass(self, rigs: RigSockets, _: Socket) -> None:
        with contextlib.closing(rigs):
            while self._serving and not self._draining.is_set():
                self._threads.progressed("pass")
                rigs.wait(10)
                while (message := rigs.receive()) is not None:
                    if message[0] == [b"fail"]:
                        raise ValueError("it was asked to")
                    self.stats.add("messages")

    def _control_api(self) -> ControlApi:
        return ControlApi(self)

    def snapshot(self) -> Snapshot:
        raise RuntimeError("it has none")

    def reload(self, *_: object) -> bool:
        return False

    def load_cameras(self, file: Path) -> LoadedCameras:
        raise ConfigError(f"{file} is not wanted")

    def _close(self) -> None:
        self.closed += 1
        super()._close()


def passer(**values: object) -> Passer:
    return Passer(ServerConfig(**{"port": 0, "http_port": None} | values))  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[Passer]:
    started = passer()
    started.start()
    yield started
    started.stop()


@pytest.fixture
def others() -> Iterator[Peers]:
    with peers() as found:
        yield found


def test_messages_are_taken_and_it_is_alive_until_it_is_drained(
    server: Passer, others: Peers
) -> None:
    others.publisher(server.ports.keypoints).send_multipart([b"hello"])
    wait_until(lambda: server.stats.messages == 1)
    assert server.alive()
    assert not server.wait(0.0)
    server.drain()
    assert server.wait(WAIT_S)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the bytes")
def test_connections_beyond_the_limit_are_cut_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    server = passer()
    server.start()
    with contextlib.ExitStack() as opened:
        opened.callback(server.stop)
        for _ in range(8):
            where = LOCAL, server.ports.poses
            opened.enter_context(socket.create_connection(where, timeout=WAIT_S))
        wait_until(lambda: server.stats.rejected.get("too_many_connections", 0) >= 4)


def test_a_socket_that_cannot_speak_here_is_counted(server: Passer, others: Peers) -> None:
    def connected_and_heard() -> bool:
        others.connect(zmq.PUSH, server.ports.keypoints)  # one that leaves first is not counted
        return server.stats.rejected.get("wrong_socket", 0) > 0

    wait_until(connected_and_heard)


def test_a_request_that_fails_costs_itself(server: Passer, others: Peers) -> None:
    asking = others.connect(zmq.DEALER, server.ports.control)
    asking.send(encode_control(Request.of("status", id=1)))
    wait_until(lambda: server.stats.internal_errors == 1)
    asking.send(encode_control(Request.of("cameras", id=2, file="x.toml")))
    assert asking.poll(WAIT_S * 1000)
    reply = decode_reply(asking.recv_multipart()[-1])
    assert (reply.id, reply.detail) == (2, "x.toml is not wanted")


def test_a_thread_that_fails_ends_it_with_an_error(others: Peers) -> None:
    server, errors = passer(), list[str]()

    def run() -> None:
        try:
            server.run(on_start=started.set)
        except LangPoseError as error:
            errors.append(str(error))

    started = threading.Event()
    with running(run):
        assert started.wait(WAIT_S)
        others.publisher(server.ports.keypoints).send_multipart([b"fail"])
        assert server.wait(WAIT_S)
    assert errors == ["the passer has stopped: it was asked to"]


def test_what_cannot_start_is_closed(server: Passer) -> None:
    second = passer(port=server.ports.keypoints)
    with pytest.raises(ConfigError, match="choose another --port"):
        second.run()
    assert second.closed == 1


def test_it_may_be_stopped_twice_and_before_it_has_started() -> None:
    server = passer()
    for _ in range(2):
        server.stop()
    assert server.wait(0.0)


def test_its_clock_never_goes_back(server: Passer) -> None:
    times = [server.now_ns() for _ in range(100)]
    assert times == sorted(times)
