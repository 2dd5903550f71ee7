"""The HTTP pages, over a real socket."""

import contextlib
import http.client
import json
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.mcap_records import MAGIC
from langpose_rt.monitoring.snapshot import Snapshot, StreamSnapshot
from langpose_rt.server import http as health_module
from langpose_rt.server.http import MOST_REQUESTS, OWN_PAGE, HealthServer, names_this_server
from langpose_rt.server.viewer.feed import LIVE_PATHS, MOST_VIEWERS
from tests.monitoring.test_snapshot import empty_snapshot


class Watched:
    """Something to look at."""

    def __init__(self) -> None:
        self.now, self.turns = empty_snapshot(), True

    def snapshot(self) -> Snapshot:
        return self.now

    def alive(self) -> bool:
        return self.turns


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def health(watched: Watched) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, snapshot=watched.snapshot, alive=watched.alive)
    server.start()
    yield server
    server.stop()


def get(
    health: HealthServer, path: str, headers: dict[str, str] | None = None, host: str = "127.0.0.1"
) -> tuple[int, str]:
    asked = urllib.request.Request(f"http://{host}:{health.port}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(asked, timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("state", ["starting", "degraded", "draining"])
def test_a_server_that_is_not_ready_is_sent_nobody_and_killed_by_nobody(
    health: HealthServer, watched: Watched, state: str
) -> None:
    watched.now = replace(watched.now, state=state)
    assert get(health, "/livez") == (200, "alive\n")
    assert get(health, "/readyz") == (503, f"not ready: {state}\n")


def test_a_server_that_hangs_is_neither_alive_nor_ready(
    health: HealthServer, watched: Watched
) -> None:
    assert get(health, "/livez") == (200, "alive\n")
    assert get(health, "/readyz?verbose") == (200, "ready\n")
    watched.turns = False
    assert get(health, "/livez")[0] == 503
    assert get(health, "/readyz")[0] == 503


def test_metrics_are_prometheus_text(health: HealthServer, watched: Watched) -> None:
    stream = StreamSnapshot(
        rig="rig0", camera="cam0", epoch=1, persons=1, waiting=0, unanswered=0, offset_ns=0,
        assumed_intrinsics=False,
        heard_ago_s=0.1,
        totals={"accepted": 7, "late": 0, "dup": 0, "gap": 0, "shed": 2, "failed": 0},
    )  # fmt: skip
    watched.now = replace(
        watched.now,
        streams=(stream,),
        rejected={"bad_topic": 3},
        buckets=(1, 2) + (0,) * 15,
        latency_total_ns=2_000_000,
    )
    status, text = get(health, "/metrics")
    lines = text.splitlines()
    assert status == 200
    assert "# HELP langpose_dup_total Frames that came twice." in lines
    assert 'langpose_rejected_total{reason="bad_topic"} 3.0' in lines
    assert 'langpose_stream_frames_total{camera="cam0",rig="rig0"} 7.0' in lines
    assert 'langpose_stream_lost_total{camera="cam0",how="shed",rig="rig0"} 2.0' in lines
    assert 'langpose_latency_seconds_bucket{le="0.001"} 3.0' in lines
    assert 'langpose_latency_seconds_bucket{le="+Inf"} 3.0' in lines
    assert "langpose_latency_seconds_sum 0.002" in lines
    assert 'langpose_state{state="ready"} 1.0' in lines
    assert 'langpose_state{state="degraded"} 0.0' in lines


def test_status_is_the_whole_snapshot_as_json(health: HealthServer) -> None:
    status, text = get(health, "/status")
    found = json.loads(text)
    assert status == 200
    assert (found["server"], found["state"], found["slots"]) == ("srv", "ready", 8)
    assert found["model"]["id"] == "fake"
    assert found["counters"]["messages"] == 0


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/status", "/", "/live", "/live/2d"])
def test_head_is_answered_with_the_headers_only(health: HealthServer, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", health.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("HEAD", path)
        reply = connection.getresponse()
        assert reply.status == 200
        assert reply.read() == b""
        assert path in LIVE_PATHS or int(reply.headers["Content-Length"]) > 0


def test_an_unknown_page_says_which_there_are(health: HealthServer) -> None:
    status, text = get(health, "/nothing")
    assert status == 404
    assert "/readyz" in text


def test_a_port_in_use_is_one_sentence(health: HealthServer, watched: Watched) -> None:
    look = {"snapshot": watched.snapshot, "alive": watched.alive}
    with pytest.raises(ConfigError, match=f"127.0.0.1:{health.port} .*choose another --http-port"):
        HealthServer("127.0.0.1", health.port, **look)  # type: ignore[arg-type]


def test_a_server_that_never_started_can_be_stopped(watched: Watched) -> None:
    HealthServer("127.0.0.1", 0, snapshot=watched.snapshot, alive=watched.alive).stop()


@pytest.fixture
def idle(health: HealthServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Connections that never ask for anything, to a server that would wait for them for ever."""
    monkeypatch.setattr(health_module._Handler, "timeout", None)
    address = "127.0.0.1", health.port
    connections = [socket.create_connection(address, 20) for _ in range(2 * MOST_REQUESTS)]
    yield connections
    for connection in connections:
        connection.close()


def was_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:  # it was never accepted
        return True


def test_idle_connections_keep_nobody_from_the_pages(
    health: HealthServer, idle: list[socket.socket]
) -> None:
    assert get(health, "/livez") == (200, "alive\n")
    assert was_cut(idle[0]), "the one that was held longest was cut"


def test_stopping_cuts_idle_connections_and_waits_for_none(
    health: HealthServer, idle: list[socket.socket]
) -> None:
    stopping = threading.Thread(target=health.stop, daemon=True)
    stopping.start()
    stopping.join(20)
    assert not stopping.is_alive()
    assert all(was_cut(connection) for connection in idle)


def test_an_address_of_six_is_served_too(watched: Watched) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = HealthServer("::1", 0, snapshot=watched.snapshot, alive=watched.alive)
    server.start()
    try:
        assert get(server, "/livez", host="[::1]") == (200, "alive\n")
    finally:
        server.stop()


def test_the_viewer_is_at_the_root_and_its_events_end_with_the_server(health: HealthServer) -> None:
    assert "<canvas" in get(health, "/")[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{health.port}/live", timeout=20) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream"
        assert reply.readline() == b"event: status\n"
        health.stop()
        reply.read()  # ends, and does not wait for ever


def test_a_recording_is_sent_to_pages_of_this_server_only_until_it_is_ended(
    health: HealthServer,
) -> None:
    pytest.importorskip("mcap", reason="pip install '.[record]'")
    assert get(health, "/recording")[0] == 403
    assert get(health, "/recording?0")[0] == 403
    own = {OWN_PAGE: "viewer"}
    assert get(health, "/recording?0", own)[0] == 404
    asked = urllib.request.Request(f"http://127.0.0.1:{health.port}/recording", headers=own)
    with urllib.request.urlopen(asked, timeout=20) as reply:
        first = reply.read(8)
        assert get(health, f"/recording?{reply.headers['X-Recording']}", own)[0] == 204
        assert first == MAGIC
        assert reply.read().endswith(MAGIC)


def test_a_recording_without_mcap_is_refused_in_one_sentence(
    health: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    code, said = get(health, "/recording", {OWN_PAGE: "viewer"})
    assert code == 501
    assert "pip install" in said


def test_a_fifth_page_of_a_kind_is_refused_and_one_of_another_kind_is_not(
    health: HealthServer,
) -> None:
    url = f"http://127.0.0.1:{health.port}/live"
    with contextlib.ExitStack() as pages:
        for _ in range(MOST_VIEWERS):
            page = pages.enter_context(urllib.request.urlopen(url, timeout=20))
            assert page.readline() == b"event: status\n"
        assert get(health, "/live")[0] == 503
        with urllib.request.urlopen(f"{url}/2d", timeout=20) as other:
            assert other.readline() == b"event: formats\n"


@pytest.mark.parametrize(
    ("path", "code"),
    [("/", 421), ("/live", 421), ("/live/2d", 421), ("/recording", 421), ("/status", 421),
     ("/metrics", 200)],
)  # fmt: skip
def test_a_page_of_another_name_reads_nothing(health: HealthServer, path: str, code: int) -> None:
    found, said = get(health, path, {"Host": "evil.example"})
    assert found == code
    assert ("use an IP address or localhost" in said) == (code == 421)


@pytest.mark.parametrize(
    "host",
    [None, "localhost", "localhost:9464", "127.0.0.1:9464", "192.168.1.7", "[::1]:9464", "studio",
     "langpose:9464", "studio.example.org:9464"],
)  # fmt: skip
def test_addresses_names_of_the_house_and_the_bound_one_are_ours(host: str | None) -> None:
    assert names_this_server(host, "studio.example.org")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "1.2.3", "evil.example."],
)
def test_a_name_with_a_dot_is_somebody_elses(host: str) -> None:
    assert not names_this_server(host, "127.0.0.1")
