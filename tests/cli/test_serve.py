"""`serve`: what it refuses before it listens; that it serves is in tests/end_to_end."""

import socket
from pathlib import Path

import pytest

from tests.commands import run_here


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
        (("--frame", "sideways"), "unknown frame 'sideways'; expected camera or world"),
        (("--lookahead-ms", "nan"), "lookahead_ms is nan; expected 0 to 2000"),
        (("--fov", "3000"), "field of view is 3000.0 degrees"),
        (("--person-height-m", "9"), "person_height_m is 9; expected 0.3 to 3"),
        (("--server", "a b"), "server name 'a b' is not"),
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
