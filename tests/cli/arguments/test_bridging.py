"""What all bridges do: listen, follow, pass on, count, and stop when they are told."""

import argparse
import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from langpose_rt.bridges.follower import Follower
from langpose_rt.cli.arguments import bridging
from langpose_rt.cli.arguments.bridging import (
    add_bridge_arguments,
    add_stream_arguments,
    bridge,
    follower_from_arguments,
)
from langpose_rt.client import subscriber as subscribing
from langpose_rt.errors import ConfigError
from langpose_rt.protocol.messages import PoseMessage
from tests.protocol.samples import forged, pose_sample


def pose_message(**changes: Any) -> PoseMessage:
    return forged(pose_sample(1), **changes)


class FakeSubscriber:
    """Gives these messages, one after the other, then interrupts as Ctrl-C does.

    Attributes:
        asked: Arguments of every subscriber that was made.
        closed: Whether the last one was.
    """

    queue: tuple[PoseMessage | None, ...] = ()
    asked: list[tuple[tuple[object, ...], dict[str, object]]]
    closed = False

    def __init__(self, *words: object, **options: object) -> None:
        type(self).asked.append((words, options))
        self._left = iter(self.queue)

    def __enter__(self) -> "FakeSubscriber":
        return self

    def __exit__(self, *_: object) -> None:
        type(self).closed = True

    def receive(self, timeout_s: float) -> PoseMessage | None:  # noqa: ARG002 - as the real one
        try:
            return next(self._left)
        except StopIteration:
            raise KeyboardInterrupt from None


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeSubscriber]]:
    class Own(FakeSubscriber):
        asked: list[tuple[tuple[object, ...], dict[str, object]]] = []  # noqa: RUF012

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(subscribing, "PoseSubscriber", Own)
    yield Own
    signal.signal(signal.SIGTERM, before)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_bridge_arguments(parser)
    return parser.parse_args(words)


def passed_on(*words: str, **options: Any) -> list[PoseMessage]:
    sent: list[PoseMessage] = []

    def send(message: PoseMessage) -> bool:
        sent.append(message)
        return bool(len(message.ids))

    assert bridge(parsed(*words), send, what="a test", **options) == 0
    return sent


def test_without_flags_every_stream_of_a_server_here_is_meant() -> None:
    arguments = parsed()
    assert arguments.server == "tcp://127.0.0.1:5556"
    assert (arguments.rig, arguments.camera, arguments.person) == ("", "", "first")
    assert (arguments.seconds, arguments.json) == (None, False)


def test_help_says_what_happens_where_no_camera_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = argparse.ArgumentParser()
    add_stream_arguments(parser, absent="every one of them")
    parser.print_help()
    assert "(default: every one of them)" in " ".join(capsys.readouterr().out.split())


def test_frames_pass_in_order_and_are_counted_with_the_poses_in_them(
    heard: type[FakeSubscriber], capsys: pytest.CaptureFixture[str]
) -> None:
    messages = [pose_message(seq=seq) for seq in (1, 2, 3)]
    heard.queue = (messages[0], None, messages[1], messages[2])
    assert [message.seq for message in passed_on()] == [1, 2, 3]
    said = capsys.readouterr()
    assert said.err == "poses of tcp://127.0.0.1:5556 go to a test\n"
    assert said.out == "3 frames, 3 poses passed on\n"
    assert heard.closed


def test_a_summary_for_programs_is_json(
    heard: type[FakeSubscriber], capsys: pytest.CaptureFixture[str]
) -> None:
    heard.queue = (pose_message(), pose_message())
    assert bridge(parsed("--json"), lambda _: False, what="a test") == 0
    assert json.loads(capsys.readouterr().out) == {"frames": 2, "poses": 0}


def test_where_one_stream_is_followed_the_others_are_left_out(
    heard: type[FakeSubscriber],
) -> None:
    front, side = pose_message(camera="front"), pose_message(camera="side")
    heard.queue = (front, side, front)
    assert [message.camera for message in passed_on(follower=Follower())] == ["front", "front"]
    heard.queue = (front, side, front)
    assert len(passed_on()) == 3


@pytest.mark.parametrize("latest", [True, False])
def test_rig_camera_and_whether_frames_may_be_left_out_reach_the_subscriber(
    heard: type[FakeSubscriber], latest: bool
) -> None:
    words = ("--server", "tcp://10.0.0.9:5556", "--rig", "rig0", "--camera", "front")
    passed_on(*words, latest=latest)
    assert heard.asked == [(("tcp://10.0.0.9:5556", "rig0", "front"), {"latest": latest})]


def test_it_ends_when_the_time_is_over(
    heard: type[FakeSubscriber], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = iter(range(100))
    monkeypatch.setattr(bridging.time, "monotonic", lambda: float(next(now_s)))
    heard.queue = (pose_message(),) * 50
    assert len(passed_on("--seconds", "5")) == 4, "at 1, 2, 3 and 4 seconds"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e10"])
def test_a_time_that_is_none_is_refused_before_anything_is_opened(
    heard: type[FakeSubscriber], seconds: str
) -> None:
    with pytest.raises(ConfigError, match=r"--seconds is .*; expected more than 0"):
        bridge(parsed(f"--seconds={seconds}"), lambda _: True, what="a test")
    assert heard.asked == []


def test_a_terminated_bridge_ends_as_an_interrupted_one(heard: type[FakeSubscriber]) -> None:
    passed_on()
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_a_person_who_is_named_is_the_only_one_followed() -> None:
    message = pose_message()
    own = int(message.ids[0])
    assert follower_from_arguments(parsed()).person(message) == 0
    assert follower_from_arguments(parsed("--person", str(own))).person(message) == 0
    assert follower_from_arguments(parsed("--person", str(own + 100))).person(message) is None
