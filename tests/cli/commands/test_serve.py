"""`serve`: what it refuses before it listens; that it serves is in tests/end_to_end."""

import contextlib
import itertools
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from langpose_rt.cli.commands import serve
from langpose_rt.server.server import Server
from tests.commands import run_here
from tests.fakes import MS, FakeBackend, keypoint_parts, person_px


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--port", "70000"), "port is 70000; expected 0 (any free port) to 65535"),
        (("--port", "65535"), "leaves no next port for poses; choose another --port"),
        (("--bind", "0.0.0.0"), "nothing is encrypted; make keys"),
        (("--port", "65534"), "leaves no next but one port for control; choose another --port"),
        (("--connect", "rig0"), 'cannot connect to "rig0"'),
        (("--connect-timeout-s", "0"), "connect_timeout_s is 0; expected 0.1 to 3600"),
        (("--ipc", "/nowhere"), "cannot listen at /nowhere/keypoints"),
        (("--slots", "0"), "--slots is 0; expected 1 to 4096"),
        (("--threads", "0"), "--threads is 0; expected 1 to"),
        (("--axes", "sideways"), "unknown axes 'sideways'; expected camera or world"),
        (("--lookahead-ms", "nan"), "lookahead_ms is nan; expected 0 to 2000"),
        (("--fov", "3000"), "field of view is 3000.0 degrees"),
        (("--person-height-m", "9"), "person_height_m is 9; expected 0.3 to 3"),
        (("--name", "a b"), "server name 'a b' is not"),
        (("--cameras", "/nowhere.toml"), "/nowhere.toml cannot be read"),
        (("--model", "/nowhere"), "no model at /nowhere"),
        (("--backend", "abacus"), "unknown backend 'abacus'"),
    ],
)
def test_a_wrong_option_is_one_sentence(model: Path, words: tuple[str, ...], sentence: str) -> None:
    done = run_here("serve", "--port", "0", "--no-http", "--model", model, *words)
    assert done.code == 2
    assert sentence in done.sentence


@pytest.mark.parametrize("option", ["--port", "--output-port", "--control-port", "--http-port"])
def test_a_port_in_use_is_one_sentence_that_names_the_option(model: Path, option: str) -> None:
    free = [word for name in ("--port", "--http-port") if name != option for word in (name, "0")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_here("serve", *free, option, port, "--model", model)
    assert done.code == 2
    assert f"127.0.0.1:{port} (address already in use); choose another {option}" in done.sentence


def test_signals_are_whoevers_they_were_once_serving_is_over(model: Path) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_here("serve", "--port", port, "--no-http", "--model", model).code == 2
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_gpu_that_fails_hands_over_to_the_cpu_and_the_stream_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[FakeBackend] = []

    def open_backend(
        folder: Path | None, name: str, *, slots: int, threads: int, precision: str, report: object
    ) -> FakeBackend:
        backend = FakeBackend(slots=slots)
        backend.name, backend.precision = name, precision
        opened.append(backend)
        return backend

    answered: list[list[str]] = []

    def run(server: Server, *, on_start: Callable[[], None]) -> None:
        """What the threads of a server do, in a row."""
        pipeline, seqs = server.pipeline, itertools.count()

        def turn() -> list[str]:
            seq = next(seqs)
            now_ns = 20 * seq * MS
            pipeline.receive(keypoint_parts(person_px((0, 0, 4)), seq=seq, t_ms=20 * seq), now_ns)
            done = [work(now_ns) for work in (pipeline.promote_shadow, pipeline.step)]
            topics = [parts[0] for part in done for parts in part]
            return [pipeline.model.name for topic in topics if topic.startswith(b"pose3d/")]

        answered.append(turn())
        opened[0].failing = True
        for _ in range(3):
            assert turn() == []
        assert pipeline.faults.persist
        server._reloader.retry_if_failing(0.0)
        for _ in range(500):
            if poses := turn():
                break
            threading.Event().wait(0.01)
        answered.append(poses)
        assert not pipeline.faults.failures
        server.stop()

    monkeypatch.setattr("langpose_rt.runtime.registry.open_backend", open_backend)
    monkeypatch.setattr(serve, "serving_signals", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(Server, "run", run)
    words = ("--backend", "tensorrt", "--precision", "fp16", "--port", "0", "--no-http")
    assert run_here("serve", *words).code == 0
    assert answered == [["tensorrt"], ["onnx"]]
    assert [(one.name, one.precision) for one in opened] == [("tensorrt", "fp16"), ("onnx", "auto")]


def test_what_comes_while_it_serves_is_collected_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = itertools.count(1)
    collected: list[threading.Thread] = []
    server = Mock(wait=lambda timeout_s: timeout_s != 60 or next(rounds) > 3)
    monkeypatch.setattr(serve.gc, "collect", lambda: collected.append(threading.current_thread()))
    serve._keep_memory_flat(server)
    try:
        assert serve.gc.get_freeze_count() > 1000
        for thread in threading.enumerate():
            if thread.name == "collect":
                thread.join(10)
                assert not thread.is_alive()
        assert len(collected) == 3
        assert threading.current_thread() not in collected
    finally:
        serve.gc.unfreeze()
