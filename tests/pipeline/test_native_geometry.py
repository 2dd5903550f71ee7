"""The C++ around the network against the NumPy functions that define it, over lives of people."""

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.config import RayRefinement
from langpose_rt.geometry import camera, person_frame
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.person_frame import AnchorState
from langpose_rt.geometry.ray_refinement import RayRefiner
from langpose_rt.geometry.steady_bones import BoneSteadier
from langpose_rt.pipeline import native_geometry
from langpose_rt.pipeline.native_geometry import NativeBoneSteadier, NativeOneEuro, NativeRayRefiner
from langpose_rt.pipeline.one_euro import OneEuro
from langpose_rt.window.native import HOST_IS_NATIVE

native = pytest.mark.skipif(not HOST_IS_NATIVE, reason="the C++ extension was not built")
SLOTS, FRAMES = 5, 40
PARAMETERS = RayRefinement(strength=0.8, jitter_m=0.006, sigma_m=0.05, cutoff_hz=4.0)
SEEDS = st.integers(0, 1 << 32)


@dataclass(frozen=True)
class Moment:
    """Some of the people of a life, at one time of it."""

    slots: np.ndarray
    rays: np.ndarray
    scores: np.ndarray
    dt_s: np.ndarray
    gravity: np.ndarray
    pose_m: np.ndarray
    root_m: np.ndarray
    sigma_m: np.ndarray
    time_ns: np.ndarray

    def one(self, row: int) -> "Moment":
        """The same moment with one of the people alone."""
        alone = slice(row, row + 1)
        return Moment(**{field.name: getattr(self, field.name)[alone] for field in fields(self)})


def life(seed: int) -> Iterator[Moment]:
    """People who come and go, lose joints or all of them, and jump; gravity known to some."""
    random = np.random.default_rng(seed)
    bodies = random.normal(0, 0.35, (SLOTS, 17, 3)).astype(np.float32)
    roots = random.normal((0, 0, 5), 1, (SLOTS, 3))
    gravity = random.normal(0, 1, (SLOTS, 3))
    gravity /= np.linalg.norm(gravity, axis=1, keepdims=True)
    gravity[::2] = np.nan
    last_ns = np.zeros(SLOTS, np.int64)
    now_ns = 0
    for _ in range(FRAMES):
        now_ns += int(random.integers(1, 80)) * 1_000_000
        people = np.flatnonzero(random.random(SLOTS) < 0.7).astype(np.int32)
        roots += random.normal(0, 0.05, roots.shape)
        if random.random() < 0.1:
            roots += random.normal(0, 0.6, roots.shape)
        bodies = (bodies + random.normal(0, 0.01, bodies.shape)).astype(np.float32)
        bodies[:, 0] = 0
        roots[:, 2] = roots[:, 2].clip(min=2.5)
        points = bodies[people] + roots[people, None]
        rays = points[..., :2] / points[..., 2:] + random.normal(0, 0.002, (len(people), 17, 2))
        scores = random.random((len(people), 17)).astype(np.float32) * 1.2
        scores[random.random(scores.shape) < 0.2] = 0
        scores[random.random(len(people)) < 0.1] = 0
        rays[scores == 0] = random.choice([np.nan, 0.0, np.inf])
        yield Moment(
            slots=people,
            rays=rays.astype(np.float32),
            scores=scores,
            dt_s=((now_ns - last_ns[people]) / 1e9).astype(np.float32),
            gravity=gravity[people].astype(np.float32),
            pose_m=bodies[people],
            root_m=roots[people].astype(np.float32),
            sigma_m=random.uniform(0.01, 0.2, scores.shape).astype(np.float32),
            time_ns=np.full(len(people), now_ns, np.int64),
        )
        last_ns[people] = now_ns


def refined(refiner: RayRefiner, moment: Moment) -> tuple[np.ndarray, np.ndarray]:
    return refiner.step(
        moment.slots,
        moment.pose_m,
        moment.root_m,
        rays=moment.rays,
        scores=moment.scores,
        sigma_m=moment.sigma_m,
        time_ns=moment.time_ns,
        parameters=PARAMETERS,
    )


def module_without_extension(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A second copy of the module, imported where the extension is not."""
    monkeypatch.setattr("langpose_rt.window.native.HOST_IS_NATIVE", False)
    spec = importlib.util.spec_from_file_location("without_extension", native_geometry.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "without_extension", module)
    spec.loader.exec_module(module)
    assert not module.HOST_IS_NATIVE
    return module


def close(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)


LENSES = {
    "none": (),
    "webcam": (0.12, -0.25, 0.001, -0.0008, 0.07),
    "barrel": (-0.32, 0.11, 0.0, 0.0),
    "rational": (0.4, 0.05, 0.0002, 0.0001, 0.01, 0.7, 0.1, 0.02),
    "prism": (-0.1, 0.02, 0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 0.003, -0.001, 0.002, 0.001),
    "tilted": (-0.1, 0.02, 0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, -0.02),
}


def lens(name: str) -> Intrinsics:
    return Intrinsics(
        fx_px=1145.0, fy_px=1140.0, cx_px=965.0, cy_px=530.0,
        width_px=1920, height_px=1080, dist=LENSES[name],
    )  # fmt: skip


@native
@pytest.mark.parametrize("name", LENSES)
def test_rays_are_those_of_opencv(name: str) -> None:
    random = np.random.default_rng(5)
    pixels = random.uniform((-50, -50), (1970, 1130), (60, 17, 2)).astype(np.float32)
    pixels[0, 3] = np.nan
    before = pixels.copy()
    got = native_geometry.pixel_to_ray(pixels, lens(name))
    expected = camera.pixel_to_ray(pixels, lens(name))
    np.testing.assert_allclose(got, expected, atol=2e-6)
    np.testing.assert_array_equal(pixels, before)
    assert np.isnan(got[0, 3]).all()


@native
@pytest.mark.parametrize("name", ["webcam", "barrel"])
def test_rays_far_outside_the_image_are_opencv_s(name: str) -> None:
    pixels = np.full((2, 17, 2), 500.0, np.float32)
    pixels[1, 4] = 9000.0
    got = native_geometry.pixel_to_ray(pixels, lens(name))
    np.testing.assert_array_equal(got, camera.pixel_to_ray(pixels, lens(name)))


@native
@settings(max_examples=15)
@given(SEEDS)
def test_input_and_state_of_the_anchor_are_those_of_numpy(seed: int) -> None:
    mine, theirs = AnchorState.empty(SLOTS), AnchorState.empty(SLOTS)
    for moment in life(seed):
        given_now = (moment.rays, moment.scores, moment.dt_s, moment.gravity)
        got = native_geometry.anchor_step(mine, moment.slots, *given_now)
        taken = theirs.take(moment.slots)
        expected = person_frame.anchor_step(taken, *given_now)
        theirs.put(moment.slots, taken)
        close(got.rows, expected.rows)
        close(got.extras, expected.extras)
        close(got.rotation, expected.rotation)
        for field in fields(AnchorState):
            close(getattr(mine, field.name), getattr(theirs, field.name))


@native
@settings(max_examples=15)
@given(SEEDS)
def test_roots_are_those_of_numpy(seed: int) -> None:
    last = np.full((SLOTS, 3), np.nan, np.float32)
    for moment in life(seed):
        before = last[moment.slots]
        given_now = (moment.pose_m, moment.rays, moment.scores, before)
        got = native_geometry.root_from_pose(*given_now)
        close(got, camera.root_from_pose(*given_now))
        assert np.isfinite(got).all()
        last[moment.slots] = got


@native
@settings(max_examples=15)
@given(SEEDS)
def test_refined_poses_are_those_of_numpy(seed: int) -> None:
    mine, theirs = NativeRayRefiner(SLOTS), RayRefiner(SLOTS)
    for frame, moment in enumerate(life(seed)):
        if frame == FRAMES // 2:
            mine.reset(np.array([1, 3]))
            theirs.reset(np.array([1, 3]))
        for got, expected in zip(refined(mine, moment), refined(theirs, moment), strict=True):
            close(got, expected)


@native
@settings(max_examples=15)
@given(SEEDS)
def test_filtered_points_are_those_of_numpy(seed: int) -> None:
    cutoff_hz, rise_hz = [6.0] * 17 + [3.0], [60.0] * 17 + [30.0]
    mine = NativeOneEuro(SLOTS, cutoff_hz, rise_hz)
    theirs = OneEuro(SLOTS, cutoff_hz, rise_hz)
    for frame, moment in enumerate(life(seed)):
        if frame == FRAMES // 2:
            mine.reset(np.array([0, 4]))
            theirs.reset(np.array([0, 4]))
        points = np.concatenate([moment.pose_m, moment.root_m[:, None]], 1)
        given_points = points.copy()
        got = mine.step(moment.slots, points, moment.time_ns)
        close(got, theirs.step(moment.slots, points, moment.time_ns))
        np.testing.assert_array_equal(points, given_points)


@native
@pytest.mark.parametrize("strength", [1.0, 0.4])
@settings(max_examples=15)
@given(SEEDS)
def test_bones_of_steady_length_are_those_of_numpy(strength: float, seed: int) -> None:
    mine, theirs = NativeBoneSteadier(SLOTS), BoneSteadier(SLOTS)
    for frame, moment in enumerate(life(seed)):
        if frame == FRAMES // 2:
            mine.reset(np.array([1, 3]))
            theirs.reset(np.array([1, 3]))
        pose_m, given_now = moment.pose_m.copy(), (moment.scores > 0, moment.time_ns)
        got = mine.step(moment.slots, moment.pose_m, *given_now, strength=strength)
        close(got, theirs.step(moment.slots, moment.pose_m, *given_now, strength=strength))
        np.testing.assert_array_equal(moment.pose_m, pose_m)


@native
@settings(max_examples=15)
@given(SEEDS)
def test_nobody_depends_on_who_shares_the_step(seed: int) -> None:
    states = AnchorState.empty(SLOTS), AnchorState.empty(SLOTS)
    refiners = NativeRayRefiner(SLOTS), NativeRayRefiner(SLOTS)
    steadiers = NativeBoneSteadier(SLOTS), NativeBoneSteadier(SLOTS)
    for moment in life(seed):
        given_now = (moment.rays, moment.scores, moment.dt_s, moment.gravity)
        together = native_geometry.anchor_step(states[0], moment.slots, *given_now)
        poses, roots = refined(refiners[0], moment)
        steady_given = (moment.scores > 0, moment.time_ns)
        steady = steadiers[0].step(moment.slots, moment.pose_m, *steady_given)
        for row in range(len(moment.slots)):
            alone = moment.one(row)
            own_input = (alone.rays, alone.scores, alone.dt_s, alone.gravity)
            single = native_geometry.anchor_step(states[1], alone.slots, *own_input)
            np.testing.assert_array_equal(single.rows[0], together.rows[row])
            np.testing.assert_array_equal(single.extras[0], together.extras[row])
            pose, root = refined(refiners[1], alone)
            np.testing.assert_array_equal(pose[0], poses[row])
            np.testing.assert_array_equal(root[0], roots[row])
            own_steady = (alone.scores > 0, alone.time_ns)
            bones = steadiers[1].step(alone.slots, alone.pose_m, *own_steady)
            np.testing.assert_array_equal(bones[0], steady[row])


def test_without_the_extension_numpy_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_without_extension(monkeypatch)
    mine, theirs = AnchorState.empty(SLOTS), AnchorState.empty(SLOTS)
    refiners = module.NativeRayRefiner(SLOTS), RayRefiner(SLOTS)
    steadiers = module.NativeBoneSteadier(SLOTS), BoneSteadier(SLOTS)
    filters = (
        module.NativeOneEuro(SLOTS, [6.0] * 17, [60.0] * 17),
        OneEuro(SLOTS, [6.0] * 17, [60.0] * 17),
    )
    pixels = np.random.default_rng(6).uniform(0, 1000, (4, 17, 2)).astype(np.float32)
    webcam = lens("webcam")
    np.testing.assert_array_equal(
        module.pixel_to_ray(pixels, webcam), camera.pixel_to_ray(pixels, webcam)
    )
    for moment in life(1):
        given_now = (moment.rays, moment.scores, moment.dt_s, moment.gravity)
        got = module.anchor_step(mine, moment.slots, *given_now)
        taken = theirs.take(moment.slots)
        expected = person_frame.anchor_step(taken, *given_now)
        theirs.put(moment.slots, taken)
        np.testing.assert_array_equal(got.rows, expected.rows)
        np.testing.assert_array_equal(mine.log_size, theirs.log_size)
        unknown = np.full((len(moment.slots), 3), np.nan, np.float32)
        root_given = (moment.pose_m, moment.rays, moment.scores, unknown)
        np.testing.assert_array_equal(
            module.root_from_pose(*root_given), camera.root_from_pose(*root_given)
        )
        poses = [refined(refiner, moment)[0] for refiner in refiners]
        np.testing.assert_array_equal(*poses)
        seen = moment.scores > 0
        np.testing.assert_array_equal(
            *(one.step(moment.slots, moment.pose_m, seen, moment.time_ns) for one in steadiers)
        )
        smooth = [
            one_euro.step(moment.slots, moment.pose_m, moment.time_ns) for one_euro in filters
        ]
        np.testing.assert_array_equal(*smooth)


@native
@pytest.mark.parametrize("slot", [-1, SLOTS])
def test_a_slot_that_does_not_exist_is_refused(slot: int) -> None:
    moment = next(moment for moment in life(2) if len(moment.slots))
    wrong = np.full(1, slot, np.int32)
    alone = moment.one(0)
    with pytest.raises(IndexError, match=f"slot {slot} is outside of {SLOTS} slots"):
        native_geometry.anchor_step(
            AnchorState.empty(SLOTS), wrong, alone.rays, alone.scores, alone.dt_s, alone.gravity
        )
    with pytest.raises(IndexError, match="outside"):
        NativeOneEuro(SLOTS, [1.0] * 17, [1.0] * 17).step(wrong, alone.pose_m, alone.time_ns)


@native
def test_an_array_of_another_size_is_refused_by_its_name() -> None:
    alone = next(moment for moment in life(3) if len(moment.slots)).one(0)
    few, root = np.ascontiguousarray(alone.scores[:, :16]), alone.root_m.copy()
    with pytest.raises(ValueError, match="axis 1 of weights is 16, expected 17"):
        native_geometry.native.root_from_pose(
            alone.pose_m, alone.rays, few, root, camera.ROOT_PARAMETERS
        )
    np.testing.assert_array_equal(root, alone.root_m)
