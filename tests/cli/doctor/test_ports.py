"""Check of the ports: free, a langpose-rt server, other ZeroMQ, other programs."""

import socket
from collections.abc import Iterator

import pytest
import zmq

from langpose_rt.cli.doctor.ports import check_ports, is_free
from langpose_rt.server.http import HealthServer
from tests.monitoring.test_snapshot import empty_snapshot


@pytest.fixture
def free() -> list[int]:
    """Two ports nobody has."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return [one.getsockname()[1], two.getsockname()[1]]


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A program that says nothing useful."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_free_ports_are_free(free: list[int]) -> None:
    (found,) = check_ports(free[:1], free[1])
    assert found.verdict == "ok"
    assert found.found == f"{free[0]}, {free[1]} are free on 127.0.0.1"


def test_another_program_is_told_with_a_way_out(free: list[int], taken: socket.socket) -> None:
    assert not is_free(port_of(taken))
    (found,) = check_ports([port_of(taken)], free[0])
    assert found.verdict == "warn"
    assert found.found == f"taken by another program: {port_of(taken)} (it says nothing)"
    assert f"'sport = :{port_of(taken)}'" in found.advice
    assert "langpose-rt serve --port 0" in found.advice


def test_a_program_that_speaks_zeromq_is_recognised(free: list[int]) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.PUB) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        (found,) = check_ports([port], free[0])
    assert found.found.endswith("(it speaks ZeroMQ)")


def test_a_server_of_ours_is_no_stranger(taken: socket.socket) -> None:
    health = HealthServer("127.0.0.1", 0, snapshot=empty_snapshot, alive=lambda: True)
    health.start()
    try:
        (found,) = check_ports([port_of(taken)], health.port)
    finally:
        health.stop()
    assert found.verdict == "ok"
    assert found.found.startswith("a langpose-rt server answers here: 'srv', ready")
