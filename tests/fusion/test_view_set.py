import numpy as np
import pytest

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.people import USUAL_LIFT_SIGMA_M, People
from langpose_rt.fusion.triangulation import Equations, PositionPrior, Triangulated, estimate
from langpose_rt.fusion.view_set import (
    ViewSet,
    depth_prior,
    learn_depth,
    learn_lifts,
    learn_noise,
    learn_scale,
    view_set,
)
from tests.fusion.rigs import LAYOUT, body, detections_of, ring

CAMERAS = CameraArray.of_cameras(ring(4))


def somebody() -> People:
    people = People.new(np.array([0]), body()[None], 0, 4)
    people.covariance_m2[:] = 1e-3 * np.eye(3)
    return people


def views_of(people: People, detections: Detections, match: list[int]) -> ViewSet:
    return view_set(people, np.array([match]), detections, CAMERAS, LAYOUT)


def fuse(people: People, views: ViewSet) -> Triangulated:
    equations = Equations(views.rays)
    prior = PositionPrior(position=people.joints, information=0 * people.information())
    return estimate(equations, equations.seen, prior, noise=people.noise)


def test_only_cameras_that_match_have_rays() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [0], [0]])
    views = views_of(somebody(), detections, [0, -1, 2, 3])
    assert np.isinf(views.rays.sigma_m[0, 1]).all()
    found = fuse(somebody(), views)
    np.testing.assert_allclose(found.joints[0], body(), atol=1e-3)
    assert not found.used[0, 1].any()


def test_a_low_score_counts_for_less() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [0], [0]])
    detections.scores[1, 4] = 0.3
    sigma = views_of(somebody(), detections, [0, 1, 2, 3]).rays.sigma_m[0, :, 4]
    usual = views_of(somebody(), detections, [0, 1, 2, 3]).rays.sigma_m[0, :, 5]
    assert sigma[1] == pytest.approx(3 * usual[1])


def test_nobody_detected_is_no_error() -> None:
    nothing = detections_of(CAMERAS, [body()], [[], [], [], []])
    views = view_set(somebody(), np.full((1, 4), -1), nothing, CAMERAS, LAYOUT)
    assert np.isinf(views.rays.sigma_m).all()
    assert not views.has_lifts


def test_the_noise_of_a_bad_camera_is_learnt() -> None:
    rng, people = np.random.default_rng(0), somebody()
    for _ in range(300):
        detections = detections_of(CAMERAS, [body()], [[0], [0], [0], [0]])
        detections.rays[:] += rng.normal(0, 1, detections.rays.shape) * 0.005
        detections.rays[2] += rng.normal(0, 1, (17, 2)) * 0.03
        views = views_of(people, detections, [0, 1, 2, 3])
        learn_noise(people, views, fuse(people, views), 0.02)
    assert people.noise[0, 2] > 2 * people.noise[0, [0, 1, 3]].max()


def test_the_noise_of_two_bad_cameras_is_learnt_together() -> None:
    rng, people = np.random.default_rng(0), somebody()
    for _ in range(300):
        detections = detections_of(CAMERAS, [body()], [[0], [0], [], []])
        detections.rays[0] += rng.normal(0, 1, (17, 2)) * 0.03
        views = views_of(people, detections, [0, 1, -1, -1])
        learn_noise(people, views, fuse(people, views), 0.02)
    assert people.noise[0, 0] > 1.5
    assert people.noise[0, 1] == pytest.approx(people.noise[0, 0], rel=0.2)
    assert people.noise[0, 2:].tolist() == [1.0, 1.0]


def lifted(detections: Detections, factor: float) -> Detections:
    """Every camera lifts the pose exactly and the distance wrong by a factor."""
    for row, camera in enumerate(detections.camera):
        centre = CAMERAS.centres[camera]
        detections.lifts.pose[row] = body() - body()[0]
        detections.lifts.sigma_m[row] = 0.04
        detections.lifts.root[row] = centre + factor * (body()[0] - centre)
    return detections


def test_a_joint_of_one_view_is_put_where_the_lift_hangs_on_the_known_joints() -> None:
    detections = lifted(detections_of(CAMERAS, [body()], [[0], [0], [0], [0]]), 1.3)
    detections.scores[1:, 16] = 0
    people = somebody()
    people.joints[0, 16] = np.nan
    views = views_of(people, detections, [0, 1, 2, 3])
    first = fuse(people, views)
    assert np.isnan(first.joints[0, 16]).all()
    depth = depth_prior(views, first, people, LAYOUT)
    equations = Equations(views.rays)
    prior = PositionPrior(
        position=np.nan_to_num(people.joints), information=np.zeros((1, 17, 3, 3))
    )
    found = estimate(equations, equations.seen, prior, depth=depth)
    assert np.linalg.norm(found.joints[0, 16] - body()[16]) < 0.05


def test_the_distances_of_a_lift_are_learnt_while_others_see_the_person_too() -> None:
    people = somebody()
    for _ in range(400):
        detections = lifted(detections_of(CAMERAS, [body()], [[0], [0], [0], [0]]), 1.25)
        views = views_of(people, detections, [0, 1, 2, 3])
        learn_depth(people, views, fuse(people, views), LAYOUT, 0.02)
    np.testing.assert_allclose(people.depth_ratio[0], 0.8, rtol=0.01)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_joint_of_one_view_is_where_a_body_of_its_own_size_has_it(factor: float) -> None:
    people = somebody()
    for _ in range(400):
        detections = lifted(detections_of(CAMERAS, [body()], [[0], [0], [0], [0]]), 1.0)
        detections.lifts.pose[:] *= factor
        detections.scores[1:, [15, 16]] = 0
        views = views_of(people, detections, [0, 1, 2, 3])
        fused = fuse(people, views)
        learn_scale(people, views, fused, LAYOUT, 0.02)
    np.testing.assert_allclose(people.lift_scale[0], 1 / factor, rtol=0.01)
    along = ((body() - CAMERAS.centres[0]) * views.rays.direction[0, 0]).sum(-1)
    found = depth_prior(views, fused, people, LAYOUT).distance_m[0, 0]
    np.testing.assert_allclose(found[[15, 16]], along[[15, 16]], atol=0.005)


def test_a_lift_of_too_few_known_joints_teaches_no_size() -> None:
    people = somebody()
    detections = lifted(detections_of(CAMERAS, [body()], [[0], [0], [0], [0]]), 1.0)
    detections.lifts.pose[:] *= 2
    detections.scores[:, 4:] = 0
    views = views_of(people, detections, [0, 1, 2, 3])
    learn_scale(people, views, fuse(people, views), LAYOUT, 0.5)
    assert people.lift_scale[0].tolist() == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("off_m", [0.05, 0.15])
def test_how_far_lifts_are_off_is_learnt_where_others_see_the_joints(off_m: float) -> None:
    rng, people = np.random.default_rng(0), somebody()
    for _ in range(300):
        detections = lifted(detections_of(CAMERAS, [body()], [[0], [0], [0], [0]]), 1.0)
        detections.lifts.pose[:] += rng.normal(0, off_m, detections.lifts.pose.shape)
        views = views_of(people, detections, [0, 1, 2, 3])
        learn_lifts(people, views, fuse(people, views), LAYOUT, 0.02)
    assert people.lift_sigma_m[0] == pytest.approx(off_m, rel=0.2)


def test_nothing_is_learnt_of_lifts_that_no_other_camera_can_judge() -> None:
    people = somebody()
    detections = lifted(detections_of(CAMERAS, [body()], [[0], [], [], []]), 1.4)
    views = views_of(people, detections, [0, -1, -1, -1])
    learn_lifts(people, views, fuse(people, views), LAYOUT, 1.0)
    assert people.lift_sigma_m[0] == USUAL_LIFT_SIGMA_M
