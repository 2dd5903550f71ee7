"""ZAP authenticator: real CURVE handshakes on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from langpose_rt.protocol.header import RejectReason
from langpose_rt.security.key_files import KeyPair, key_pair_from_file, new_key_files
from langpose_rt.security.keyring import Keyring
from langpose_rt.server.connections import Taken
from langpose_rt.server.sockets import Socket, listening_socket, received_with_name
from langpose_rt.server.zap import ZapAuthenticator
from tests.peers import LOCAL, wait_until


class House:
    """A guarded socket, its door, and those who knock."""

    def __init__(self, folder: Path) -> None:
        for name in ("server", "rig0"):
            new_key_files(name, folder)
        self.context: zmq.Context[Socket] = zmq.Context()
        self.peers: list[Socket] = []
        self.refusals: list[tuple[RejectReason, str]] = []
        self.keyring = Keyring(folder)
        self.door = ZapAuthenticator(
            self.context, self.keyring, lambda *refusal: self.refusals.append(refusal)
        )
        self.inside, self.port = listening_socket(
            self.context, zmq.SUB, LOCAL, 0, option="--port", guard=self.door.guard
        )

    def knock(self, pair: KeyPair | None, server_key: str) -> Socket:
        peer = self.context.socket(zmq.XPUB)
        self.peers.append(peer)
        if pair is not None:
            peer.setsockopt_string(zmq.CURVE_PUBLICKEY, pair.public)
            peer.setsockopt_string(zmq.CURVE_SECRETKEY, pair.secret)
            peer.setsockopt_string(zmq.CURVE_SERVERKEY, server_key)
        peer.connect(f"tcp://{LOCAL}:{self.port}")
        return peer

    def poll(self) -> None:
        self.door.poll(10)
        self.inside.poll(10)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    for socket in (made.door, made.inside, *made.peers):
        socket.close()
    made.context.destroy(linger=0)


def test_who_has_a_key_comes_in_and_is_known_by_it(house: House, tmp_path: Path) -> None:
    pair = key_pair_from_file(tmp_path / "rig0.key_secret")
    peer = house.knock(pair, house.keyring.own.public)

    def is_in() -> bool:
        house.poll()
        return bool(peer.poll(0))

    wait_until(is_in)
    peer.send_multipart([b"a", b"b"])
    assert house.inside.poll(5000)
    assert received_with_name(house.inside, house.keyring, taken := Taken()) == (
        [b"a", b"b"],
        "rig0",
    )
    assert received_with_name(house.inside, house.keyring, taken) is None
    assert house.refusals == []


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("none", RejectReason.NOT_ENCRYPTED),
        ("unknown", RejectReason.UNKNOWN_KEY),
        ("wrong server", RejectReason.WRONG_SERVER_KEY),
    ],
)
def test_who_has_none_is_kept_out_and_told_apart(
    house: House, keys: str, reason: RejectReason
) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    pair = None if keys == "none" else KeyPair(public=public, secret=secret)
    peer = house.knock(pair, public if keys == "wrong server" else house.keyring.own.public)

    def is_refused() -> bool:
        house.poll()
        return bool(house.refusals)

    wait_until(is_refused)
    assert {why for why, _ in house.refusals} == {reason}
    assert not peer.poll(0)
    assert all(secret not in sentence for _, sentence in house.refusals)


def test_nobody_comes_in_when_nobody_answers_at_the_door(house: House, tmp_path: Path) -> None:
    house.door.close()
    pair = key_pair_from_file(tmp_path / "rig0.key_secret")
    peer = house.knock(pair, house.keyring.own.public)
    for _ in range(20):
        house.inside.poll(10)
    assert not peer.poll(0)
