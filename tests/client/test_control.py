"""The control client against a real server, and against what is none."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from langpose_rt.client.control import ControlClient
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.protocol.control import Reply, Request, decode_request, encode_control
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.fakes import FakeBackend, keypoint_parts, person_px
from tests.peers import LOCAL, WAIT_S, peers, wait_until


def opened(folder: Path | None) -> FakeBackend:
    if folder is not None and folder.name == "bad":
        raise ConfigError("it is no model")
    backend = FakeBackend()
    backend.failing = folder is not None and folder.name == "failing"
    return backend


@pytest.fixture
def server() -> Iterator[Server]:
    config = ServerConfig(port=0, http_port=None)
    running = Server(FakeBackend(), config, open_model=opened)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Iterator[ControlClient]:
    endpoint = f"tcp://{LOCAL}:{server.ports.control}"
    with ControlClient(endpoint, timeout_s=WAIT_S) as connected:
        yield connected


def test_a_server_says_who_and_how_it_is(client: ControlClient, server: Server) -> None:
    hello = client.hello()
    assert (hello.version, hello.server, hello.ports) == (1, "langpose", server.ports)
    assert hello.epoch == server.epoch
    assert client.status()["model"]["id"] == "fake"
    (schema,) = client.schema("coco17")
    assert schema.name == "coco17"
    with pytest.raises(LangPoseError, match=r"refuses schema: got name 'octopus8', known are"):
        client.schema("octopus8")


def test_the_offset_of_two_clocks_is_within_its_uncertainty(
    client: ControlClient, server: Server
) -> None:
    found = client.clock()
    truth_ns = server.now_ns() - time.time_ns()
    assert abs(found.offset_ns - truth_ns) <= found.uncertainty_ns + 2_000_000
    assert 0 < found.uncertainty_ns < WAIT_S * 1e9


def test_a_reload_is_over_when_the_new_model_answers(client: ControlClient, server: Server) -> None:
    assert client.reload().id == "fake"
    assert server.snapshot().counters["reloads"] == 1
    for name, why in (("bad", "it is no model"), ("failing", "told to fail")):
        with pytest.raises(LangPoseError, match=f"refuses reload: .*{why}"):
            client.reload(Path(name))
    assert server.snapshot().counters["reloads"] == 1
    assert server.snapshot().counters["reloads_refused"] == 2


def test_a_drain_ends_the_server_and_is_answered_first(
    client: ControlClient, server: Server
) -> None:
    client.drain()
    assert server.wait(WAIT_S)
    server.stop()


def test_a_reload_that_the_end_of_the_server_overtakes_is_answered(
    client: ControlClient, server: Server
) -> None:
    with peers() as others:
        publisher = others.publisher(server.ports.keypoints)
        publisher.send_multipart(keypoint_parts(person_px((0, 0, 4))))
        wait_until(lambda: server.snapshot().persons == 1)  # whom the new model waits for

        def drain_while_it_rehearses() -> None:
            wait_until(lambda: server.pipeline.model.rehearsing)
            server.drain()

        thread = threading.Thread(target=drain_while_it_rehearses)
        thread.start()
        with pytest.raises(LangPoseError, match="refuses reload: the server ended before"):
            client.reload()
        thread.join()


def test_nobody_there_is_one_sentence() -> None:
    with (
        ControlClient(f"tcp://{LOCAL}:9", timeout_s=0.05) as client,
        pytest.raises(LangPoseError, match=r"no answer to hello from .*:9 within 0.05 s; is a"),
    ):
        client.hello()


@contextlib.contextmanager
def answering(*answers: Callable[[Request], list[bytes]]) -> Iterator[str]:
    """A peer that answers each request with some messages; gives its endpoint."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port(f"tcp://{LOCAL}")
        router.rcvtimeo = round(WAIT_S * 1000)

        def answer() -> None:
            for answers_of in answers:
                peer, raw = router.recv_multipart()
                for said in answers_of(decode_request(raw)):
                    router.send_multipart([peer, said])

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"tcp://{LOCAL}:{port}"
        finally:
            thread.join()


def granted(number: int) -> bytes:
    return encode_control(Reply.of(Request.of("status", id=number), {"number": number}))


def test_an_answer_to_a_question_that_was_given_up_is_passed_over() -> None:
    with (
        answering(lambda _: [], lambda _: [granted(1), granted(2)]) as endpoint,
        ControlClient(endpoint, timeout_s=0.05) as client,
    ):
        with pytest.raises(LangPoseError, match="no answer to status"):
            client.status()
        client._timeout_s = WAIT_S
        assert client.status() == {"number": 2}


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request", b"", granted(1)[:-9]])
def test_an_answer_in_another_language_is_one_sentence(nonsense: bytes) -> None:
    with (
        answering(lambda _: [nonsense]) as endpoint,
        ControlClient(endpoint, timeout_s=WAIT_S) as client,
        pytest.raises(LangPoseError, match=r"answers what is not ctl/1: bad_header"),
    ):
        client.status()


def test_an_answer_to_another_question_is_one_sentence() -> None:
    with (
        answering(lambda _: [granted(1)]) as endpoint,
        ControlClient(endpoint, timeout_s=WAIT_S) as client,
        pytest.raises(LangPoseError, match=r"answers what is not ctl/1"),
    ):
        client.hello()
