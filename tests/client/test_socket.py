"""One connected socket: refusals before anything starts, its life, and what it holds at most."""

import time
from collections.abc import Iterator

import pytest
import zmq

from langpose_rt.client.socket import MAX_WAITING_MESSAGES, ClientSocket
from langpose_rt.errors import ConfigError, LangPoseError

LOCAL = "tcp://127.0.0.1"
WAIT_S = 60.0


@pytest.fixture
def publisher() -> Iterator["tuple[zmq.Socket[bytes], str]"]:
    """A PUB that binds, and where."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.set(zmq.SNDHWM, 0)
    port = socket.bind_to_random_port(LOCAL)
    yield socket, f"{LOCAL}:{port}"
    socket.close(linger=0)
    context.term()


def subscriber(endpoint: str) -> ClientSocket:
    connection = ClientSocket(zmq.SUB, endpoint, None, None)
    connection._socket.subscribe(b"")
    return connection


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("nowhere", 'cannot connect to "nowhere": '),
        ("127.0.0.1", "expected such as tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1", "expected such as tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:", "cannot connect to"),
        ("tcp://127.0.0.1:65536", "ports end at 65535"),
        ("tcp://127.0.0.1:70555", "ports end at 65535"),
        ("carrier-pigeon://roof", "cannot connect to"),
    ],
)
def test_an_endpoint_that_is_none_is_one_sentence(endpoint: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientSocket(zmq.SUB, endpoint, None, None)
    assert words in str(caught.value)
    assert endpoint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("server_key", "key_pair"),
    [("too short", None), ("ä" * 40, None), ("x" * 40, ("short", "short"))],
)
def test_a_key_that_is_none_is_one_sentence(
    server_key: str, key_pair: tuple[str, str] | None
) -> None:
    with pytest.raises(ConfigError, match="cannot connect to"):
        ClientSocket(zmq.SUB, f"{LOCAL}:1", server_key, key_pair)


def test_a_refused_connection_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[zmq.Socket[bytes]] = []
    context = zmq.Context.instance()
    make = context.socket

    def remembering(kind: int) -> "zmq.Socket[bytes]":
        made.append(make(kind))
        return made[-1]

    monkeypatch.setattr(context, "socket", remembering)
    with pytest.raises(ConfigError):
        ClientSocket(zmq.SUB, "nowhere", None, None)
    assert {socket.closed for socket in made} == {True}


@pytest.mark.parametrize(
    ("kind", "immediate", "heartbeat_ms"),
    [(zmq.XPUB, 1, 500), (zmq.DEALER, 0, 500), (zmq.SUB, 0, 0)],
)
def test_a_rig_forgets_a_server_that_is_gone_and_a_consumer_hears_no_heartbeat(
    kind: int, immediate: int, heartbeat_ms: int
) -> None:
    with ClientSocket(kind, f"{LOCAL}:1", None, None) as connection:
        assert connection._socket.get(zmq.IMMEDIATE) == immediate
        assert connection._socket.get(zmq.HEARTBEAT_IVL) == heartbeat_ms
        assert connection._socket.get(zmq.RCVHWM) == MAX_WAITING_MESSAGES
        assert connection._socket.get(zmq.LINGER) == 1000


def test_with_a_servers_key_it_encrypts_whether_or_not_an_own_pair_is_given() -> None:
    server, _ = (key.decode() for key in zmq.curve_keypair())
    own = tuple(key.decode() for key in zmq.curve_keypair())
    with (
        ClientSocket(zmq.SUB, f"{LOCAL}:1", server, own) as given,  # type: ignore[arg-type]
        ClientSocket(zmq.SUB, f"{LOCAL}:1", server, None) as made,
        ClientSocket(zmq.SUB, f"{LOCAL}:1", None, None) as plain,
    ):
        assert given._socket.get(zmq.MECHANISM) == made._socket.get(zmq.MECHANISM) == zmq.CURVE
        assert plain._socket.get(zmq.MECHANISM) == zmq.NULL


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.XPUB, zmq.DEALER])
@pytest.mark.parametrize(
    ("server_has_keys", "words"),
    [(True, "has keys and this client has none; give --key and --server-key, in Python key_pair"),
     (False, "has none; leave out --key and --server-key, or start it with 'langpose-rt serve")],
)  # fmt: skip
def test_a_client_is_told_that_only_one_side_has_keys(
    kind: int, server_has_keys: bool, words: str
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server = context.socket({zmq.SUB: zmq.XPUB, zmq.XPUB: zmq.SUB, zmq.DEALER: zmq.ROUTER}[kind])
    public, secret = zmq.curve_keypair()
    if server_has_keys:
        server.curve_server, server.curve_publickey, server.curve_secretkey = True, public, secret
    endpoint = f"{LOCAL}:{server.bind_to_random_port(LOCAL)}"
    key = None if server_has_keys else public.decode()
    try:
        with ClientSocket(kind, endpoint, key, None) as client:
            for call in (lambda: client._wait(None), client._receive_available):
                with pytest.raises(LangPoseError) as caught:  # now, and from now on
                    call()
                assert words in str(caught.value)
                assert endpoint in str(caught.value)
    finally:
        server.close(linger=0)
        context.term()


def test_closing_twice_is_harmless_and_a_closed_one_says_what_it_was() -> None:
    class Listener(ClientSocket):
        """Something that listens."""

    with Listener(zmq.SUB, f"{LOCAL}:1", None, None) as listener:
        assert listener._receive_available() == []
    listener.close()
    with pytest.raises(LangPoseError, match=r"^this Listener is closed; make a new one$"):
        listener._receive_available()


def test_a_wait_that_is_over_is_over_at_once() -> None:
    with ClientSocket(zmq.SUB, f"{LOCAL}:1", None, None) as connection:
        assert not connection._wait(time.monotonic() - 5)


def test_whole_messages_come_in_order_and_no_more_than_fit(
    publisher: "tuple[zmq.Socket[bytes], str]",
) -> None:
    socket, endpoint = publisher
    with subscriber(endpoint) as connection:
        assert socket.poll(WAIT_S * 1000), "nobody subscribed"
        for number in range(5):
            socket.send_multipart([b"topic", str(number).encode()])
        found: list[list[bytes]] = []
        while len(found) < 5:
            assert connection._wait(time.monotonic() + WAIT_S)
            found += connection._receive_available()
        assert found == [[b"topic", str(number).encode()] for number in range(5)]
        assert connection._receive_available() == []


def test_one_look_takes_no_more_messages_than_a_subscriber_holds(
    publisher: "tuple[zmq.Socket[bytes], str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    from langpose_rt.client import socket as module

    monkeypatch.setattr(module, "MAX_WAITING_MESSAGES", 3)
    socket, endpoint = publisher
    with subscriber(endpoint) as connection:
        assert socket.poll(WAIT_S * 1000), "nobody subscribed"
        for number in range(7):
            socket.send_multipart([str(number).encode()])
        taken: list[int] = []
        while sum(taken) < 7:
            assert connection._wait(time.monotonic() + WAIT_S)
            taken.append(len(connection._receive_available()))
        assert max(taken) <= 3
