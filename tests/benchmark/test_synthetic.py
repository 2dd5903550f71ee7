"""Synthetic rigs: their frames and send times, with a fake clock."""

from collections import defaultdict

import numpy as np
import pytest

from langpose_rt.benchmark import synthetic
from langpose_rt.benchmark.synthetic import Plan, Sent, SyntheticRigs, plan_from_text
from langpose_rt.client.address import Connection
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.errors import ConfigError

NOWHERE = Connection(endpoint="tcp://127.0.0.1:1")
START_S = 1000.0


class Clock:
    """Time that passes when somebody sleeps, or when it is told to."""

    def __init__(self) -> None:
        self.now_s = START_S

    def perf_counter(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(synthetic, "time", clock)
    return clock


@pytest.fixture
def sent(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[float, int, int]]]:
    """By topic: when every frame went, its capture time, and its people."""
    sent: dict[str, list[tuple[float, int, int]]] = defaultdict(list)

    def publish(self: RigPublisher, people: np.ndarray, ids: list[int], t_ns: int) -> None:
        assert len(people) == len(ids)
        sent[self._empty_frame.topic].append((clock.now_s - START_S, t_ns, len(people)))

    monkeypatch.setattr(RigPublisher, "publish", publish)
    return sent


def test_every_rig_sends_at_its_true_rate_and_none_in_step(
    sent: dict[str, list[tuple[float, int, int]]],
) -> None:
    with SyntheticRigs(NOWHERE, plan_from_text("4x2@50")) as rigs:
        done = rigs.play(seconds=2.0)
    assert (done.frames, done.late) == (400, 0)
    assert done.seconds == pytest.approx(2.0, abs=0.02)
    assert set(sent) == {f"kp2d/synth{n}/cam0/" for n in range(4)}
    phases = set()
    for frames in sent.values():
        when_s, t_ns, people = zip(*frames, strict=True)
        assert set(people) == {2}
        np.testing.assert_allclose(np.diff(when_s), 1 / 50, atol=1e-9)
        np.testing.assert_allclose(np.array(t_ns) / 1e9, when_s, atol=1e-8)
        assert 0 <= when_s[0] < 1 / 50
        phases.add(when_s[0])
    assert len(phases) == 4


def test_what_is_late_is_sent_at_once_and_counted_and_the_schedule_stays(
    clock: Clock, sent: dict[str, list[tuple[float, int, int]]]
) -> None:
    def stall(so_far: Sent) -> None:
        if so_far.frames == 10:
            clock.now_s += 0.55

    with SyntheticRigs(NOWHERE, plan_from_text("1x1@10")) as rigs:
        done = rigs.play(seconds=3.0, on_round=stall)
    (frames,) = sent.values()
    assert done.frames == 30
    assert done.late == 4
    assert done.worst_late_ms == pytest.approx(450, abs=1)
    assert frames[-1][0] == pytest.approx(frames[0][0] + 2.9, abs=1e-9)
    assert np.diff([t_ns for _, t_ns, _ in frames]).tolist() == pytest.approx([1e8] * 29, abs=1)


def test_a_seed_says_when_and_in_which_motion() -> None:
    def made(seed: int) -> tuple[list[float], list[int]]:
        with SyntheticRigs(NOWHERE, plan_from_text("3x1@60", seed=seed)) as rigs:
            return rigs._phases_s, rigs._moments

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_an_interrupt_ends_it_with_what_was_sent(
    sent: dict[str, list[tuple[float, int, int]]],
) -> None:
    def interrupt(so_far: Sent) -> None:
        if so_far.frames == 6:
            raise KeyboardInterrupt

    with SyntheticRigs(NOWHERE, plan_from_text("2x0@60")) as rigs:
        assert rigs.play(on_round=interrupt).frames == 6
    assert len(sent) == 2


def test_no_server_is_noticed_in_the_time_given() -> None:
    with SyntheticRigs(NOWHERE, plan_from_text("2x1@60")) as rigs:
        assert not rigs.wait_for_server(0.01)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("16x2@60", Plan(rigs=16, persons=2, rate_hz=60.0)),
        ("1x0@29.97", Plan(rigs=1, persons=0, rate_hz=29.97)),
    ],
)
def test_a_plan_is_words(text: str, plan: Plan) -> None:
    assert plan_from_text(text) == plan


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("16x2", "'16x2'; expected RIGSxPERSONS@HZ such as 16x2@60"),
        ("axb@c", "expected RIGSxPERSONS@HZ"),
        ("0x2@60", "0 rigs; expected 1 to 1024"),
        ("2000x2@60", "2000 rigs; expected 1 to 1024"),
        ("1x65@60", "65 persons; expected 0 to 64"),
        ("1x1@0.5", "0.5 rate_hz; expected 1 to 1000"),
        ("1x1@-1", "expected RIGSxPERSONS@HZ"),
        ("1x1@nan", "expected RIGSxPERSONS@HZ"),
    ],
)
def test_what_is_no_plan_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan_from_text(text)
    assert sentence in str(refused.value)
