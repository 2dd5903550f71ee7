"""The door of a listening port, on real sockets."""

import socket
import sys

import pytest

from langpose_rt.server.door import Door
from tests.peers import LOCAL

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no filter")


def test_a_closed_door_keeps_newcomers_out_and_nobody_else() -> None:
    with socket.create_server((LOCAL, 0)) as listening:
        port = listening.getsockname()[1]
        door = Door(port)
        with socket.create_connection((LOCAL, port)) as old, listening.accept()[0] as here:
            door.close()
            door.close()
            assert door.closed
            with pytest.raises(TimeoutError):
                socket.create_connection((LOCAL, port), timeout=0.3)
            old.sendall(b"still here")
            assert here.recv(10) == b"still here"
            door.open()
            assert not door.closed
            socket.create_connection((LOCAL, port), timeout=5).close()


def test_who_waits_at_the_door_comes_in_when_it_opens() -> None:
    with socket.create_server((LOCAL, 0)) as listening:
        listening.settimeout(10)
        door = Door(listening.getsockname()[1])
        door.close()
        with socket.socket() as waiting:
            waiting.setblocking(False)
            assert waiting.connect_ex((LOCAL, listening.getsockname()[1])) != 0
            door.open()
            listening.accept()[0].close()


def test_a_port_that_nobody_listens_on_has_no_door() -> None:
    with socket.create_server((LOCAL, 0)) as listening:
        port = listening.getsockname()[1]
    door = Door(port)
    door.close()
    assert not door.closed
