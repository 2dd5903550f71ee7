"""Server sockets: opened, read without waiting, and reconnected where a rig binds."""

import errno
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq

from langpose_rt.errors import ConfigError
from langpose_rt.protocol.header import MAX_MESSAGE_BYTES, MAX_PARTS
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.connections import Taken
from langpose_rt.server.peer_budget import NS_PER_MS, WINDOW_NS, PeerBudget
from langpose_rt.server.sockets import (
    RigSockets,
    listening_socket,
    open_sockets,
    received,
    schemas_wanted,
    send_all,
)
from tests.attackers import raw_peer
from tests.peers import LOCAL, WAIT_S, Peers, peers, wait_until

Socket = zmq.Socket[bytes]


@pytest.fixture
def context() -> "Iterator[zmq.Context[Socket]]":
    with zmq.Context() as made:
        yield made


@pytest.fixture
def rigs(context: "zmq.Context[Socket]") -> Iterator[list[Socket]]:
    """Two rigs that bind."""
    made = [context.socket(zmq.XPUB) for _ in range(2)]
    for rig in made:
        rig.linger = 0
        rig.bind_to_random_port(f"tcp://{LOCAL}")
    yield made
    for rig in made:
        rig.close()


def endpoint_of(rig: Socket) -> str:
    return rig.get_string(zmq.LAST_ENDPOINT)


@pytest.fixture
def sockets(context: "zmq.Context[Socket]", rigs: list[Socket]) -> Iterator[RigSockets]:
    bound, _ = listening_socket(context, zmq.SUB, LOCAL, 0, option="--port")
    config = ServerConfig(connect=tuple(map(endpoint_of, rigs)), connect_timeout_s=3.0)
    made = RigSockets(context, bound, config)
    for rig in rigs:
        assert rig.poll(WAIT_S * 1000), "the server did not subscribe"
        rig.recv()
    yield made
    made.close()


def next_of(sockets: RigSockets) -> list[bytes]:
    assert sockets.wait(round(WAIT_S * 1000))
    message = sockets.receive()
    assert message is not None
    return message[0]


def test_rigs_are_read_in_turn_and_none_shuts_another_out(
    sockets: RigSockets, rigs: list[Socket]
) -> None:
    for number in range(20):
        rigs[0].send_multipart([b"loud", b"%d" % number])
    rigs[1].send_multipart([b"quiet", b"0"])
    wait_until(lambda: sockets.wait(10) and len(sockets._ready) == 2)
    first, second = next_of(sockets), sockets.receive()
    assert second is not None
    assert {first[0], second[0][0]} == {b"loud", b"quiet"}


def test_only_the_silent_rig_is_connected_to_anew_and_told_once(
    sockets: RigSockets, rigs: list[Socket]
) -> None:
    assert sockets.reconnect_silent(0.0) == (0, [])
    for now_s in (2.0, 4.0, 6.0):
        rigs[0].send(b"here")
        assert next_of(sockets) == [b"here"]
        fallen = [endpoint_of(rigs[1])] if now_s == 4.0 else []
        assert sockets.reconnect_silent(now_s) == (len(fallen), fallen)
    assert sockets.reconnect_silent(7.5) == (1, []), "it has been told"


def test_a_rig_stays_connected_while_no_descriptor_is_free_for_another_socket(
    sockets: RigSockets, rigs: list[Socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Socket:
        raise zmq.ZMQError(errno.EMFILE)

    sockets.reconnect_silent(0.0)
    monkeypatch.setattr("langpose_rt.server.sockets.connected_socket", fail)
    assert sockets.reconnect_silent(4.0)[0] == 2
    rigs[0].send_multipart([b"still", b"here"])
    assert next_of(sockets) == [b"still", b"here"]


@pytest.mark.parametrize("behind_front", [False, True])
def test_messages_beyond_a_share_are_passed_over_and_their_topic_is_told(
    context: "zmq.Context[Socket]",
    others: Peers,
    monkeypatch: pytest.MonkeyPatch,
    behind_front: bool,
) -> None:
    """Behind the front of a cluster both rigs come through one connection."""
    bound, port = listening_socket(context, zmq.SUB, LOCAL, 0, option="--port")
    told: list[bytes] = []
    sockets = RigSockets(
        context, bound, ServerConfig(behind_front=behind_front), on_passed_over=told.append
    )
    try:
        honest = greedy = others.connect(zmq.XPUB, port)
        if not behind_front:
            greedy = others.connect(zmq.XPUB, port)
        for rig in {honest, greedy}:
            wait_until(lambda rig=rig: sockets.wait(10) or bool(rig.poll(0)))
        read, window_ns, spent = [], WINDOW_NS, {b"kp2d/honest/a/": 1, b"kp2d/greedy/a/": 60}
        body, accounts, add = bytes(1 << 20), Counter[int](), sockets.taken.add

        def counted(*message: Any, sealed: bool) -> int:
            accounts[connection := add(*message, sealed=sealed)] += 1
            return connection

        monkeypatch.setattr(sockets.taken, "add", counted)
        windows = 12 if behind_front else 6  # a front may send a stream's last frames again
        for window in range(windows):
            for rig, topic in zip((honest, greedy), spent, strict=True):
                for _ in range(6):
                    rig.send_multipart([topic, body])
            while len(read) + len(told) < 12 * (window + 1):
                assert sockets.wait(round(WAIT_S * 1000))
                while (message := sockets.receive(window * window_ns)) is not None:
                    read.append(message[0][0])
                    sockets.processed(spent[message[0][0]] * NS_PER_MS)
        assert read.count(b"kp2d/honest/a/") == 6 * windows
        assert set(told) == {b"kp2d/greedy/a/"}
        assert sum(accounts.values()) == 12 * windows
        assert len(accounts) == 2 - behind_front, "every connection has its own account"
    finally:
        sockets.close()


def test_a_flood_that_is_passed_over_gives_the_thread_back(
    context: "zmq.Context[Socket]", others: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a server that floods does not end, and looks as if the thread had stopped."""
    bound, port = listening_socket(context, zmq.SUB, LOCAL, 0, option="--port")
    told: list[bytes] = []
    sockets = RigSockets(context, bound, ServerConfig(), on_passed_over=told.append)
    monkeypatch.setattr("langpose_rt.server.sockets.PASSED_OVER_PER_READ", 10)
    monkeypatch.setattr(PeerBudget, "admits", lambda *_: False)
    try:
        rig = others.connect(zmq.XPUB, port)
        wait_until(lambda: sockets.wait(10) or bool(rig.poll(0)))
        for _ in range(25):
            rig.send_multipart([b"kp2d/flood/a/", b""])
        counts = []
        while len(told) < 25:
            assert sockets.wait(round(WAIT_S * 1000))
            before = len(told)
            assert sockets.receive(0) is None
            counts.append(len(told) - before)
        assert max(counts) <= 10
    finally:
        sockets.close()


def test_a_rig_that_comes_back_is_heard_and_its_next_silence_is_told_again(
    sockets: RigSockets, rigs: list[Socket]
) -> None:
    silent = endpoint_of(rigs[1])
    sockets.reconnect_silent(0.0)
    assert silent in sockets.reconnect_silent(3.5)[1]

    def is_heard() -> bool:
        rigs[1].send(b"back")
        return sockets.wait(20) and sockets.receive() == ([b"back"], None)

    wait_until(is_heard)
    assert silent not in sockets.reconnect_silent(5.0)[1]
    assert silent in sockets.reconnect_silent(8.5)[1]


def test_a_rig_that_sends_too_much_at_once_hurts_only_itself_and_for_a_while(
    sockets: RigSockets, rigs: list[Socket]
) -> None:
    rigs[1].send(b"x" * (MAX_MESSAGE_BYTES + 1))

    def is_deaf() -> bool:
        rigs[1].send(b"small")
        return not sockets.wait(200)

    wait_until(is_deaf)
    rigs[0].send(b"here")
    assert next_of(sockets) == [b"here"]
    sockets.reconnect_silent(0.0)
    sockets.reconnect_silent(4.0)

    def is_heard() -> bool:
        rigs[1].send(b"small")
        return sockets.wait(20) and sockets.receive() == ([b"small"], None)

    wait_until(is_heard)


@pytest.mark.parametrize("endpoint", ["rig0:5550", "tcp://rig0", "tcp://127.0.0.1:70000", "x://y"])
def test_what_is_no_endpoint_is_one_sentence(context: "zmq.Context[Socket]", endpoint: str) -> None:
    bound, _ = listening_socket(context, zmq.SUB, LOCAL, 0, option="--port")
    with bound, pytest.raises(ConfigError, match=f'cannot connect to "{endpoint}".*--connect'):
        RigSockets(context, bound, ServerConfig(connect=(endpoint,)))


def test_a_file_of_this_machine_is_an_endpoint(
    context: "zmq.Context[Socket]", tmp_path: Path
) -> None:
    bound, _ = listening_socket(context, zmq.SUB, LOCAL, 0, option="--port")
    endpoint = f"ipc://{tmp_path}/rig"
    sockets = RigSockets(context, bound, ServerConfig(connect=(endpoint,)))
    with context.socket(zmq.XPUB) as rig:
        rig.bind(endpoint)
        assert rig.poll(WAIT_S * 1000)
        rig.recv()
        rig.send(b"here")
        assert next_of(sockets) == [b"here"]
    sockets.close()


@pytest.fixture
def others() -> Iterator[Peers]:
    with peers() as found:
        yield found


@pytest.mark.parametrize("bind", [LOCAL, "::1"])
def test_a_free_port_is_taken_and_a_taken_one_is_named(
    context: "zmq.Context[Socket]", bind: str
) -> None:
    socket, port = listening_socket(context, zmq.SUB, bind, 0, option="--port")
    assert port > 0
    taken = f"{bind}:{port} .*in use.*choose another --somewhere"
    with socket, pytest.raises(ConfigError, match=taken):
        listening_socket(context, zmq.XPUB, bind, port, option="--somewhere")


def test_messages_are_read_whole_without_waiting_and_never_longer_than_allowed(
    context: "zmq.Context[Socket]", others: Peers
) -> None:
    socket, port = listening_socket(context, zmq.SUB, LOCAL, 0, option="--port")
    with socket:
        assert received(socket) is None
        publisher = others.connect(zmq.XPUB, port)
        # a bound SUB attaches peers only while it is polled
        wait_until(lambda: bool(socket.poll(10) or publisher.poll(0)))
        publisher.send_multipart([b"x"] * 1000)
        publisher.send_multipart([b"a", b"", b"c"])
        assert socket.poll(WAIT_S * 1000)
        assert received(socket) == [b"x"] * (MAX_PARTS + 1)
        assert socket.poll(WAIT_S * 1000)
        assert received(socket) == [b"a", b"", b"c"]


@pytest.mark.parametrize("kind", ["SUB", "ROUTER", "XPUB"])
def test_a_peer_that_resets_its_connection_is_no_end_of_the_process(kind: str) -> None:
    """libzmq aborts where a heartbeat waits behind a full queue, so it is a process of its own."""
    code = f"""
import threading, time, zmq
from langpose_rt.server.sockets import listening_socket
from tests.attackers import reset_behind
socket, port = listening_socket(zmq.Context(), zmq.{kind}, "127.0.0.1", 0, option="--port")
peer = {{"SUB": b"PUB", "ROUTER": b"DEALER", "XPUB": b"SUB"}}["{kind}"]
attack = threading.Thread(target=lambda: [reset_behind(port, peer) for _ in range(3)])
attack.start()
while attack.is_alive():
    socket.poll(10)
    time.sleep(0.2)
    for _ in range(3000):
        if socket.poll(0):
            socket.recv_multipart()
print("alive", flush=True)
import os; os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=120, check=False
    )
    assert done.stdout == b"alive\n", done.stderr[-500:]


@pytest.mark.parametrize("behind_front", [False, True])
def test_a_front_that_lags_loses_nothing_that_other_consumers_would_lose(
    context: "zmq.Context[Socket]", behind_front: bool
) -> None:
    """A lifter that catches up sends more at once than a busy front takes."""
    sockets = open_sockets(context, ServerConfig(port=0, behind_front=behind_front))
    with ExitStack() as stack:
        for socket in sockets[:3]:
            stack.enter_context(socket)
        consumer = stack.enter_context(context.socket(zmq.SUB))
        consumer.set(zmq.RCVHWM, 1)
        consumer.subscribe(b"")
        consumer.connect(f"tcp://{LOCAL}:{sockets.ports.poses}")
        wait_until(lambda: sockets.poses.poll(10) != 0)
        sockets.poses.recv()
        for _ in range(3000):
            sockets.poses.send(bytes(10_000), zmq.NOBLOCK)
        heard = 0
        while consumer.poll(1000):
            consumer.recv()
            heard += 1
    assert (heard == 3000) == behind_front


def test_no_peer_is_sent_heartbeats(context: "zmq.Context[Socket]") -> None:
    """One that waits in a consumer's full queue ends the consumer when the server is gone."""
    bound, port = listening_socket(context, zmq.XPUB, LOCAL, 0, option="--port")
    with bound, raw_peer(port, b"SUB") as peer:
        peer.settimeout(1.2)
        with pytest.raises(TimeoutError):
            peer.recv(1)


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [(b"schema/coco17/", True), (b"", True), (b"sch", True), (b"pose3d/", False)],
)
def test_subscriptions_that_include_the_schemas_are_noticed_once(
    context: "zmq.Context[Socket]", topic: bytes, wanted: bool
) -> None:
    poses, port = listening_socket(context, zmq.XPUB, LOCAL, 0, option="--output-port")
    taken = Taken()
    with poses, peers() as others:
        assert not schemas_wanted(poses, taken)
        consumer = others.connect(zmq.SUB, port)
        consumer.subscribe(topic)
        assert poses.poll(WAIT_S * 1000)
        assert schemas_wanted(poses, taken) == wanted
        consumer.unsubscribe(topic)
        assert poses.poll(WAIT_S * 1000)
        assert not schemas_wanted(poses, taken)
        consumer.subscribe(b"pose3d/")
        assert poses.poll(WAIT_S * 1000)
        assert send_all(poses, [[b"pose3d/a/", b"1"]]) == [[b"pose3d/a/", b"1"]]
        assert consumer.poll(WAIT_S * 1000)
        assert consumer.recv_multipart() == [b"pose3d/a/", b"1"]
