"""`top`: what it says of a stream, of a server, and of none."""

import json
from dataclasses import replace

import pytest

from langpose_rt.cli.top import StreamWatch
from langpose_rt.streaming.messages import Drops, Latency
from langpose_rt.streaming.options import ServerConfig
from langpose_rt.streaming.server import Server
from tests.commands import run_here
from tests.fakes import FakeBackend
from tests.streaming.samples import pose_sample


def test_a_row_has_rate_latency_states_and_losses() -> None:
    watch, sample = StreamWatch(), pose_sample()
    for frame in range(11):
        lat = Latency(rx=1_000_000, lift=frame * 1_000_000)
        told = replace(sample, t_srv=frame * 20_000_000, lat=lat, drop=Drops(shed=2))
        watch.note(told, 0.02 * frame)
    row = watch.row()
    assert row["fps"] == pytest.approx(50.0)
    assert row["p50_ms"] == pytest.approx(6.0)
    assert row["p99_ms"] == pytest.approx(10.9)
    assert row["dropped"] == {"shed": 22}
    assert sum(row["states"].values()) == row["people"] == 2


def test_a_server_is_shown_once_in_a_pipe() -> None:
    server = Server(FakeBackend(), ServerConfig(port=0, http_port=None))
    server.start()
    try:
        words = ("top", "--server", f"tcp://127.0.0.1:{server.ports.poses}", "--once")
        done = run_here(*words, "--json")
        shown = run_here(*words)
    finally:
        server.stop()
    assert json.loads(done.out)["server"]["state"] == "ready"
    assert shown.code == 0
    assert "ready" in shown.out
    assert "no poses yet" in shown.out


def test_without_a_server_once_is_one_sentence() -> None:
    done = run_here("top", "--server", "tcp://127.0.0.1:9", "--once", "--wait-s", "0.2")
    assert done.code == 1
    assert "no server was heard at tcp://127.0.0.1:9" in done.sentence
