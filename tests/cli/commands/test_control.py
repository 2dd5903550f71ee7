"""`control`: what it refuses, and what it prints of a running server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from langpose_rt.runtime.registry import open_backend
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.commands import run_here
from tests.peers import WAIT_S


@pytest.fixture
def server(model: Path) -> Iterator[Server]:
    def open_model(folder: Path | None) -> object:
        return open_backend(folder or model)

    config = ServerConfig(port=0, http_port=None)
    running = Server(open_backend(model), config, open_model=open_model)  # type: ignore[arg-type]
    running.start()
    yield running
    running.stop()


def ask(server: Server, *words: object) -> "object":
    endpoint = f"tcp://127.0.0.1:{server.ports.control}"
    done = run_here("control", *words, "--server", endpoint, "--json", "--timeout-s", WAIT_S)
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    return json.loads(done.out)


def test_every_question_has_an_answer(server: Server, model: Path) -> None:
    hello = ask(server, "hello")
    assert hello["model"]["id"] == "small"  # type: ignore[index]
    assert ask(server, "status")["state"] in {"starting", "ready"}  # type: ignore[index]
    assert ask(server, "schema", "coco17")[0]["name"] == "coco17"  # type: ignore[index]
    assert ask(server, "clock")["uncertainty_ns"] > 0  # type: ignore[index]
    assert ask(server, "reload", model) == {"model": hello["model"]}  # type: ignore[index]
    assert ask(server, "drain") == {"state": "draining"}
    assert server.wait(WAIT_S)


def test_what_the_server_refuses_is_one_line_in_its_words(server: Server) -> None:
    endpoint = f"tcp://127.0.0.1:{server.ports.control}"
    quiet = ("--log-level", "error")  # the server logs too, and it is in this process
    done = run_here(*quiet, "control", "reload", "/nowhere", "--server", endpoint)
    assert done.code == 1
    assert "the server refuses reload: no model at /nowhere" in done.sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("dance",), "invalid choice: 'dance'"),
        (("status", "coco17"), "control status takes no name; got 'coco17'"),
        (("status", "--timeout-s", "0"), "--timeout-s is 0; expected above 0 to 3600"),
        (("status", "--server", "here"), 'cannot connect to "here"'),
    ],
)
def test_a_wrong_option_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    done = run_here("control", *words)
    assert done.code == 2
    assert sentence in done.sentence


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    words = ("--server", "tcp://127.0.0.1:9", "--timeout-s", "0.05")
    done = run_here("control", "hello", *words)
    assert done.code == 1
    assert "no answer to hello from tcp://127.0.0.1:9 within 0.05 s" in done.sentence
