"""Peers that attack a real server with raw sockets, beside a rig that loses nothing."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from langpose_rt.benchmark.child_server import ChildServer, child_server
from tests.attackers import attacked, honest_rig, seconds_to_end
from tests.background import process
from tests.commands import COMMAND, ENVIRONMENT
from tests.peers import WAIT_S, wait_until

Serving = Callable[[], AbstractContextManager[ChildServer]]

PATIENT = ("--max-wait-ms", "10000")
ONE_LIFTER = ("cluster", "--lifters", "1", "--lost-after-ms", "10000", *PATIENT)
"""What a frame may wait here: a busy machine is not a defect."""

MOST_MB = 900.0
_ATTACK_S = 3.0


def status_of(server: ChildServer) -> dict[str, Any]:
    """The server's own account."""
    where = f"http://127.0.0.1:{server.announcement['http_port']}/status"
    with urllib.request.urlopen(where, timeout=20) as answer:
        status: dict[str, Any] = json.load(answer)
    return status


@contextmanager
def one_server() -> Iterator[ChildServer]:
    """A server that waits for a busy machine, and ends when it is told to."""
    with child_server(PATIENT) as server:
        yield server
        assert seconds_to_end(server.pid) < WAIT_S


@contextmanager
def cluster_of_one() -> Iterator[ChildServer]:
    """A front with one lifter, which is ready."""
    words = [*COMMAND, *ONE_LIFTER, "--port", "0", "--http-port", "0", "--json"]
    with process(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as front:
        assert front.stdout is not None
        server = ChildServer(json.loads(front.stdout.readline()), front.pid)
        wait_until(lambda: bool(status_of(server)["state"] == "ready"))
        yield server
        front.terminate()
        assert front.wait(WAIT_S) == 0


def lost_beside(*attacks: str, expected: str | None = None, serving: Serving = one_server) -> int:
    """Frames that the honest rig lost beside these attacks; the server is well afterwards."""
    with serving() as server:
        with honest_rig(server, rate_hz=20.0) as account:
            time.sleep(0.5)
            with attacked(server, *attacks):
                time.sleep(_ATTACK_S)
                if expected is not None:
                    wait_until(lambda: status_of(server)["rejected"].get(expected, 0) > 0)
                resident_mb = server.resident_mb()
            time.sleep(0.5)
        status = status_of(server)
        missing = sorted(set(range(account.sent)) - account.answered)
        print(f"missing {missing}; {status['counters']}; {status['rejected']}; {status['streams']}")
        assert status["counters"]["internal_errors"] == 0
        assert status["state"] == "ready"
        assert resident_mb is None or resident_mb < MOST_MB
        assert account.sent > 20
        return account.lost


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        ("json beyond the largest", "too_large"),
        ("json that is refused", None),
        ("endless parts", "too_much_sent"),
        ("long subscriptions", None),
        ("many subscriptions", "too_much_sent"),
        ("subscriptions taken back", "too_much_sent"),
        ("largest numbers", None),
        ("seventy cameras", "too_many_streams"),
        ("sixty crowds", None),
        ("noise", "bad_header"),
        ("resets", None),
        ("resets of requests", "too_much_sent"),
        ("resets of subscriptions", "too_much_sent"),
    ],
)
def test_an_honest_rig_loses_nothing_beside(attack: str, expected: str | None) -> None:
    assert lost_beside(attack, expected=expected) == 0


@pytest.mark.slow
def test_an_honest_rig_loses_nothing_when_connections_run_out() -> None:
    assert lost_beside("connections", expected="too_many_connections") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        ("json beyond the largest", "too_large"),
        ("json that is refused", None),
        ("endless parts", "too_much_sent"),
        ("many subscriptions", "too_much_sent"),
        ("subscriptions taken back", "too_much_sent"),
        ("largest numbers", None),
        ("connections", "too_many_connections"),
        ("noise", "bad_header"),
    ],
)
def test_an_honest_rig_behind_a_front_loses_nothing_beside(
    attack: str, expected: str | None
) -> None:
    assert lost_beside(attack, expected=expected, serving=cluster_of_one) == 0
