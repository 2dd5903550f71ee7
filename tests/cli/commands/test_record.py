"""`record`: what it refuses; that it records is in tests/end_to_end."""

from pathlib import Path

import pytest
import zmq

from langpose_rt.formats.recording import Recording
from tests.commands import run_here


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--seconds", "0"), "--seconds is 0; expected more than 0"),
        (("--seconds", "nan"), "--seconds is nan; expected more than 0"),
        (("--server", "nowhere"), 'cannot connect to "nowhere"'),
    ],
)
def test_a_wrong_option_is_one_sentence_and_leaves_no_file(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = run_here("record", tmp_path / "a.mcap", *words)
    assert done.code == 2
    assert sentence in done.sentence
    assert not (tmp_path / "a.mcap").exists()


def test_a_server_with_keys_is_one_sentence_and_leaves_no_file(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server = context.socket(zmq.XPUB)
    server.curve_server = True
    server.curve_publickey, server.curve_secretkey = zmq.curve_keypair()
    port = server.bind_to_random_port("tcp://127.0.0.1")
    done = run_here("record", tmp_path / "a.mcap", "--server", f"tcp://127.0.0.1:{port}")
    server.close(linger=0)
    context.term()
    assert done.code == 1
    assert "has keys and this client has none" in done.err
    assert not (tmp_path / "a.mcap").exists()


def test_a_silent_server_gives_an_empty_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    done = run_here("record", path, "--server", "tcp://127.0.0.1:1", "--seconds", "0.1")
    assert done.code == 0
    assert done.out == f"{path}: 0 messages, 0 frames of poses\n"
    recording = Recording(path)
    assert list(recording.entries()) == []
    assert recording.complete
