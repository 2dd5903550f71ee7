"""Person frame: rotation, size, and robustness to bad frames."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from langpose_rt.geometry.person_frame import Anchored, AnchorState, anchor_step, rotation_to_ray
from langpose_rt.geometry.skeleton import PARENTS, REFERENCE_BONES_M

NO_GRAVITY = np.full((1, 3), np.nan, np.float32)
FRAME_S = np.full(1, 1 / 60, np.float32)


def standing_body_m() -> np.ndarray:
    """A reference body, arms hanging, hip at the origin, x right and y down."""
    down, up, side = np.array([0, 1, 0]), np.array([0, -1, 0]), np.array([1, 0, 0])
    ways = [
        -side,
        down,
        down,
        side,
        down,
        down,
        up,
        up,
        up,
        up,
        side,
        down,
        down,
        -side,
        down,
        down,
    ]
    body = np.zeros((17, 3))
    for joint, (way, length) in enumerate(zip(ways, REFERENCE_BONES_M, strict=True), start=1):
        body[joint] = body[PARENTS[joint]] + way * length
    return body


def rays_of(body_m: np.ndarray, root_m: tuple[float, float, float]) -> np.ndarray:
    placed = body_m + np.array(root_m)
    return (placed[:, :2] / placed[:, 2:]).astype(np.float32)


def see(
    state: AnchorState,
    rays: np.ndarray,
    scores: np.ndarray | None = None,
    gravity: np.ndarray = NO_GRAVITY,
) -> Anchored:
    scores = np.ones(17, np.float32) if scores is None else scores
    return anchor_step(state, rays[None], scores[None], FRAME_S, gravity)


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_the_rotation_puts_the_ray_on_the_axis_without_roll(x: float, y: float) -> None:
    rotation = rotation_to_ray(np.array([x, y]))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) > 0
    turned = rotation @ np.array([x, y, 1.0])
    np.testing.assert_allclose(turned[:2], 0, atol=1e-9)
    assert rotation[0, 1] == 0  # camera down has no sideways part: a vertical stays vertical


def test_a_person_far_or_near_left_or_right_gives_nearly_the_same_rows() -> None:
    near = see(AnchorState.empty(1), rays_of(standing_body_m(), (0.0, 0.0, 3.0)))
    far = see(AnchorState.empty(1), rays_of(standing_body_m(), (2.0, 0.5, 6.0)))
    assert np.abs(near.rows - far.rows)[..., :2].max() < 0.2
    assert far.extras[0, 2] < near.extras[0, 2]
    assert far.extras[0, 0] > 0.2 > abs(near.extras[0, 0])


def test_the_size_settles_on_one_over_the_depth() -> None:
    state = AnchorState.empty(1)
    for _ in range(60):
        see(state, rays_of(standing_body_m(), (0.0, 0.0, 5.0)))
    np.testing.assert_allclose(np.exp(-state.log_size), 5.0, rtol=0.05)


def test_one_wild_frame_moves_size_little_and_the_next_frames_forget_it() -> None:
    state, rays = AnchorState.empty(1), rays_of(standing_body_m(), (0.0, 0.0, 4.0))
    for _ in range(30):
        before = see(state, rays)
    see(state, rays * 50)
    for _ in range(20):
        after = see(state, rays)
    np.testing.assert_allclose(after.rows, before.rows, atol=0.05)


def test_a_missing_torso_is_held_and_a_missing_joint_is_all_zero() -> None:
    state, rays = AnchorState.empty(1), rays_of(standing_body_m(), (1.0, 0.0, 4.0))
    see(state, rays)
    held = state.anchor_ray.copy()
    nothing = see(state, rays, np.zeros(17, np.float32))
    np.testing.assert_array_equal(state.anchor_ray, held)
    assert not nothing.rows.any()


def test_nan_and_infinite_rays_count_as_missing_whatever_their_score() -> None:
    rays = rays_of(standing_body_m(), (0.0, 0.0, 4.0))
    rays[3], rays[9] = np.nan, np.inf
    anchored = see(AnchorState.empty(1), rays)
    assert not anchored.rows[0, [3, 9]].any()
    assert anchored.rows[0, 2].any()


@given(hnp.arrays(np.float32, (4, 17, 2)), hnp.arrays(np.float32, (4, 17)))
def test_no_input_makes_anything_but_finite_rows_and_finite_state(
    rays: np.ndarray, scores: np.ndarray
) -> None:
    state = AnchorState.empty(1)
    scores = np.clip(np.nan_to_num(scores), 0, 1)
    for ray, score in zip(rays, scores, strict=True):
        anchored = see(state, np.clip(ray, -1e6, 1e6), score)
        assert np.isfinite(anchored.rows).all()
        assert np.isfinite(anchored.extras).all()
        assert np.isfinite(state.log_size).all()


def test_known_gravity_is_given_in_anchored_axes_and_unknown_gravity_is_marked() -> None:
    rays = rays_of(standing_body_m(), (1.0, 0.3, 4.0))
    down = np.array([[0, 1, 0]], np.float32)
    known = see(AnchorState.empty(1), rays, gravity=down)
    np.testing.assert_allclose(known.extras[0, 3:6], known.rotation[0] @ down[0], atol=1e-6)
    assert known.extras[0, 6] == 1
    unknown = see(AnchorState.empty(1), rays)
    assert not unknown.extras[0, 3:].any()


def test_persons_in_one_call_do_not_touch_each_other() -> None:
    rays = np.stack([rays_of(standing_body_m(), (x, 0.0, 4.0)) for x in (-1.0, 0.0, 1.0)])
    ones, steps = np.ones((3, 17), np.float32), np.full(3, 1 / 60, np.float32)
    together = anchor_step(AnchorState.empty(3), rays, ones, steps, np.repeat(NO_GRAVITY, 3, 0))
    alone = see(AnchorState.empty(1), rays[1])
    np.testing.assert_allclose(together.rows[1], alone.rows[0], atol=1e-6)


def test_reset_forgets_one_person_and_no_other() -> None:
    state = AnchorState.empty(2)
    rays = np.stack([rays_of(standing_body_m(), (1.0, 0.0, 4.0))] * 2)
    anchor_step(
        state,
        rays,
        np.ones((2, 17), np.float32),
        np.repeat(FRAME_S, 2),
        np.repeat(NO_GRAVITY, 2, 0),
    )
    state.reset(np.array([0]))
    assert state.seen.tolist() == [False, True]
    assert state.anchor_ray[0].tolist() == [0, 0]
