"""A server with keys, over real sockets: who comes in, as whom, and who does not."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from langpose_rt.client.control import ControlClient
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.client.raw import RawSubscriber
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.errors import LangPoseError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.security.key_files import KeyPair, key_pair_from_file, new_key_files
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from langpose_rt.server.zap import ZapAuthenticator
from tests.fakes import MS, SIZE, FakeBackend, person_px
from tests.peers import LOCAL, WAIT_S, wait_until

PERSON = person_px((0, 0, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("server", "rig0", "rig1", "viewer"):
        new_key_files(name, tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    pipeline = PipelineConfig(smoothing="off", max_wait_ms=10_000.0)
    config = ServerConfig(port=0, http_port=None, keys=folder, pipeline=pipeline)
    running = Server(FakeBackend(), config)
    running.start()
    yield running
    running.stop()


def keys(folder: Path, name: str) -> dict[str, Any]:
    pair = key_pair_from_file(folder / f"{name}.key_secret")
    own = key_pair_from_file(folder / "server.key_secret")
    return {"server_key": own.public, "key_pair": (pair.public, pair.secret)}


def rig(server: Server, name: str, **given: Any) -> RigPublisher:
    endpoint = f"tcp://{LOCAL}:{server.ports.keypoints}"
    return RigPublisher(endpoint, name, "cam0", skeleton="h36m17", size=SIZE, **given)


def viewer(server: Server, **given: Any) -> PoseSubscriber:
    return PoseSubscriber(f"tcp://{LOCAL}:{server.ports.poses}", **given)


def rejected(server: Server, reason: str) -> int:
    return server.snapshot().rejected.get(reason, 0)


def refusals(server: Server, reason: str) -> int:
    """As `rejected`; a client without keys may see the difference first, and leave."""
    early = rejected(server, "no_handshake") if reason == "not_encrypted" else 0
    return rejected(server, reason) + early


def test_a_spoofed_rig_costs_the_honest_one_nothing(server: Server, folder: Path) -> None:
    with (
        viewer(server, **keys(folder, "viewer")) as poses,
        rig(server, "rig0", **keys(folder, "rig0")) as honest,
        rig(server, "rig0", **keys(folder, "rig1")) as spoofer,
    ):
        wait_until(lambda: poses.alive)
        assert honest.wait_for_server(WAIT_S)
        assert spoofer.wait_for_server(WAIT_S)
        for frame in range(20):
            honest.publish(PERSON[None], t_ns=frame * 16 * MS)
            spoofer.publish(PERSON[None], t_ns=frame * 16 * MS)
        found = [poses.receive(WAIT_S) for _ in range(20)]
        wait_until(lambda: rejected(server, "spoofed_rig") == 20)
    assert [pose and pose.src.seq for pose in found] == list(range(20))
    assert len({pose.src.epoch for pose in found if pose is not None}) == 1
    assert [stream.totals["accepted"] for stream in server.snapshot().streams] == [20]
    assert all(pose is not None and pose.drop == type(pose.drop)() for pose in found)


def test_strangers_neither_publish_nor_listen_nor_ask(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    _, secret = new_key_files("rig0", tmp_path / "others")
    stranger = key_pair_from_file(secret)
    unknown = keys(folder, "rig0") | {"key_pair": (stranger.public, stranger.secret)}
    wrong = keys(folder, "rig0") | {"server_key": stranger.public}
    control = f"tcp://{LOCAL}:{server.ports.control}"
    reasons = {"not_encrypted": {}, "unknown_key": unknown, "wrong_server_key": wrong}
    for reason, given in reasons.items():
        with rig(server, "rig0", **given) as publisher, viewer(server, **given) as poses:
            wait_until(lambda reason=reason: refusals(server, reason) >= 2)  # type: ignore[misc]
            # one without keys says so as soon as it learns of the server's
            with contextlib.suppress(LangPoseError):
                assert not publisher.wait_for_server(0.05)
            with contextlib.suppress(LangPoseError):
                assert not poses.alive
        with ControlClient(control, timeout_s=0.3, **given) as client, pytest.raises(LangPoseError):
            client.status()
    assert set(reasons) - {"not_encrypted"} <= set(server.snapshot().rejected)
    assert set(server.snapshot().rejected) <= {*reasons, "no_handshake"}
    assert server.snapshot().streams == ()
    with ControlClient(control, **keys(folder, "viewer")) as client:
        assert client.status()


def test_a_key_is_revoked_and_given_again_without_a_restart(server: Server, folder: Path) -> None:
    file = folder / "rig0.key"
    with rig(server, "rig0", **keys(folder, "rig0")) as publisher:
        assert publisher.wait_for_server(WAIT_S)
        publisher.publish(PERSON[None])
        wait_until(lambda: server.snapshot().counters["frames"] == 1)
        file.rename(folder / "rig0.away")

        def is_refused() -> bool:
            publisher.publish(PERSON[None])
            return rejected(server, "revoked_key") > 0

        wait_until(is_refused)
    with rig(server, "rig0", **keys(folder, "rig0")) as late:
        wait_until(lambda: rejected(server, "unknown_key") > 0)
        assert not late.wait_for_server(0.05)
        (folder / "rig0.away").rename(file)
        assert late.wait_for_server(WAIT_S), "who is added need not start again"


def test_every_key_may_ask_and_only_the_admins_may_end_the_server(
    server: Server, folder: Path
) -> None:
    new_key_files("admin", folder)
    control = f"tcp://{LOCAL}:{server.ports.control}"
    with ControlClient(control, **keys(folder, "viewer")) as viewer_asks:
        for ask in (viewer_asks.hello, viewer_asks.status, viewer_asks.schema, viewer_asks.clock):
            assert ask()
        for change in (viewer_asks.drain, viewer_asks.reload):
            with pytest.raises(LangPoseError, match="not for the key of 'viewer'"):
                change()
        (folder / "viewer.key").unlink()
        wait_until(lambda: server.keyring is not None and "viewer" not in server.keyring.names)
        with pytest.raises(LangPoseError, match="the key was taken out"):
            viewer_asks.status()
    assert server.snapshot().state == "ready"
    with ControlClient(control, **keys(folder, "admin")) as admin:
        admin.drain()
    assert server.wait(WAIT_S)


def test_consumers_hear_that_a_stranger_came_and_only_the_log_with_which_key(
    server: Server, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    endpoint = f"tcp://{LOCAL}:{server.ports.poses}"
    with (
        RawSubscriber(endpoint, **keys(folder, "viewer")) as consumer,
        rig(server, "rig0", **keys(folder, "rig0") | {"key_pair": (public, secret)}),
    ):
        heard: list[bytes] = []

        def is_told() -> bool:
            heard.extend(b"".join(parts) for parts in consumer.receive(0.05))
            return any(b"unknown_key" in message for message in heard if b"event/" in message)

        wait_until(is_told)
    assert public in caplog.text
    assert not any(public.encode() in message or LOCAL.encode() in message for message in heard)


def test_a_door_that_fails_ends_the_server_instead_of_standing_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("unforeseen")

    monkeypatch.setattr(ZapAuthenticator, "poll", fail)
    server = Server(FakeBackend(), ServerConfig(port=0, http_port=None, keys=folder))
    with pytest.raises(LangPoseError, match="the server has stopped: unforeseen"):
        server.run()


def test_no_secret_is_ever_said(
    server: Server, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), rig(server, "rig1", **keys(folder, "rig0")) as spoofer:
        assert spoofer.wait_for_server(WAIT_S)
        spoofer.publish(PERSON[None])
        wait_until(lambda: rejected(server, "spoofed_rig") == 1)
        said = f"{server.snapshot()} {server.config} {server.keyring and server.keyring.own}"
    for name in ("server", "rig0"):
        pair: KeyPair = key_pair_from_file(folder / f"{name}.key_secret")
        assert pair.secret not in said + caplog.text
