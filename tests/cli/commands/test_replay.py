"""`replay`: what it refuses; that it gives the same poses is in tests/end_to_end."""

from pathlib import Path

import pytest

from langpose_rt.formats.recording import RecordingWriter
from tests.commands import run_here


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "poses without the keypoints they came from; record with 'langpose-rt serve --record"),
        (("--to", "nowhere"), 'cannot connect to "nowhere"'),
        (("--to", "tcp://127.0.0.1:1", "--wait-s", "0"), "no server asked for keypoints"),
        (("--to", "tcp://127.0.0.1:1", "--speed", "0"), "--speed is 0; expected 0.01 to 100"),
        (("--to", "tcp://127.0.0.1:1", "--wait-s", "-1"), "--wait-s is -1; expected 0 to 86400"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    RecordingWriter(tmp_path / "a.mcap", {"version": "1"}).finish()
    done = run_here("replay", tmp_path / "a.mcap", *words)
    assert done.code in (1, 2)
    assert sentence in done.sentence


def test_a_file_that_is_no_recording_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"\x89MCAP0\r\n" + b"x" * 100)
    for name in ("a.mcap", "nothing.mcap"):
        done = run_here("replay", tmp_path / name)
        assert done.code == 2
        assert str(tmp_path / name) in done.sentence
