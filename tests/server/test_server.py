"""Server: ports, faults, stopping; whole journeys are in tests/end_to_end."""

import itertools
import logging
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from langpose_rt.errors import BackendError, ConfigError, LangPoseError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.protocol.header import MAX_PARTS, MAX_UINT
from langpose_rt.protocol.messages import Heartbeat, decode_pose, decode_status
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.background import running
from tests.fakes import FakeBackend, keypoint_parts, person_px
from tests.peers import LOCAL, WAIT_S, Peers, next_of, peers, wait_until

PERSON = person_px((0, 0, 4))


def config(**values: object) -> ServerConfig:
    return ServerConfig(**{"port": 0, "http_port": None} | values)  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(FakeBackend(), config())
    running.start()
    yield running
    running.stop()


@pytest.fixture
def others() -> Iterator[Peers]:
    with peers() as found:
        yield found


def test_free_ports_are_taken_and_told(server: Server) -> None:
    ports = server.ports
    assert ports.keypoints != ports.poses
    assert min(ports.keypoints, ports.poses) > 0
    assert ports.http == 0, "none was asked for"
    assert server.alive()


def test_a_port_in_use_is_one_sentence_and_nothing_runs(server: Server) -> None:
    taken = server.ports.keypoints
    before = threading.active_count()
    second = Server(FakeBackend(), config(port=taken))
    with pytest.raises(ConfigError, match=f"{LOCAL}:{taken} .*in use.*choose another --port"):
        second.start()
    third = Server(FakeBackend(), config(output_port=server.ports.poses))
    with pytest.raises(ConfigError, match="choose another --output-port"):
        third.start()
    assert threading.active_count() == before


def test_a_taken_http_port_leaves_the_other_ports_free() -> None:
    with socket.socket() as other:
        other.bind((LOCAL, 0))
        other.listen()
        server = Server(FakeBackend(), config(http_port=other.getsockname()[1]))
        with pytest.raises(ConfigError, match="--http-port"):
            server.start()
    again = Server(FakeBackend(), config(port=server.ports.keypoints))
    again.start()
    again.stop()


def test_an_address_of_another_machine_is_one_sentence() -> None:
    server = Server(FakeBackend(), config(bind="192.0.2.1", insecure=True))
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        server.start()


def test_an_open_address_warns(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(FakeBackend(), config(bind="0.0.0.0", insecure=True))
    with caplog.at_level(logging.WARNING):
        server.start()
    server.stop()
    assert "reachable from other machines" in caplog.text


def licensed(licence: str) -> FakeBackend:
    backend = FakeBackend()
    backend.manifest = msgspec.structs.replace(backend.manifest, card={"licence": licence})
    return backend


def test_the_viewer_shows_the_licence_of_the_model_that_answers_after_a_reload() -> None:
    server = Server(licensed("MIT"), config(http_port=0))
    server.start()
    try:
        page = urllib.request.urlopen(f"http://{LOCAL}:{server.ports.http}/live", timeout=WAIT_S)
        assert page.readline() == b"event: status\n"
        assert b'"licence":"MIT"' in page.readline()
        page.close()
        assert server.pipeline.model.start_shadow(licensed("non-commercial")).ended.wait(WAIT_S)
        page = urllib.request.urlopen(f"http://{LOCAL}:{server.ports.http}/live", timeout=WAIT_S)
        assert page.readline() == b"event: status\n"
        assert b'"licence":"non-commercial"' in page.readline()
        page.close()
    finally:
        server.stop()


def test_a_model_that_cannot_compute_is_found_before_anything_starts() -> None:
    backend = FakeBackend()
    backend.failing = True
    before = threading.active_count()
    with pytest.raises(BackendError):
        Server(backend, config()).start()
    assert threading.active_count() == before


def test_a_frame_goes_through_and_the_stages_are_timed(server: Server, others: Peers) -> None:
    publisher = others.publisher(server.ports.keypoints)
    subscriber = others.subscriber(server.ports.poses, b"pose3d/", b"event/")
    publisher.send_multipart(keypoint_parts(person_px((0, 0, 4)), seq=3))
    message = decode_pose(next_of(subscriber, b"pose3d/rig0/cam0/"))
    assert message.src.seq == 3
    assert min(message.lat.rx, message.lat.win, message.lat.lift, message.lat.post) > 0
    assert message.lat.tx >= 0


def test_a_fault_of_the_program_costs_one_message_and_is_told(
    server: Server,
    others: Peers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = others.publisher(server.ports.keypoints)
    subscriber = others.subscriber(server.ports.poses, b"pose3d/", b"event/")
    receive, calls = server.pipeline.receive, []

    def fail_once(parts: list[bytes], now_ns: int, sender: str | None) -> bool:
        calls.append(parts)
        if len(calls) == 1:
            raise ZeroDivisionError("a fault")
        return receive(parts, now_ns, sender)

    monkeypatch.setattr(server.pipeline, "receive", fail_once)
    for seq in range(2):
        publisher.send_multipart(keypoint_parts(person_px((0, 0, 4)), seq=seq))
    assert decode_pose(next_of(subscriber, b"pose3d/")).src.seq == 1
    assert server.snapshot().counters["internal_errors"] == 1
    assert "a message or a step failed" in caplog.text
    assert server.alive()


def test_a_message_of_endless_parts_is_cut_and_refused(
    server: Server, others: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = others.publisher(server.ports.keypoints)
    subscriber = others.subscriber(server.ports.poses, b"pose3d/", b"event/")
    receive, lengths = server.pipeline.receive, []

    def count(parts: list[bytes], now_ns: int, sender: str | None) -> bool:
        lengths.append(len(parts))
        return receive(parts, now_ns, sender)

    monkeypatch.setattr(server.pipeline, "receive", count)
    publisher.send_multipart([b"x"] * 10_000)
    publisher.send_multipart(keypoint_parts(person_px((0, 0, 4))))
    next_of(subscriber, b"pose3d/")
    assert lengths == [MAX_PARTS + 1, 3]
    assert server.snapshot().rejected == {"bad_parts": 1}


def readiness(server: Server) -> int:
    """What an orchestrator is told."""
    try:
        with urllib.request.urlopen(f"http://{LOCAL}:{server.ports.http}/readyz") as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_backend_that_keeps_failing_is_not_ready_and_is_opened_anew(others: Peers) -> None:
    backend, may_open = FakeBackend(), threading.Event()

    def open_model(_: Path | None) -> FakeBackend:
        assert may_open.wait(WAIT_S)
        return FakeBackend()

    server = Server(backend, config(http_port=0), open_model=open_model)
    server.start()
    try:
        publisher = others.publisher(server.ports.keypoints)
        subscriber = others.subscriber(server.ports.poses, b"pose3d/", b"event/")
        seqs = itertools.count()

        def is_lifted() -> bool:
            seq = next(seqs)
            publisher.send_multipart(keypoint_parts(PERSON, seq=seq, t_ms=20 * seq))
            sent, wait_ms = server.pipeline.stats.frames, 20
            subscriber.poll(wait_ms)
            return server.pipeline.stats.frames > sent

        wait_until(is_lifted)
        assert readiness(server) == 200
        backend.failing = True
        wait_until(lambda: not is_lifted() and readiness(server) == 503)
        assert server.alive()
        next_of(subscriber, b"event/fault/")
        wait_until(lambda: not is_lifted() and server._reloader._thread is not None)
        may_open.set()
        wait_until(lambda: is_lifted() and readiness(server) == 200)
        next_of(subscriber, b"event/model/")
    finally:
        may_open.set()
        server.stop()


def test_the_model_that_answers_is_closed_once_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[FakeBackend] = []

    def close(backend: FakeBackend) -> None:
        closed.append(backend)

    monkeypatch.setattr(FakeBackend, "close", close)
    first, second, ended = FakeBackend(), FakeBackend(), threading.Event()
    server = Server(first, config(), open_model=lambda _: second)
    server.start()
    assert server.reload(None, lambda wrong: ended.set() if wrong is None else None)
    assert ended.wait(WAIT_S)
    assert closed == [first]
    server.stop()
    server.stop()
    assert closed == [first, second]


def test_who_may_change_a_server_is_on_its_machine_or_has_the_one_key_for_it() -> None:
    for bind, may in ((LOCAL, True), ("0.0.0.0", False)):
        server = Server(FakeBackend(), config(bind=bind, insecure=True, admin="boss"))
        assert server.may_change(None) is may
        assert [server.may_change(name) for name in ("boss", "admin", "")] == [True, False, False]
        server.stop()


def test_a_thread_that_fails_ends_the_server_with_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(FakeBackend(), config())

    def fail(*_: object) -> None:
        raise zmq.ZMQError(zmq.ENOTSUP)

    monkeypatch.setattr(server, "_idle_s", fail)
    with pytest.raises(LangPoseError, match="the server has stopped"):
        server.run()
    assert "the lift thread failed" in caplog.text


def test_a_drain_says_goodbye_answers_what_waits_and_ends(
    others: Peers,
) -> None:
    pipeline = PipelineConfig(lookahead_ms=2000.0, max_wait_ms=10_000.0)
    server = Server(FakeBackend(), config(pipeline=pipeline))
    started = threading.Event()
    with running(lambda: server.run(on_start=started.set)):
        try:
            assert started.wait(WAIT_S)
            publisher = others.publisher(server.ports.keypoints)
            subscriber = others.subscriber(server.ports.poses, b"pose3d/", b"event/")
            for seq in range(3):
                publisher.send_multipart(
                    keypoint_parts(person_px((0, 0, 4)), seq=seq, t_ms=20 * seq)
                )
            wait_until(lambda: sum(server.snapshot().buckets) == 3)
            server.drain()
            next_of(subscriber, b"event/drain/")
            found = [decode_pose(next_of(subscriber, b"pose3d/")).src.seq for _ in range(3)]
            assert found == [0, 1, 2], "they waited for their lookahead"
            assert server.wait(WAIT_S)
        finally:
            server.drain()  # its own thread stops it


def test_stopping_from_several_threads_at_once_ends() -> None:
    for _ in range(5):
        server = Server(FakeBackend(), config())
        server.start()
        stopping = [threading.Thread(target=server.stop, daemon=True) for _ in range(4)]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join(WAIT_S)
        assert not any(thread.is_alive() for thread in stopping)


def test_numbers_near_the_largest_leave_every_status_readable(
    server: Server, others: Peers
) -> None:
    publisher = others.publisher(server.ports.keypoints)
    subscriber = others.subscriber(server.ports.poses, b"pose3d/", b"hb/")
    for epoch in range(3):
        for seq in (0, MAX_UINT):
            publisher.send_multipart(keypoint_parts(PERSON, seq=seq, epoch=epoch, t_ms=seq % 7))
    wait_until(
        lambda: server.snapshot().counters["frames"] + server.snapshot().counters["shed"] == 6
    )
    assert server.snapshot().counters["gap"] == MAX_UINT
    assert server.snapshot().streams[0].totals["gap"] == MAX_UINT
    next_of(subscriber, b"hb/")
    heartbeat = decode_status(next_of(subscriber, b"hb/"))
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.counters["gap"] == MAX_UINT
    assert msgspec.json.decode(msgspec.json.encode(server.snapshot()))["counters"]["messages"] == 6
    publisher.send_multipart(keypoint_parts(PERSON, seq=0, epoch=9))
    while decode_pose(next_of(subscriber, b"pose3d/")).src.epoch != 9:
        pass


def test_stopping_twice_or_before_starting_is_harmless(server: Server) -> None:
    server.stop()
    server.stop()
    assert server.wait(0.0)
    Server(FakeBackend(), config()).stop()
