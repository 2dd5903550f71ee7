"""A second signal does not wait for the first one's work."""

import json
import signal
import subprocess
import sys

from tests.background import process
from tests.peers import WAIT_S

SERVE = [sys.executable, "-m", "langpose_rt", "serve", "--port", "0", "--no-http", "--json"]
ENDED_AT_ONCE = 1


def test_a_second_signal_ends_the_server_at_once() -> None:
    with process(SERVE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["port"]
        # both wait while it is stopped, and so both are there before the first one's work is done
        for name in ("SIGSTOP", "SIGTERM", "SIGINT", "SIGCONT"):
            server.send_signal(getattr(signal, name))
        assert server.wait(WAIT_S) == ENDED_AT_ONCE
