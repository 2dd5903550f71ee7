"""Check of a running server."""

import time

import numpy as np
import pytest

from langpose_rt.cli.doctor import server as server_check
from langpose_rt.cli.doctor.ports import is_free
from langpose_rt.cli.doctor.server import (
    check_server,
    endpoint_after,
    skew_check,
    stream_checks,
)
from langpose_rt.client.address import Connection
from langpose_rt.errors import ConfigError
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.fakes import FakeBackend, keypoint_parts, person_px


def three_free_ports() -> int:
    """The first of three ports in a row that nobody has."""
    return next(
        port for port in range(41_000, 60_000, 3) if all(map(is_free, range(port, port + 3)))
    )


@pytest.mark.parametrize("endpoint", ["tcp://host", "5555", "tcp://host:65535", "tcp://host:0"])
def test_a_place_without_a_next_port_is_one_sentence(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a port, as in tcp://127.0.0.1:5555"):
        endpoint_after(endpoint, 1)


def test_poses_come_from_the_next_port() -> None:
    assert endpoint_after("tcp://[::1]:5555", 1) == "tcp://[::1]:5556"


def test_a_running_server_says_how_it_does_and_its_clock_is_this_clock() -> None:
    port = three_free_ports()
    server = Server(FakeBackend(), ServerConfig(port=port, http_port=None))
    server.start()
    try:
        alive, skew = check_server(Connection(endpoint=f"tcp://127.0.0.1:{port}"))
    finally:
        server.stop()
    assert alive.verdict == "ok"
    assert alive.found.startswith("'langpose' is ready: 0 cameras, 0 people")
    assert (skew.name, skew.verdict) == ("skew", "ok")


def test_streams_with_odd_numbers_are_warnings() -> None:
    odd = {"rig": "rig0", "camera": "cam0", "suspects": {"small_size": "keypoints reach 300, 200"}}
    found = stream_checks([odd, {"rig": "rig1", "camera": "cam0"}])
    assert [(one.verdict, one.found) for one in found] == [
        ("warn", "rig0/cam0: keypoints reach 300, 200")
    ]


def test_a_running_server_names_its_odd_streams() -> None:
    port = three_free_ports()
    server = Server(FakeBackend(), ServerConfig(port=port, http_port=None))
    server.start()
    try:
        tiny = person_px((0, 0, 4)) * np.array([0.1, 0.1, 1], np.float32)
        for seq in range(5):
            server.pipeline.receive(keypoint_parts(tiny, seq=seq), time.time_ns())
        *_, stream = check_server(Connection(endpoint=f"tcp://127.0.0.1:{port}"))
    finally:
        server.stop()
    assert stream.found.startswith("rig0/cam0: keypoints reach")
    assert stream.advice == "correct what the rig sends (small_size)"


def test_a_control_port_that_is_shut_is_something_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_check, "_HEARD_S", 2.0)
    port = three_free_ports()
    config = ServerConfig(port=port, control_port=0, http_port=None)
    server = Server(FakeBackend(), config)
    server.start()
    try:
        alive, skew = check_server(Connection(endpoint=f"tcp://127.0.0.1:{port}"))
    finally:
        server.stop()
    assert (alive.verdict, skew.verdict) == ("ok", "warn")
    assert f"no answer to clock from tcp://127.0.0.1:{port + 2}" in skew.found


def test_silence_is_a_failure_with_what_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_check, "_HEARD_S", 0.1)
    (found,) = check_server(Connection(endpoint="tcp://127.0.0.1:1"))
    assert found.verdict == "fail"
    assert "langpose-rt doctor" in found.advice


@pytest.mark.parametrize(
    ("skew_ms", "verdict", "words"),
    [(3.0, "ok", "3.0 ms ahead of"), (-40.0, "ok", "40.0 ms behind"), (-2e3, "warn", "2000.0 ms")],
)
def test_clocks_that_differ_much_are_told(skew_ms: float, verdict: str, words: str) -> None:
    found = skew_check(skew_ms, 0.2)
    assert found.verdict == verdict
    assert words in found.found
