"""A shadow model fills its windows beside the active one and is promoted; no threads."""

import numpy as np
import pytest

from langpose_rt.errors import BackendError
from langpose_rt.pipeline.model_swap import (
    MOST_BEHIND,
    SHADOW_NS,
    TOO_SLOW_NS,
    ShadowModel,
    SwappableBackend,
    warm_up_backend,
)
from tests.fakes import MS, FakeBackend

ROWS, EXTRAS = np.zeros((1, 17, 3), np.float32), np.zeros((1, 7), np.float32)
FULL = 16


class Stage:
    """An active model, its successor to be, and what the persons know of the windows."""

    def __init__(self, frames_before: int = 40) -> None:
        self.old, self.new = FakeBackend(frames=FULL), FakeBackend(frames=FULL)
        self.model = SwappableBackend(self.old)
        self.pushes, self.frame = np.zeros(self.old.slots, np.int64), 0
        self.show(frames_before)
        self.shadow = self.model.start_shadow(self.new)

    def show(self, frames: int, slot: int = 2) -> None:
        """Frames of the person in one slot."""
        for _ in range(frames):
            times = np.array([self.frame * 20 * MS])
            self.model.encode(ROWS, EXTRAS, np.array([slot], np.int32), times)
            self.frame += 1
            self.pushes[slot] += 1

    def ready_to_promote(self, now_ns: int = 0, *, at_once: bool = False) -> ShadowModel | None:
        return self.model.ready_to_promote(self.pushes, now_ns, at_once=at_once)


def test_it_takes_over_once_it_knows_everybody_as_well_as_the_one_before() -> None:
    stage = Stage()
    assert stage.ready_to_promote() is None
    stage.show(FULL - 1)
    stage.shadow.run_queued()
    assert stage.ready_to_promote(100 * MS) is None, "one frame is missing"
    stage.show(1)
    assert stage.ready_to_promote(200 * MS) is stage.shadow
    assert stage.model.promote(stage.shadow)
    assert stage.shadow.ended.is_set()
    assert stage.shadow.replaced is stage.old
    times_ns = [[time_ns for time_ns, _ in one.history[2]] for one in (stage.new, stage.old)]
    assert times_ns[0] == times_ns[1][-FULL:]
    stage.show(1)
    assert len(stage.new.history[2]) == FULL + 1
    assert len(stage.old.history[2]) == 40 + FULL, "the old one is left alone"


@pytest.mark.parametrize("old_takes_lengths", [False, True])
def test_models_with_and_without_bone_lengths_follow_each_other(old_takes_lengths: bool) -> None:
    old = FakeBackend(length_input=old_takes_lengths)
    new = FakeBackend(length_input=not old_takes_lengths)
    model = SwappableBackend(old)
    shadow = model.start_shadow(new)
    extras = np.ones((1, old.manifest.model_config.extra_channels), np.float32)
    model.encode(ROWS, extras, np.array([0], np.int32), np.array([20 * MS]))
    assert model.promote(shadow)
    ((_, seen),) = new.history[0]
    np.testing.assert_array_equal(seen[:7], 1)
    assert not seen[7:].any(), "lengths that were not input are unknown"


def test_people_who_came_during_the_shadow_run_are_known_from_the_first_frame() -> None:
    stage = Stage(frames_before=0)
    stage.show(3, slot=5)
    assert stage.ready_to_promote() is stage.shadow
    assert stage.model.promote(stage.shadow)
    assert len(stage.new.history[5]) == 3


def test_who_is_forgotten_is_forgotten_by_both_in_the_right_order() -> None:
    stage = Stage()
    stage.show(5)
    stage.model.reset(np.array([2], np.int32))
    stage.pushes[2] = 0
    stage.show(2)
    assert stage.shadow.filled[2] == 2
    assert stage.model.promote(stage.shadow)
    assert len(stage.new.history[2]) == 2


def test_nobody_waits_for_ever_for_somebody_who_is_away() -> None:
    stage = Stage()
    assert stage.ready_to_promote(0) is None
    assert stage.ready_to_promote(SHADOW_NS) is None
    assert stage.ready_to_promote(SHADOW_NS + 1) is stage.shadow


def test_a_model_that_has_failed_is_replaced_at_once() -> None:
    assert (stage := Stage()).ready_to_promote(at_once=True) is stage.shadow


def test_a_model_that_is_behind_does_not_take_over_and_is_dismissed_in_the_end() -> None:
    stage = Stage()
    stage.show(FULL + MOST_BEHIND)
    assert stage.shadow.behind > MOST_BEHIND
    assert stage.ready_to_promote(0) is None
    assert stage.ready_to_promote(TOO_SLOW_NS) is None
    assert not stage.shadow.ended.is_set()
    assert stage.ready_to_promote(TOO_SLOW_NS + 1) is None
    assert stage.shadow.ended.is_set()
    assert "cannot keep up with this load" in str(stage.shadow.error)
    noted = stage.shadow.behind
    stage.show(1)
    assert stage.shadow.behind == noted, "it is given nothing more"


@pytest.mark.parametrize("how", ["failing", "nan", "fault"])
def test_a_shadow_model_that_fails_is_dropped(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.new.failing = how == "failing"
    stage.new.broken_embeddings = {2} if how == "nan" else set()
    if how == "fault":
        monkeypatch.setattr(stage.new, "encode", lambda *_: 1 / 0)
    stage.show(1)
    stage.shadow.run_queued()
    assert stage.ready_to_promote() is None
    assert stage.shadow.ended.is_set()
    assert isinstance(stage.shadow.error, BackendError)
    assert stage.model.manifest is stage.old.manifest


def test_a_model_that_fails_at_the_last_moment_does_not_take_over() -> None:
    stage = Stage(frames_before=0)
    stage.new.failing = True
    stage.show(1)
    ready_to_promote = stage.ready_to_promote()
    assert ready_to_promote is stage.shadow
    assert not stage.model.promote(ready_to_promote)
    assert ready_to_promote.ended.is_set()
    assert ready_to_promote.replaced is None
    stage.show(1)
    assert len(stage.old.history[2]) == 2


def test_a_model_of_impossible_numbers_does_not_warm_up() -> None:
    for broken in ("broken", "broken_embeddings"):
        backend = FakeBackend()
        setattr(backend, broken, {0})
        with pytest.raises(BackendError, match="'fake' gives impossible numbers"):
            warm_up_backend(backend)
    warm_up_backend(FakeBackend(length_input=True))
    warm_up_backend(backend := FakeBackend())
    assert all(history == [] for history in backend.history)


def test_what_a_full_house_needs_is_taken_before_anybody_comes() -> None:
    for slots, people in ((8, 8), (1000, 64)):
        warm_up_backend(backend := FakeBackend(slots))
        assert backend.encodes == [1, 1, people]
