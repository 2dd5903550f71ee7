"""Sockets to lifters: one for the frames of each, one for all answers."""

from pathlib import Path

import pytest
import zmq

from langpose_rt.cluster.links import Address, FrontKeys, LifterLinks
from langpose_rt.errors import ConfigError
from langpose_rt.protocol.control import Ports
from langpose_rt.security.key_files import new_key_files
from tests.peers import wait_until


def test_frames_go_to_one_lifter_and_answers_of_all_come_from_one_socket() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    lifters = []
    for _ in range(2):
        frames, poses = context.socket(zmq.SUB), context.socket(zmq.XPUB)
        frames.subscribe(b"")
        ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (frames, poses)]
        address = Address("tcp://127.0.0.1", Ports(ports[0], ports[1]), 1)
        lifters.append((frames, poses, address))
    links = LifterLinks(context, None)
    try:
        for number, (_, _, address) in enumerate(lifters):
            links.open(str(number), address)
        assert not links.send("nobody", [b"x"])

        def attached() -> bool:
            for frames, _, _ in lifters:
                frames.poll(1)  # a socket subscribes while its thread uses it
            return links.attached("0") and links.attached("1")

        wait_until(attached)
        assert links.send("1", [b"kp2d/a/b/", b"h"])
        assert lifters[1][0].recv_multipart() == [b"kp2d/a/b/", b"h"]
        assert not lifters[0][0].poll(50)
        for _, poses, _ in lifters:
            assert poses.poll(5000), "the front did not subscribe"
            while poses.poll(100):
                poses.recv()
            poses.send_multipart([b"pose3d/a/b/", b"h"])
            assert links.answers.poll(5000)
            assert links.answers.recv_multipart() == [b"pose3d/a/b/", b"h"]
        links.close_one("1")
        assert not links.send("1", [b"x"])
        assert not links.attached("1")
    finally:
        links.close()
        context.destroy(linger=0)


def test_a_connection_that_ended_is_told_even_if_it_is_back() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    frames, poses = context.socket(zmq.SUB), context.socket(zmq.XPUB)
    frames.subscribe(b"")
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (frames, poses)]
    links = LifterLinks(context, None)
    try:
        links.open("a", Address("tcp://127.0.0.1", Ports(ports[0], ports[1]), 7))
        assert links.epoch("a") == 7

        def attached() -> bool:
            frames.poll(1)
            return links.attached("a")

        wait_until(attached)
        assert links.broken() == []
        frames.close(linger=0)
        wait_until(lambda: links.broken() == ["a"])
        assert not links.attached("a")
        frames = context.socket(zmq.SUB)
        frames.subscribe(b"")
        wait_until(lambda: bound(frames, ports[0]))
        wait_until(attached)
        assert links.broken() == []
    finally:
        links.close()
        context.destroy(linger=0)


def bound(socket: "zmq.Socket[bytes]", port: int) -> bool:
    """Return True once a port that was in use has been taken."""
    try:
        socket.bind(f"tcp://127.0.0.1:{port}")
    except zmq.ZMQError:
        return False
    return True


def test_keys_are_read_from_the_lifters_folder(tmp_path: Path) -> None:
    assert FrontKeys.from_folder(None) is None
    with pytest.raises(ConfigError):
        FrontKeys.from_folder(tmp_path)
    for name in ("server", "front"):
        new_key_files(name, tmp_path)
    keys = FrontKeys.from_folder(tmp_path)
    assert keys is not None
    assert keys.lifter != keys.own.public
