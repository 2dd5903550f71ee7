"""A running server seen from outside."""

import pytest

from langpose_rt.cli.checks import server as server_check
from langpose_rt.cli.checks.server import check_server, pose_endpoint, skew_check
from langpose_rt.cli.connection import Connection
from langpose_rt.errors import ConfigError
from langpose_rt.streaming.options import ServerConfig
from langpose_rt.streaming.server import Server
from tests.fakes import FakeBackend


@pytest.mark.parametrize("endpoint", ["tcp://host", "5555", "tcp://host:65535", "tcp://host:0"])
def test_a_place_without_a_next_port_is_one_sentence(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a port, as in tcp://127.0.0.1:5555"):
        pose_endpoint(endpoint)


def test_poses_come_from_the_next_port() -> None:
    assert pose_endpoint("tcp://[::1]:5555") == "tcp://[::1]:5556"


def test_a_running_server_says_how_it_does_and_its_clock_is_this_clock() -> None:
    server = Server(FakeBackend(), ServerConfig(port=0, http_port=None))
    server.start()
    try:
        below = f"tcp://127.0.0.1:{server.ports.poses - 1}"
        alive, skew = check_server(Connection(endpoint=below))
    finally:
        server.stop()
    assert alive.verdict == "ok"
    assert alive.found.startswith("'langpose' is ready: 0 cameras, 0 people")
    assert skew.name == "skew"


def test_silence_is_a_failure_with_what_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_check, "_HEARD_S", 0.1)
    (found,) = check_server(Connection(endpoint="tcp://127.0.0.1:1"))
    assert found.verdict == "fail"
    assert "langpose-rt doctor" in found.advice


@pytest.mark.parametrize(
    ("skew_ms", "verdict", "words"),
    [(3.0, "ok", "3 ms ahead"), (-40.0, "ok", "40 ms behind"), (-2000.0, "warn", "2000 ms behind")],
)
def test_clocks_that_differ_much_are_told(skew_ms: float, verdict: str, words: str) -> None:
    found = skew_check(skew_ms)
    assert found.verdict == verdict
    assert words in found.found
