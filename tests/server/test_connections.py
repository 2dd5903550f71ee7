"""Limits of connections: real sockets of this machine, looked at by hand."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator

import pytest
import zmq

from langpose_rt.protocol.control import Ports
from langpose_rt.protocol.header import RejectReason
from langpose_rt.server import connections
from langpose_rt.server.connections import (
    MANY_POLL_S,
    MAX_CONNECTIONS,
    POLL_S,
    WAITING_BYTES,
    ByteLimit,
    ConnectionLimits,
    Taken,
    borrowed,
    connection_limits,
    most_connections,
)
from tests.peers import LOCAL, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the bytes")


class Port:
    """A listening socket, what it has accepted, and who connects to it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.listening = self._stack.enter_context(socket.create_server((LOCAL, 0)))
        self.number: int = self.listening.getsockname()[1]
        self.accepted: list[socket.socket] = []

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """A peer, and its connection on this side."""
        peer = self._stack.enter_context(socket.create_connection((LOCAL, self.number)))
        self.accepted.append(self._stack.enter_context(self.listening.accept()[0]))
        return peer, self.accepted[-1]

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.close()


class Desk:
    """Limits of one port, and who was cut."""

    def __init__(
        self,
        port: Port,
        *,
        burst: int = 1000,
        per_s: int = 0,
        most: int = 100,
        called: dict[int, int] | None = None,
    ) -> None:
        self.taken, self.cut = Taken(), list[tuple[RejectReason, str]]()
        limits = {port.number: ByteLimit(burst=burst, per_s=per_s, together=3000)}
        self.limits = ConnectionLimits(
            limits, {port.number: self.taken}, most, lambda *cut: self.cut.append(cut), called
        )

    def poll(self, elapsed_s: float = 0.0, *, full: bool = False) -> list[RejectReason]:
        """Reasons of those cut now; if full, something waited all the time."""
        self.cut.clear()
        self.taken.emptied += not full
        self.limits.poll(elapsed_s)
        return [reason for reason, _ in self.cut]


def put(peer: socket.socket, here: socket.socket, size: int) -> None:
    """Send so many bytes and read them, so that the system has counted them."""
    while size:
        peer.sendall(bytes(some := min(size, 1 << 16)))
        size -= some
        while some:
            some -= len(here.recv(some))


def is_cut(peer: socket.socket) -> bool:
    """Return True if the other side has ended the connection."""
    peer.settimeout(0.5)
    try:
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_sends_more_than_the_burst_without_a_message_is_cut_and_nobody_else(port: Port) -> None:
    desk, (bad, bad_here), (good, good_here) = Desk(port), port.connect(), port.connect()
    put(bad, bad_here, 1000)
    put(good, good_here, 900)
    assert desk.poll() == []
    put(bad, bad_here, 1)
    assert desk.poll() == [RejectReason.TOO_MUCH_SENT]
    assert LOCAL in desk.cut[0][1]
    assert is_cut(bad)
    assert not is_cut(good)


class Part(zmq.Frame):
    """The first part of a message that came by a connection."""

    _descriptor = -1

    def __init__(self, here: socket.socket) -> None:
        super().__init__(b"")
        self._descriptor = here.fileno()

    def get(self, _: int | str) -> int:
        return self._descriptor


def test_what_was_read_does_not_count(port: Port) -> None:
    desk, (peer, here) = Desk(port), port.connect()
    for _ in range(10):
        put(peer, here, 900)
        assert desk.taken.add(Part(here), [891], sealed=False) == here.fileno()
        assert desk.poll() == []
    put(peer, here, 600)
    assert desk.poll() == []
    put(peer, here, 401)
    assert desk.poll() == [RejectReason.TOO_MUCH_SENT]


@pytest.mark.parametrize("sealed", [False, True])
def test_messages_are_counted_as_they_are_on_the_wire(sealed: bool) -> None:
    """Else the count of a rig that sends for days would drift away."""
    with (
        zmq.Context() as context,
        context.socket(zmq.PULL) as here,
        context.socket(zmq.PUSH) as rig,
    ):
        rig.linger = 0
        if sealed:
            public, secret = zmq.curve_keypair()
            here.curve_server, here.curve_secretkey = True, secret
            rig.curve_serverkey = public
            rig.curve_publickey, rig.curve_secretkey = zmq.curve_keypair()
        rig.connect(f"tcp://{LOCAL}:{here.bind_to_random_port(f'tcp://{LOCAL}')}")
        taken, counts = Taken(), []
        for parts in ([b""], [b"x" * 255, b"y" * 256], [b"z" * 70_000], [b"a", b"", b"b" * 222]):
            rig.send_multipart(parts)
            frames = here.recv_multipart(copy=False)
            descriptor = taken.add(frames[0], map(len, frames), sealed=sealed)
            received = connections._received(descriptor)
            assert received is not None
            counts.append(received - taken.by_descriptor()[descriptor])
        assert len(set(counts)) == 1, "all but the handshake"


def test_nobody_new_comes_in_while_messages_wait_for_long(port: Port) -> None:
    desk, (old, old_here) = Desk(port), port.connect()
    assert desk.poll(5.0) == []
    assert desk.poll(0.2, full=True) == []
    socket.create_connection((LOCAL, port.number), timeout=5).close()
    assert desk.poll(0.2, full=True) == []
    with pytest.raises(TimeoutError):
        socket.create_connection((LOCAL, port.number), timeout=0.3)
    put(old, old_here, 10)
    assert desk.poll() == []
    port.connect()


def test_nobody_new_comes_in_while_much_waits_of_those_who_left(port: Port) -> None:
    desk = Desk(port)
    for size in (200, 51):  # the second makes it more than a quarter of one peer's limit
        socket.create_connection((LOCAL, port.number), timeout=5).close()
        port.listening.accept()[0].close()
        peer, here = port.connect()
        put(peer, here, size)
        assert desk.poll(0.0, full=True) == []
        for one in (peer, here):
            one.close()
    assert desk.poll(0.0, full=True) == []
    with pytest.raises(TimeoutError):
        socket.create_connection((LOCAL, port.number), timeout=0.3)
    assert desk.poll() == []
    port.connect()


def test_those_who_are_in_share_what_may_wait(port: Port) -> None:
    desk, pairs = Desk(port), [port.connect() for _ in range(6)]
    assert desk.poll() == []
    for (peer, here), size in zip(pairs, (900, 900, 400, 400, 400, 400), strict=True):
        put(peer, here, size)
    assert desk.poll(full=True) == []
    assert desk.poll(full=True) == [RejectReason.TOO_MUCH_SENT] * 2
    assert [is_cut(peer) for peer, _ in pairs[:3]] == [True, True, False]


def test_a_rig_that_is_connected_to_is_limited_too(port: Port) -> None:
    rig = Port()
    try:
        desk = Desk(port, called={rig.number: port.number})
        there, here = rig.connect()
        put(here, there, 1001)
        assert desk.poll() == [RejectReason.TOO_MUCH_SENT]
    finally:
        rig.close()


@pytest.mark.parametrize("has_front", [False, True])
def test_the_front_of_a_cluster_may_be_ahead_by_more_than_one_rig(
    port: Port, has_front: bool
) -> None:
    cut = list[RejectReason]()
    limits = connection_limits(
        Ports(port.number, 1, 2),
        (Taken(), Taken(), Taken()),
        lambda reason, _: cut.append(reason),
        has_front=has_front,
    )
    put(*port.connect(), WAITING_BYTES + 1)
    limits.poll(0.0)
    assert cut == [RejectReason.TOO_MUCH_SENT] * (not has_front)


def test_a_rate_lets_a_peer_send_for_ever_and_no_faster(port: Port) -> None:
    desk, (peer, here) = Desk(port, burst=1000, per_s=100), port.connect()
    for _ in range(20):
        put(peer, here, 100)
        assert desk.poll(1.0) == []
    for _ in range(11):
        put(peer, here, 100)
    assert desk.poll(0.5) == [RejectReason.TOO_MUCH_SENT]


def test_the_newest_are_cut_where_too_many_are_connected(port: Port) -> None:
    desk = Desk(port, most=3)
    first = [port.connect()[0] for _ in range(3)]
    assert desk.poll() == []
    late = [port.connect()[0] for _ in range(2)]
    assert desk.poll() == [RejectReason.TOO_MANY_CONNECTIONS] * 2
    assert "ulimit -n" in desk.cut[0][1]
    assert all(map(is_cut, late))
    assert not any(map(is_cut, first))


def test_of_several_addresses_the_one_with_the_most_connections_gives_way(port: Port) -> None:
    desk = Desk(port, most=4)
    crowd = [port.connect()[0] for _ in range(4)]
    desk.poll()
    with socket.socket() as single:
        single.bind(("127.0.0.2", 0))
        single.connect((LOCAL, port.number))
        with port.listening.accept()[0]:
            assert desk.poll() == [RejectReason.TOO_MANY_CONNECTIONS]
            assert not is_cut(single)
            assert [is_cut(peer) for peer in crowd] == [False, False, False, True]


def test_other_sockets_files_and_ports_are_left_alone(port: Port) -> None:
    other, desk = Port(), Desk(port, burst=10, most=1)
    try:
        pairs = [other.connect() for _ in range(3)]
        for peer, here in pairs:
            put(peer, here, 100)
        assert desk.poll() == []
        assert not any(is_cut(peer) for peer, _ in pairs)
    finally:
        other.close()


def test_a_connection_that_takes_the_descriptor_of_another_begins_at_zero(port: Port) -> None:
    desk, (peer, here) = Desk(port), port.connect()
    put(peer, here, 900)
    assert desk.poll() == []
    descriptor = here.fileno()
    here.close()
    peer.close()
    again, here = port.connect()
    assert here.fileno() <= descriptor
    put(again, here, 900)
    assert desk.poll() == []
    assert not is_cut(again)


def test_connections_are_found_when_no_descriptor_is_free_to_list_them(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, (peer, here) = Desk(port), port.connect()

    def fail(_: str) -> list[str]:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(connections.os, "listdir", fail)
    put(peer, here, 1001)
    assert desk.poll() == [RejectReason.TOO_MUCH_SENT]


def test_a_borrowed_socket_stays_open(port: Port) -> None:
    peer, here = port.connect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number
    with borrowed(here.fileno()) as one:
        assert one.getpeername() == peer.getsockname()
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    put(peer, here, 5)
    with pytest.raises(OSError, match="Bad file descriptor"), borrowed(99_999):
        pass


def test_many_connections_are_looked_at_less_often(port: Port) -> None:
    desk = Desk(port)
    desk.poll()
    before = desk.limits.poll_s
    for _ in range(101):
        port.connect()
    desk.poll()
    assert (before, desk.limits.poll_s) == (POLL_S, MANY_POLL_S)
    desk.limits.close()
    assert desk.limits.poll_s == POLL_S


def test_there_are_descriptors_for_twice_the_connections() -> None:
    import resource

    most = most_connections()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < most <= MAX_CONNECTIONS
    assert most == min(MAX_CONNECTIONS, soft // 2)


def test_nobody_is_cut_where_bytes_are_not_counted(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(connections.socket, "TCP_INFO")
    desk, (peer, here) = Desk(port), port.connect()
    put(peer, here, 5000)
    assert desk.poll() == []
    before_s = time.monotonic()
    wait_until(lambda: time.monotonic() > before_s)
