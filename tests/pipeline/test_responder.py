"""Which frames are answered when, and what a failing backend or message costs."""

import numpy as np
import pytest

from langpose_rt.errors import MessageError
from langpose_rt.pipeline import responder
from langpose_rt.protocol.messages import PoseMessage
from tests.fakes import person_px
from tests.pipeline.bench import bench, seqs

HERE = person_px((0.0, 0.0, 4.0))
THERE = person_px((1.0, 0.0, 4.0))


def test_a_frame_waits_for_its_lookahead_and_is_answered_with_the_first_that_gives_it() -> None:
    b = bench(lookahead_ms=50.0)
    answered = [seqs(b.feed(HERE, seq=n, at_ms=20.0 * n)) for n in range(6)]
    assert answered == [[], [], [], [0], [1], [2]]


def test_a_frame_the_window_would_lose_is_answered_before_its_lookahead() -> None:
    b = bench(frames=4, lookahead_ms=1000.0)
    answered = [seqs(b.feed(HERE, seq=n, at_ms=20.0 * n)) for n in range(6)]
    assert answered == [[], [], [], [0], [1], [2]]


def test_a_flush_answers_everything_with_the_lookahead_there_is() -> None:
    b = bench(lookahead_ms=500.0)
    for n in range(4):
        b.feed(HERE, seq=n, at_ms=20.0 * n)
    found = b.flush(80.0)
    assert seqs(found) == [0, 1, 2, 3]
    assert [message.win.lookahead_ns // 1_000_000 for message in found] == [60, 40, 20, 0]


def test_streams_are_answered_together_and_each_ones_oldest_first() -> None:
    b = bench(lookahead_ms=30.0)
    for n in range(4):
        b.receive(HERE, seq=n, at_ms=20.0 * n)
        b.receive(THERE, seq=n, at_ms=20.0 * n, camera="cam1")
        b.step(20.0 * n)
    found = b.flush(80.0)
    for camera in ("cam0", "cam1"):
        assert seqs([message for message in found if message.camera == camera]) == [2, 3]


def test_a_failing_backend_costs_its_frames_and_the_next_ones_are_answered() -> None:
    b = bench(lookahead_ms=0.0)
    assert seqs(b.feed(HERE, seq=0, at_ms=0.0)) == [0]
    b.backend.failing = True
    assert b.feed(HERE, seq=1, at_ms=20.0) == []
    assert b.counter("backend_errors") >= 1
    b.backend.failing = False
    assert seqs(b.feed(HERE, seq=2, at_ms=40.0)) == [2]


def test_a_message_that_cannot_be_sent_is_counted_and_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    b, encode = bench(lookahead_ms=0.0), responder.encode_pose

    def refusing(message: PoseMessage) -> list[bytes]:
        if message.src.seq == 1:
            raise MessageError("too_large", "a message of 2 MiB")
        return encode(message)

    monkeypatch.setattr(responder, "encode_pose", refusing)
    assert [seqs(b.feed(HERE, seq=n, at_ms=20.0 * n)) for n in range(3)] == [[0], [], [2]]
    assert b.counter("unsendable") == 1
    assert (b.counter("frames"), b.counter("poses")) == (3, 2)


def test_poses_are_counted_by_person() -> None:
    b = bench(lookahead_ms=0.0)
    (message,) = b.feed(HERE, THERE, seq=0, at_ms=0.0)
    assert (b.counter("frames"), b.counter("poses")) == (1, 2)
    assert np.isfinite(message.poses).all()
