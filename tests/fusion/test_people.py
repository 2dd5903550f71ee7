import numpy as np
import pytest

from langpose_rt.fusion.people import DIFFUSION_M2_PER_S, UNWATCHED_M2_PER_S, People
from tests.fusion.rigs import body

DT = 1 / 60


def somebody(several_ns: int = 0) -> People:
    people = People.new(np.array([7]), body()[None], 0, 3)
    people.covariance_m2[:] = 1e-4 * np.eye(3)
    people.several_ns[:] = several_ns
    return people


def test_a_steady_walk_is_predicted() -> None:
    people = somebody()
    for frame in range(1, 60):
        people.predict(DT, 0)
        joints = body(1.3 * frame * DT)[None]
        people.follow(joints, people.covariance_m2, np.ones((1, 17), bool), DT)
    people.predict(DT, 0)
    away = np.linalg.norm(people.joints[0] - body(1.3), axis=-1)
    assert away.max() < 0.01


def test_joints_nobody_sees_move_with_the_body() -> None:
    people = somebody()
    seen = np.ones((1, 17), bool)
    seen[0, 16] = False
    for frame in range(1, 60):
        people.predict(DT, 0)
        joints = body(1.0 * frame * DT)[None]
        joints[0, 16] = people.joints[0, 16]
        people.follow(joints, people.covariance_m2, seen, DT)
    assert people.velocity[0, 16, 0] == pytest.approx(1.0, abs=0.25)


def test_doubt_grows_faster_where_nobody_looks() -> None:
    watched, unwatched = somebody(several_ns=10), somebody(several_ns=-1)
    for people, rate in ((watched, DIFFUSION_M2_PER_S), (unwatched, UNWATCHED_M2_PER_S)):
        people.predict(1.0, 10)
        assert people.covariance_m2[0, 0, 0, 0] == pytest.approx(1e-4 + rate)


def test_unknown_joints_carry_no_information() -> None:
    people = somebody()
    people.joints[0, 4] = np.nan
    information = people.information()
    assert (information[0, 4] == 0).all()
    np.testing.assert_allclose(information[0, 5], 1e4 * np.eye(3))


def test_rows_are_selected_and_joined() -> None:
    both = somebody().join(People.new(np.array([9]), body(1.0)[None], 5, 3))
    assert both.ids.tolist() == [7, 9]
    assert both.take(np.array([1])).born_ns.tolist() == [5]
    assert len(both.take(np.array([], np.intp))) == 0


def test_joints_most_views_have_on_the_other_side_go_there_and_their_bones_are_forgotten() -> None:
    people = somebody()
    people.velocity[0, 16] = 1.0
    people.weights[:], people.lengths_m[:] = 100.0, 1.0
    people.exchanged[0, [13, 16]] = 0.9
    people.exchanged[0, [12, 15]] = 0.4
    people.turn_sides(np.array([(12, 15), (13, 16)]), np.arange(17))
    np.testing.assert_allclose(people.joints[0, [13, 16]], body()[[16, 13]])
    np.testing.assert_allclose(people.joints[0, :13], body()[:13])
    assert people.velocity[0, :, 0].nonzero()[0].tolist() == [13]
    assert people.exchanged[0].tolist() == [0.0] * 12 + [0.4, 0.0, 0.0, 0.4, 0.0]
    assert np.flatnonzero(people.weights[0] != 100.0).tolist() == [12, 15]
    assert np.flatnonzero(people.lengths_m[0] != 1.0).tolist() == [12, 15]
