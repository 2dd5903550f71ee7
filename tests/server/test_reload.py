"""Reloads beside a serving pipeline: refused models, closed backends, retries."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from langpose_rt.config import PRESETS
from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.monitoring.faults import FAILURES_IN_A_ROW
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.server.reload import LONGEST_RETRY_S, Reloader
from tests.fakes import MS, FakeBackend, keypoint_parts, person_px
from tests.peers import WAIT_S

PERSON = person_px((0, 0, 4))


class Closed(FakeBackend):
    """Remembers that it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class House:
    """A pipeline whose model can be changed; `turn` is what the lift thread does."""

    def __init__(self) -> None:
        self.first = Closed()
        self.opened: list[Closed] = []
        self.asked: list[Path | None] = []
        self.make: Callable[[], Closed] = Closed
        self.pipeline = Pipeline(self.first)
        self.reloader = Reloader(self.pipeline, self.open)
        self.now_ms = 0

    def open(self, folder: Path | None) -> Closed:
        self.asked.append(folder)
        self.opened.append(self.make())
        return self.opened[-1]

    def serve(self, frames: int = 1) -> int:
        """Some frames of one person; how many poses came of them."""
        poses = 0
        for _ in range(frames):
            seq, now_ns = self.now_ms // 20, self.now_ms * MS
            self.pipeline.receive(keypoint_parts(PERSON, seq=seq, t_ms=self.now_ms), now_ns)
            for work in (self.pipeline.promote_shadow, self.pipeline.step, self.pipeline.tick):
                poses += sum(parts[0].startswith(b"pose3d/") for parts in work(now_ns))
            self.now_ms += 20
        return poses

    def change(self, folder: Path | None = None) -> str | None:
        """Change the model, serving meanwhile; what was wrong with it."""
        ended, said = threading.Event(), []

        def end(wrong: str | None) -> None:
            said.append(wrong)
            ended.set()

        assert self.reloader.begin(folder, end)
        for _ in range(round(WAIT_S * 100)):
            assert self.serve() == 1, "a frame was lost"
            if ended.wait(0.01):
                break
        (wrong,) = said
        return wrong


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.reloader.stop()


def test_another_model_takes_over_while_every_frame_is_answered(house: House) -> None:
    house.serve(30)
    assert house.change(Path("new")) is None
    assert house.asked == [Path("new")]
    (new,) = house.opened
    assert house.first.closed
    assert not new.closed
    before = len(new.lifts)
    house.serve(3)
    assert len(new.lifts) == before + 3
    assert house.pipeline.snapshot(0).counters["reloads"] == 1


def broken(**values: object) -> Closed:
    backend = Closed()
    for name, value in values.items():
        setattr(backend, name, value)
    return backend


def of_another_kind() -> Closed:
    backend = Closed()
    config = PRESETS["lite"].to_dict()
    backend.manifest = msgspec.structs.replace(backend.manifest, config=config)
    return backend


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Closed(slots=9), "opened for 9 people, not 8"),
        (lambda: broken(failing=True), "the fake backend was told to fail"),
        (lambda: broken(broken={0}), "gives impossible numbers"),
        (of_another_kind, "serve a live model"),
    ],
)
def test_a_model_that_cannot_serve_is_refused_and_closed_and_the_old_one_stays(
    house: House, make: Callable[[], Closed], sentence: str
) -> None:
    house.make = make
    assert sentence in (house.change() or "")
    assert house.opened[0].closed
    assert not house.first.closed
    assert house.serve(3) == 3
    counters = house.pipeline.snapshot(0).counters
    assert (counters["reloads"], counters["reloads_refused"]) == (0, 1)


@pytest.mark.parametrize("error", [ModelError("no model at /nowhere"), ZeroDivisionError("oh")])
def test_a_model_that_cannot_be_opened_is_refused_in_its_own_words(
    house: House, error: Exception
) -> None:
    def fail() -> Closed:
        raise error

    house.make = fail
    assert str(error) in (house.change() or "")
    assert house.serve() == 1


def test_one_change_at_a_time(house: House) -> None:
    go, ended = threading.Event(), threading.Event()

    def slow() -> Closed:
        go.wait(WAIT_S)
        return Closed(slots=1)

    house.make = slow
    assert house.reloader.begin(None, lambda _: ended.set())
    assert not house.reloader.begin(None, lambda _: None)
    go.set()
    assert ended.wait(WAIT_S)


def test_without_a_way_to_open_models_there_is_no_change() -> None:
    with pytest.raises(ConfigError, match="was not told how to open another model"):
        Reloader(Pipeline(FakeBackend()), None).begin(None, lambda _: None)


def test_a_change_that_the_end_of_the_server_overtakes_closes_the_new_model(house: House) -> None:
    ended, said = threading.Event(), []
    house.serve(30)
    house.reloader.begin(None, lambda wrong: (said.append(wrong), ended.set()))
    house.reloader.stop()
    assert ended.wait(WAIT_S)
    assert "the server ended before" in said[0]
    assert house.opened[0].closed
    assert not house.first.closed


def test_a_model_that_fails_again_and_again_is_opened_anew_ever_more_rarely(house: House) -> None:
    house.serve(3)
    house.first.failing = True
    house.reloader.retry_if_failing(0.0)
    assert house.serve(FAILURES_IN_A_ROW - 1) == 0
    house.reloader.retry_if_failing(0.5)
    assert house.asked == [], "it may recover by itself"
    house.make = lambda: broken(failing=True)
    tries_s, now_s = [], 1.0
    while now_s < 150.0:
        house.serve()
        count = len(house.asked)
        house.reloader.retry_if_failing(now_s)
        if house.reloader._thread is not None:
            house.reloader._thread.join()
        if len(house.asked) > count:
            tries_s.append(now_s)
        now_s += 0.5
    gaps_s = [later - sooner for sooner, later in itertools.pairwise(tries_s)]
    assert gaps_s == [1, 2, 4, 8, 16, 32, LONGEST_RETRY_S]
    assert house.pipeline.state == "degraded"
    house.make = Closed
    house.reloader.retry_if_failing(1000.0)
    for _ in range(round(WAIT_S * 100)):
        house.serve()
        if house.first.closed:
            break
        threading.Event().wait(0.01)
    assert house.serve(3) == 3
    assert house.pipeline.state == "ready"
    house.reloader.retry_if_failing(2000.0)
    assert house.reloader._retry_s == 1.0
