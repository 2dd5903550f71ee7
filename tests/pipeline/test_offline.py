"""A clip through the pipeline: every frame lifted, in the right column, with its lookahead."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, skeleton_named
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.offline import frames_of_clip, lift_clip, rig_camera_of_clip, tracked_clip
from langpose_rt.runtime.registry import open_backend
from tests.commands import part_of_demo_clip
from tests.fakes import LENS, MS, POSE, SIZE, FakeBackend, person_px
from tests.projection import ray_to_pixel

RAW = PipelineConfig(smoothing="off", track_timeout_s=0.2)


def clip_of(columns: list[list[float | None]], ids: list[list[int]] | None = None) -> Clip:
    """People standing at x metres, by frame and column; None is not there. 20 ms a frame."""
    people = [
        [np.zeros((17, 3)) if x is None else person_px((x, 0.0, 4.0)) for x in frame]
        for frame in columns
    ]
    usual = np.tile(np.arange(len(columns[0])), (len(columns), 1))
    return Clip(
        keypoints=np.array(people, np.float32),
        skeleton=skeleton_named("h36m17"),
        size=SIZE,
        t_ns=1_000 * MS + 20 * MS * np.arange(len(columns)),
        ids=usual if ids is None else np.array(ids),
        intrinsics=LENS,
    )


def test_every_frame_of_everybody_is_answered_with_pose_root_and_time() -> None:
    clip = clip_of([[0.0, 1.0]] * 6)
    lifted = lift_clip(clip, FakeBackend(), RAW)
    np.testing.assert_allclose(lifted.pose, np.broadcast_to(POSE, (6, 2, 17, 3)), atol=1e-5)
    np.testing.assert_allclose(lifted.root[:, :, 0], [[0.0, 1.0]] * 6, atol=0.02)
    np.testing.assert_array_equal(lifted.t_ns, clip.t_ns)
    assert lifted.ids.tolist() == [[0, 1]] * 6


def test_known_people_keep_the_columns_of_the_clip() -> None:
    clip = clip_of([[None, 1.0], [0.0, 1.0], [0.0, None]], ids=[[-1, 7], [5, 7], [7, -1]])
    lifted = lift_clip(clip, FakeBackend(), RAW)
    assert lifted.ids.tolist() == [[-1, 7], [5, 7], [7, -1]]
    np.testing.assert_array_equal(np.isnan(lifted.pose).all((2, 3)), lifted.ids < 0)
    np.testing.assert_array_equal(np.isnan(lifted.sigma_m).all(2), lifted.ids < 0)
    np.testing.assert_array_equal(np.isnan(lifted.root).all(2), lifted.ids < 0)


def test_who_is_held_has_the_column_of_before_unless_somebody_else_is_there() -> None:
    known = [[0.0, 1.0]] * 4
    clip = clip_of([*known, [0.0, None], [1.0, None]], ids=[[5, 7]] * 4 + [[5, -1], [7, -1]])
    assert lift_clip(clip, FakeBackend(), RAW).ids.tolist() == [[5, 7]] * 5 + [[7, -1]]


def test_a_column_of_nobody_is_there_and_nan() -> None:
    clip = clip_of([[0.0, None]] * 3)
    assert lift_clip(clip, FakeBackend(), RAW).ids.tolist() == [[0, -1]] * 3
    nobody = lift_clip(clip_of([[None]] * 3), FakeBackend(), RAW)
    assert nobody.pose.shape == (3, 1, 17, 3)
    assert np.isnan(nobody.pose).all()


def test_people_without_ids_get_columns_by_track_and_use_them_again() -> None:
    gone = [[None, None]] * 15  # longer than anybody is waited for
    clip = clip_of([[0.0, 1.5], [1.5, 0.0], *gone, [None, -1.0]], ids=[[-1, -1]] * 18)
    lifted = lift_clip(clip, FakeBackend(), RAW)
    left, right = lifted.ids[0]
    assert lifted.ids[1].tolist() == [left, right], "the detector's order does not matter"
    np.testing.assert_allclose(lifted.root[:2, :, 0], [[0.0, 1.5]] * 2, atol=0.05)
    assert lifted.ids.shape == (18, 2)
    assert lifted.ids[-1, 0] not in {-1, left, right}
    assert lifted.ids[-1, 1] == -1


def test_nobody_without_ids_is_one_empty_column() -> None:
    lifted = lift_clip(clip_of([[None]] * 2, ids=[[-1]] * 2), FakeBackend(), RAW)
    assert lifted.ids.tolist() == [[-1]] * 2


@pytest.mark.parametrize(("lookahead_ms", "frames"), [(0, 0), (40, 2), (50, 3), (1000, 15)])
def test_every_frame_has_its_lookahead_and_the_last_ones_what_there_is(
    lookahead_ms: int, frames: int
) -> None:
    backend = FakeBackend(frames=16)
    config = replace(RAW, lookahead_ms=float(lookahead_ms))
    lifted = lift_clip(clip_of([[0.0]] * 20), backend, config)
    assert np.isfinite(lifted.pose).all()
    backs = [back for _, back, _, _ in backend.lifts]
    assert backs == [frames] * (20 - frames) + list(range(frames - 1, -1, -1))


def test_frames_are_counted_as_they_are_done() -> None:
    done: list[int] = []
    lift_clip(clip_of([[0.0]] * 4), FakeBackend(), RAW, on_frame=done.append)
    assert done == [1, 2, 3, 4]


def test_an_id_that_cannot_be_sent_is_refused() -> None:
    clip = clip_of([[0.0]], ids=[[1 << 60]])
    with pytest.raises(ConfigError, match="ids must be -1 or from 0"):
        lift_clip(clip, FakeBackend(), RAW)


def test_the_messages_say_what_the_file_knows() -> None:
    clip = replace(
        clip_of([[0.0, None], [None, 0.5]]),
        gravity=np.array([0.0, 1.0, 0.0]),
        person_height_m=1.6,
    )
    first, second = frames_of_clip(clip, "rig", "cam", epoch=3)
    assert (first.seq, second.seq, second.epoch, second.topic) == (0, 1, 3, "kp2d/rig/cam/")
    assert (first.ids.tolist(), second.ids.tolist()) == ([0], [1])
    assert second.t_ns == clip.t_ns[1]
    assert first.person_height_m == 1.6
    camera = first.cam
    assert camera is not None
    assert camera.k == (LENS.fx_px, LENS.fy_px, LENS.cx_px, LENS.cy_px)
    assert camera.gravity == (0.0, 1.0, 0.0)
    np.testing.assert_allclose(
        first.keypoints[0, 0, :2], ray_to_pixel(np.array([[0.0, 0.0]]), LENS)[0], atol=1e-3
    )


def test_bone_lengths_of_the_file_go_with_their_people_and_set_their_size() -> None:
    bones_m = np.outer([1.0, 1.2], REFERENCE_BONES_M)
    clip = replace(clip_of([[0.0, None], [None, 0.5], [0.0, 0.5]]), bones_m=bones_m)
    sent = [frame.bones_m for frame in frames_of_clip(clip, "rig", "cam", epoch=3)]
    for found, columns in zip(sent, ([0], [1], [0, 1]), strict=True):
        assert found is not None
        np.testing.assert_allclose(found, bones_m[columns], rtol=1e-6)
    lifted = lift_clip(clip, FakeBackend(length_input=True), RAW)
    np.testing.assert_allclose(lifted.pose[2], [POSE, POSE * 1.2], atol=1e-5)


def test_a_camera_nobody_knows_is_not_made_up() -> None:
    clip = replace(clip_of([[0.0]]), intrinsics=None)
    assert rig_camera_of_clip(clip) is None
    only_down = rig_camera_of_clip(replace(clip, gravity=np.array([0.0, 1.0, 0.0])))
    assert only_down is not None
    assert only_down.k is None


def test_gravity_of_the_clip_or_of_the_options_comes_with_the_poses() -> None:
    clip = replace(clip_of([[0.0]] * 3), gravity=np.array([0.0, 0.6, 0.8]))
    lifted = lift_clip(clip, FakeBackend(4), RAW)
    assert lifted.gravity == pytest.approx((0.0, 0.6, 0.8))
    assert lifted.level_src == "given"
    unknown = lift_clip(replace(clip, gravity=None), FakeBackend(4), RAW)
    assert (unknown.gravity, unknown.level_src) == (None, "none")
    assert unknown.pose.shape == lifted.pose.shape
    pitched = lift_clip(
        replace(clip, gravity=None), FakeBackend(4), replace(RAW, camera_pitch_deg=90.0)
    )
    assert pitched.gravity == pytest.approx((0, 0, 1), abs=1e-6)


def test_people_whom_nobody_tracks_get_the_ids_of_the_live_tracker() -> None:
    clip = clip_of([[0.0, 1.0], [1.0, 0.0], [None, 0.0]], ids=[[-1, -1]] * 3)
    tracked = tracked_clip(clip, 1.0)
    assert tracked.ids.tolist() == [[0, 1], [1, 0], [-1, 0]]
    lifted = lift_clip(tracked, FakeBackend(), RAW)
    np.testing.assert_allclose(lifted.root[1, :, 0], [1.0, 0.0], atol=0.05)
    known = clip_of([[0.0]] * 2, ids=[[4]] * 2)
    assert tracked_clip(known, 1.0) is known


def test_the_gravity_of_an_unknown_camera_is_estimated_from_who_stands_and_only_then() -> None:
    slow = replace(
        clip_of([[0.0]] * 56), t_ns=200 * MS * np.arange(56), gravity=None, intrinsics=None
    )
    config = PipelineConfig(smoothing="off")
    found = lift_clip(slow, FakeBackend(4), config)
    assert found.level_src == "estimated"
    assert found.gravity is not None
    up = POSE[8] - (POSE[3] + POSE[6]) / 2
    np.testing.assert_allclose(found.gravity, -up / np.linalg.norm(up), atol=1e-4)
    short = lift_clip(
        replace(slow, keypoints=slow.keypoints[:40], t_ns=slow.t_ns[:40], ids=slow.ids[:40]),
        FakeBackend(4),
        config,
    )
    assert (short.gravity, short.level_src) == (None, "none")
    np.testing.assert_array_equal(short.pose, found.pose[:40], "an estimate changes no pose")
    known = lift_clip(replace(slow, gravity=np.array([0.0, 0.6, 0.8])), FakeBackend(4), config)
    assert known.level_src == "given"


def test_a_clip_is_lifted_as_if_no_other_had_been_lifted_before() -> None:
    clip = part_of_demo_clip(20)
    backend = open_backend(None, "auto", slots=4)
    first, other = (
        lift_clip(one, backend, PipelineConfig())
        for one in (clip, replace(clip, keypoints=clip.keypoints[::-1].copy()))
    )
    again = lift_clip(clip, backend, PipelineConfig())
    assert not np.allclose(first.pose, other.pose, atol=1e-3)
    np.testing.assert_array_equal(again.pose, first.pose)
