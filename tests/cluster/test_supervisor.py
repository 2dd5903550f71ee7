"""Lifters that answer, fall silent and change their model, behind a real control socket."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq

from langpose_rt.cluster.placement import FixedPlacement
from langpose_rt.cluster.supervisor import Supervisor
from langpose_rt.errors import ConfigError
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.background import repeating
from tests.fakes import FakeBackend


@contextmanager
def watched(lost_after_ms: int = 2000) -> Iterator[tuple[Server, Supervisor]]:
    server = Server(FakeBackend(), ServerConfig(port=0, http_port=None))
    server.start()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    endpoint = f"tcp://127.0.0.1:{server.ports.control}"
    placement = FixedPlacement([endpoint])
    supervisor = Supervisor(context, placement, None, lost_after_ns=lost_after_ms * 1_000_000)
    try:
        yield server, supervisor
    finally:
        server.stop()
        supervisor.close()
        context.destroy(linger=0)


def poll_until(supervisor: Supervisor, done: object, seconds: float = 20.0) -> None:
    until_s = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < until_s, "it did not happen"
        supervisor.poll(20, time.monotonic_ns)


def test_a_lifter_that_answers_takes_part_and_one_that_ends_does_no_more() -> None:
    with watched() as (server, supervisor):
        poll_until(supervisor, lambda: not supervisor.changes.empty())
        change = supervisor.changes.get()
        assert change.address is not None
        assert (change.address.ports, change.address.epoch) == (server.ports, server.epoch)
        poll_until(supervisor, supervisor.snapshots)
        (state,) = supervisor.states(lambda _: 7)
        assert (state.state, state.streams) == ("ready", 7)
        server.stop()
        poll_until(supervisor, lambda: not supervisor.changes.empty())
        assert supervisor.changes.get().address is None
        assert supervisor.snapshots() == {}
        assert supervisor.states(lambda _: 0)[0].state == "lost"


def test_what_a_lifter_refuses_is_told_in_its_words() -> None:
    with watched() as (_, supervisor):
        poll_until(supervisor, lambda: not supervisor.changes.empty())
        name = supervisor.changes.get().lifter
        with repeating(lambda: supervisor.poll(10, time.monotonic_ns), 0.001):
            with pytest.raises(ConfigError, match=f"{name}: .*restart it"):
                supervisor.change(name, "reload", 20.0)
            with pytest.raises(ConfigError, match="nobody is gone"):
                supervisor.change("nobody", "reload", 1.0)
