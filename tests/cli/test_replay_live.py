"""A recording to a running server: the same bytes, at the same pace, or one sentence."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from langpose_rt.cli import replay_live as module
from langpose_rt.cli.arguments.connection import NO_SERVER_ADVICE
from langpose_rt.cli.replay_live import replay_live
from langpose_rt.client import raw
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.formats.recording import Entry
from langpose_rt.security.key_files import new_key_files

TO = "tcp://127.0.0.1:5555"
MS = 1_000_000


class Recording:
    """As far as it is asked.

    Args:
        rows: (direction, rig, milliseconds) of every entry.
    """

    path = Path("take.mcap")

    def __init__(self, *rows: tuple[Any, str, int]) -> None:
        self.rows = rows

    def entries(self) -> Iterator[Entry]:
        for direction, rig, at_ms in self.rows:
            yield Entry(
                direction, f"kp2d/{rig}/cam0/", [rig.encode(), b"\x00" * at_ms], at_ms * MS, 0
            )


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s, self.slept = 0.0, []  # type: ignore[var-annotated]

    def perf_counter(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


class Publisher:
    """Keeps what is sent, and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.there = clock, True
        self.sent: list[tuple[float, list[bytes]]] = []
        self.opened: list[tuple[str, dict[str, object]]] = []

    def __call__(self, endpoint: str, **keys: object) -> "Publisher":
        self.opened.append((endpoint, keys))
        return self

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait_for_server(self, timeout_s: float) -> bool:  # noqa: ARG002 - as the real one
        return self.there

    def send(self, parts: Sequence[bytes]) -> None:
        self.sent.append((round(self.clock.now_s, 6), list(parts)))


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Publisher:
    clock = Clock()
    made = Publisher(clock)
    monkeypatch.setattr(
        module, "time", SimpleNamespace(perf_counter=clock.perf_counter, sleep=clock.sleep)
    )
    monkeypatch.setattr(raw, "RawPublisher", made)
    return made


def said(**changes: Any) -> argparse.Namespace:
    values = {
        "to": TO, "speed": 1.0, "wait_s": 5.0, "key": None, "server_key": None, "json": False,
    }  # fmt: skip
    return argparse.Namespace(**(values | changes))


TAKE = Recording(
    ("received", "rig0", 100), ("published", "rig0", 110), ("received", "rig1", 150),
    ("journal", "rig0", 160), ("received", "rig0", 300),
)  # fmt: skip


@pytest.mark.parametrize(("speed", "at_s"), [(1.0, [0, 0.05, 0.2]), (2.0, [0, 0.025, 0.1])])
def test_what_was_received_is_sent_again_with_its_bytes_and_its_timing(
    publisher: Publisher, speed: float, at_s: list[float]
) -> None:
    assert replay_live(TAKE, said(speed=speed)) == 0  # type: ignore[arg-type]
    assert [at for at, _ in publisher.sent] == at_s
    received = [entry.parts for entry in TAKE.entries() if entry.direction == "received"]
    assert [parts for _, parts in publisher.sent] == received
    assert publisher.opened == [(TO, {})]


def test_a_recording_whose_clock_went_back_is_sent_without_waiting(publisher: Publisher) -> None:
    back = Recording(("received", "rig0", 500), ("received", "rig0", 100))
    replay_live(back, said())  # type: ignore[arg-type]
    assert publisher.clock.slept == [0, 0]


def test_what_was_sent_is_said_in_words_or_as_json(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    replay_live(TAKE, said())  # type: ignore[arg-type]
    assert capsys.readouterr() == ("3 messages sent\n", f"replaying take.mcap to {TO}\n")
    replay_live(TAKE, said(json=True))  # type: ignore[arg-type]
    assert json.loads(capsys.readouterr().out) == {"file": "take.mcap", "to": TO, "messages": 3}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"speed": 0.0}, "--speed is 0; expected 0.01 to 100"),
        ({"speed": float("nan")}, "--speed is nan; expected 0.01 to 100"),
        ({"speed": 101.0}, "--speed is 101; expected 0.01 to 100"),
        ({"wait_s": -1.0}, "--wait-s is -1; expected 0 to 86400"),
        ({"wait_s": float("inf")}, "--wait-s is inf; expected 0 to 86400"),
        ({"server_key": "a"}, "--key and --server-key go together"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_opened(
    publisher: Publisher, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replay_live(TAKE, said(**changes))  # type: ignore[arg-type]
    assert publisher.opened == []


def test_without_a_server_it_says_how_to_start_one(publisher: Publisher) -> None:
    publisher.there = False
    with pytest.raises(LangPoseError) as caught:
        replay_live(TAKE, said(wait_s=1.5))  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"no server asked for keypoints at {TO} within 1.5 s; {NO_SERVER_ADVICE}"
    )
    assert publisher.sent == []


def test_a_recording_without_keypoints_says_how_to_make_one(publisher: Publisher) -> None:
    with pytest.raises(ConfigError, match=r"take\.mcap holds no keypoints; make a recording with"):
        replay_live(Recording(("published", "rig0", 1)), said())  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    """The flags of a rig "rig0" whose server has keys."""
    new_key_files("rig0", tmp_path)
    public, _ = new_key_files("server", tmp_path)
    return {"key": tmp_path / "rig0.key_secret", "server_key": str(public)}


def test_a_server_with_keys_that_does_not_ask_may_not_know_the_key(
    publisher: Publisher, keys: dict[str, Any]
) -> None:
    publisher.there = False
    with pytest.raises(LangPoseError, match="that its folder holds this rig's public key"):
        replay_live(TAKE, said(**keys))  # type: ignore[arg-type]
    assert set(publisher.opened[0][1]) == {"server_key", "key_pair"}


def test_rigs_that_the_key_does_not_speak_for_are_named(
    publisher: Publisher, keys: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    replay_live(TAKE, said(**keys))  # type: ignore[arg-type]
    note = capsys.readouterr().err.splitlines()[-1]
    assert note == (
        "note: a server with keys takes rig0 only, and this recording also has rig1; replay it "
        "once with each one's --key"
    )
    own = Recording(("received", "rig0", 0))
    replay_live(own, said(**keys))  # type: ignore[arg-type]
    assert "note" not in capsys.readouterr().err
