from collections.abc import Sequence

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.volume_tracker import TrackerConfig, VolumeTracker
from langpose_rt.geometry.skeleton import FLIP_INDICES
from tests.fusion.rigs import LAYOUT, MS, body, detections_of, pair_in_one_plane, ring

CAMERAS = CameraArray.of_cameras(ring(4))
AWAKE = np.ones(4, bool)
ALL = [[0], [0], [0], [0]]
ARMS = [11, 12, 13, 14, 15, 16]


class Story:
    """A tracker and its clock, 60 steps a second."""

    def __init__(self, cameras: CameraArray = CAMERAS, **config: float) -> None:
        self.cameras = cameras
        options = TrackerConfig(measured=True, **config)  # type: ignore[arg-type]
        self.tracker = VolumeTracker(cameras, LAYOUT, options)
        self.frame = -1

    def see(
        self, people: Sequence[np.ndarray], views: Sequence[Sequence[int]], steps: int = 1
    ) -> FusedFrame:
        """The same picture for some steps; the last answer."""
        for _ in range(steps):
            answer = self.step(detections_of(self.cameras, people, views))
        return answer

    def step(self, detections: Detections) -> FusedFrame:
        self.frame += 1
        return self.tracker.step(self.frame * 16 * MS, detections, AWAKE[: len(self.cameras)])


def test_somebody_is_fused_from_the_first_instant() -> None:
    frame = Story().see([body(0.4)], ALL)
    assert frame.ids.tolist() == [0]
    np.testing.assert_allclose(frame.joints17[0], body(0.4), atol=0.01)
    assert frame.measured is not None
    np.testing.assert_allclose(frame.measured[0], body(0.4), atol=1e-4)
    assert (frame.views == 15).all()
    assert frame.cameras.tolist() == [[True] * 4]


def test_a_person_keeps_the_id_while_one_camera_sees_them_and_when_all_do_again() -> None:
    story = Story()
    story.see([body()], ALL, 30)
    alone = story.see([body()], [[0], [], [], []], 60)
    assert alone.ids.tolist() == [0]
    assert alone.cameras[0].tolist() == [True, False, False, False]
    assert np.linalg.norm(alone.joints17[0] - body(), axis=-1).max() < 0.05
    assert story.see([body()], ALL).ids.tolist() == [0]


def test_somebody_out_of_sight_is_held_then_hidden_then_known_again() -> None:
    story = Story()
    story.see([body()], ALL, 30)
    held = story.see([body()], [[], [], [], []], 5)
    assert held.ids.tolist() == [0]
    assert held.held_ns[0] == 5 * 16 * MS
    assert (held.views == 0).all()
    assert story.see([body()], [[], [], [], []], 30).ids.tolist() == []
    assert story.see([body(0.2)], ALL).ids.tolist() == [0]


def test_somebody_who_was_away_for_long_is_somebody_new() -> None:
    story = Story(memory_s=0.5)
    story.see([body()], ALL, 10)
    story.see([body()], [[], [], [], []], 60)
    assert story.see([body()], ALL).ids.tolist() == [1]


def test_two_people_who_pass_each_other_keep_their_ids() -> None:
    story, who = Story(), set()
    for frame in range(120):
        x = -1.2 + 0.02 * frame
        people = [body(x, -0.3, turned=1.0), body(-x, 0.3, turned=-2.0)]
        answer = story.see(people, [[0, 1], [1, 0], [0, 1], [1, 0]])
        order = np.argsort(answer.joints17[:, 0, 1])  # the first walks at y = -0.3
        who.add(tuple(answer.ids[order].tolist()))
    assert len(who) == 1
    assert len(who.pop()) == 2


def test_a_view_with_exchanged_sides_changes_nothing() -> None:
    story = Story()
    story.see([body()], ALL, 20)
    detections = detections_of(CAMERAS, [body()], ALL)
    detections.rays[2] = detections.rays[2][FLIP_INDICES]
    frame = story.step(detections)
    np.testing.assert_allclose(frame.joints17[0], body(), atol=0.01)
    assert (frame.views == 15).all()


@pytest.mark.parametrize("sides", [slice(None), ARMS])
def test_somebody_first_seen_with_exchanged_sides_gets_the_right_ones(
    sides: slice | list[int],
) -> None:
    story = Story()
    order = np.arange(17)
    order[sides] = FLIP_INDICES[sides]
    for _ in range(6):
        detections = detections_of(CAMERAS, [body()], ALL)
        detections.rays[:] = detections.rays[:, order]
        story.step(detections)
    frame = story.see([body()], ALL, 60)
    assert frame.ids.tolist() == [0]
    np.testing.assert_allclose(frame.joints17[0], body(), atol=0.02)


def test_a_mirror_image_that_one_camera_sees_is_nobody() -> None:
    people = [body(), body(0.4, 1.2, turned=2.0)]
    frame = Story().see(people, [[0, 1], [0], [0], [0]], 60)
    assert frame.ids.tolist() == [0]


def test_somebody_whom_one_camera_sees_is_published_where_the_lift_has_them() -> None:
    story = Story()
    for _ in range(20):
        detections = detections_of(CAMERAS, [body()], [[0], [], [], []])
        detections.lifts.pose[0], detections.lifts.sigma_m[0] = body() - body()[0], 0.05
        detections.lifts.root[0] = body()[0]
        frame = story.step(detections)
    assert frame.ids.tolist() == [0]
    assert np.linalg.norm(frame.joints17[0] - body(), axis=-1).mean() < 0.05
    assert frame.measured is not None
    assert np.isnan(frame.measured).all()
    joined = story.see([body()], ALL)
    assert joined.ids.tolist() == [0]
    assert joined.cameras.all()


@pytest.mark.parametrize("radius_m", [8.0, 16.0])
def test_somebody_far_from_the_one_camera_that_sees_them_keeps_the_id(radius_m: float) -> None:
    story = Story(CameraArray.of_cameras(ring(4, radius_m)))
    found = set()
    for step in range(60):
        seen = step % 10 != 9
        detections = detections_of(story.cameras, [body()], [[0] if seen else [], [], [], []])
        if seen and step % 10 != 8:  # a lift may come too late, and a detector may miss somebody
            detections.lifts.pose[0], detections.lifts.sigma_m[0] = body() - body()[0], 0.05
            detections.lifts.root[0] = body()[0]
        frame = story.step(detections)
        found.update(frame.ids.tolist())
        assert np.isfinite(frame.joints).all()
    assert found == {0}
    assert story.see([body()], ALL).ids.tolist() == [0]


def test_two_views_of_different_people_do_not_stay_one_person() -> None:
    two = CameraArray.of_cameras(ring(2))
    people = pair_in_one_plane(two)
    story = Story(two)
    ghost = story.see(people, [[0], [1]], 12)
    assert ghost.ids.tolist() == [0]
    frame = story.see(people, [[0, 1], [0, 1]], 40)
    assert len(frame.ids) == 2
    for joints in people:
        away = np.linalg.norm(frame.joints17 - joints, axis=-1).max(1)
        assert away.min() < 0.05


def test_a_lift_that_is_not_where_its_view_has_it_makes_nobody() -> None:
    story = Story()
    for _ in range(20):
        detections = detections_of(CAMERAS, [body()], [[0], [], [], []])
        detections.lifts.pose[0], detections.lifts.sigma_m[0] = body() - body()[0], 0.05
        detections.lifts.root[0] = body(0.0, 1.5)[0]
        frame = story.step(detections)
    assert frame.ids.tolist() == []


def test_two_detections_of_one_person_in_a_camera_make_no_second_person() -> None:
    people = [body(), body(0.03, 0.02)]
    frame = Story().see(people, [[0, 1], [0, 1], [0], [0]], 60)
    assert frame.ids.tolist() == [0]


def test_a_chance_meeting_of_two_views_is_not_published_at_once() -> None:
    story = Story()
    assert story.see([body()], [[0], [0], [], []]).ids.tolist() == []
    assert story.see([body()], [[0], [0], [], []], 20).ids.tolist() == [0]


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="coast_ms is 3000"):
        TrackerConfig(coast_ms=3000.0)


def test_lifts_help_two_cameras_whose_detector_is_constantly_wrong() -> None:
    """Two rays cannot tell the offsets of a detector from a body of another shape; a lift can."""
    cameras = CameraArray.of_cameras(dict(list(ring(4).items())[:2]))
    offsets = np.random.default_rng(3).normal(0, 0.006, (2, 17, 2))
    error_m = {}
    for lifted in (False, True):
        story = Story(cameras)
        for _ in range(120):
            detections = detections_of(cameras, [body()], [[0], [0]])
            detections.rays[:] += offsets
            if lifted:
                detections.lifts.pose[:], detections.lifts.sigma_m[:] = body() - body()[0], 0.04
                detections.lifts.root[:] = body()[0]
            frame = story.step(detections)
        error_m[lifted] = np.linalg.norm(frame.joints17[0] - body(), axis=-1).mean()
    assert error_m[True] < 0.9 * error_m[False], error_m
