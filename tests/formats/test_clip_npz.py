"""Clips as npz: round trip, and one error for every invalid file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import DEMO_CLIP, Clip, ClipOverrides
from langpose_rt.formats.clip_npz import clip_from_npz, clip_to_npz
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import skeleton_named

Arrays = dict[str, np.ndarray]
Change = Callable[[Arrays], object]


def whole_arrays() -> Arrays:
    """Two people over five frames, and everything that may be known about them."""
    rng = np.random.default_rng(0)
    return {
        "kp2d": rng.uniform(1, 400, (5, 2, 17, 3)).astype(np.float32),
        "format": np.array("coco17"),
        "size": np.array([640, 480]),
        "t_ns": np.array([0, 20, 40, 90, 110]) * 1_000_000,
        "ids": np.array([[3, 4], [3, 4], [4, 3], [-1, -1], [7, -1]]),
        "K": np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]),
        "dist": np.array([[0.1, -0.05, 0.001, 0.0]]),
        "gravity": np.array([0, 9.81, 0]),
        "person_height_m": np.array(1.82),
        "bones_m": np.stack([np.linspace(0.01, 1.5, 16), np.full(16, np.nan)]),
        "pose3d": rng.normal(size=(5, 17, 3)).astype(np.float32),
        "valid": np.array([1, 1, 0, 1, 1]),
        "valid_joints": rng.random((5, 17)) < 0.9,
        "joints": np.array([0, 3, 6]),
        "something_else": np.array(["ignored"]),
    }


def changed(**changes: object) -> Change:
    def change(arrays: Arrays) -> None:
        for key, value in changes.items():
            arrays.pop(key, None)
            if value is not None:
                arrays[key] = np.asarray(value)

    return change


def assert_same_clip(one: Clip, other: Clip) -> None:
    for key in Clip.__dataclass_fields__:
        a, b = getattr(one, key), getattr(other, key)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, key
            np.testing.assert_array_equal(a, b, err_msg=key)
        else:
            assert a == b, key


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Clip]:
    def read_with(change: Change, given: ClipOverrides | None = None) -> Clip:
        arrays = whole_arrays()
        change(arrays)
        np.savez(tmp_path / "clip.npz", **arrays)  # type: ignore[arg-type]
        return clip_from_npz(tmp_path / "clip.npz", given or ClipOverrides())

    return read_with


def test_every_key_arrives(read: Callable[..., Clip]) -> None:
    arrays, clip = whole_arrays(), read(changed())
    np.testing.assert_array_equal(clip.keypoints, arrays["kp2d"])
    assert clip.skeleton is skeleton_named("coco17")
    assert clip.size == (640, 480)
    np.testing.assert_array_equal(clip.t_ns, arrays["t_ns"])
    np.testing.assert_array_equal(clip.ids, arrays["ids"])
    assert clip.intrinsics == Intrinsics.from_matrix(
        arrays["K"], 640, 480, [0.1, -0.05, 0.001, 0.0]
    )
    np.testing.assert_array_equal(clip.gravity, [0, 1, 0])
    assert clip.person_height_m == 1.82
    np.testing.assert_array_equal(clip.bones_m, arrays["bones_m"])
    np.testing.assert_array_equal(clip.pose3d, arrays["pose3d"])
    np.testing.assert_array_equal(clip.valid, arrays["valid"] == 1)
    np.testing.assert_array_equal(clip.valid_joints, arrays["valid_joints"])
    assert clip.joints == (0, 3, 6)


def test_the_least_a_file_needs_is_keypoints_format_size_and_rate(tmp_path: Path) -> None:
    keypoints = whole_arrays()["kp2d"][:, 0]
    np.savez(tmp_path / "a.npz", kp2d=keypoints, format="coco17", size=(640, 480), fps=50)
    clip = read_clip(tmp_path / "a.npz")
    assert clip.keypoints.shape == (5, 1, 17, 3)
    assert clip.t_ns.tolist() == [0, 20_000_000, 40_000_000, 60_000_000, 80_000_000]
    assert clip.ids.tolist() == [[0]] * 5
    for key in ("intrinsics", "gravity", "person_height_m", "bones_m", "pose3d", "valid", "joints"):
        assert getattr(clip, key) is None


def test_without_ids_a_column_is_a_person(read: Callable[..., Clip]) -> None:
    assert read(changed(ids=None)).ids.tolist() == [[0, 1]] * 5


def test_nan_and_score_zero_are_missing(read: Callable[..., Clip]) -> None:
    keypoints = whole_arrays()["kp2d"]
    keypoints[0, 0, 3] = np.nan
    keypoints[1, 1, 4, 2] = 0
    clip = read(changed(kp2d=keypoints))
    assert (clip.keypoints[0, 0, 3] == 0).all()
    assert (clip.keypoints[1, 1, 4] == 0).all()


def test_what_is_given_holds_against_the_file(read: Callable[..., Clip]) -> None:
    given = ClipOverrides(
        skeleton=skeleton_named("h36m17"),
        size=(1280, 960),
        fps=25.0,
        intrinsics=Intrinsics.from_fov(1280, 960),
    )
    clip = read(changed(), given)
    assert clip.skeleton.name == "h36m17"
    assert clip.size == (1280, 960)
    assert clip.t_ns[1] == 40_000_000
    assert clip.intrinsics == given.intrinsics
    without = read(changed(format=None, size=None, t_ns=None, K=None), given)
    assert_same_clip(without, clip)


def test_a_clip_that_is_written_is_read_again(read: Callable[..., Clip], tmp_path: Path) -> None:
    for clip in (
        read(changed()),
        read(changed(K=None, joints=None, ids=None)),
        read_clip(DEMO_CLIP),
    ):
        clip_to_npz(tmp_path / "again.npz", clip)
        assert_same_clip(read_clip(tmp_path / "again.npz"), clip)


def test_assumed_intrinsics_are_not_written_as_if_known(
    read: Callable[..., Clip], tmp_path: Path
) -> None:
    clip = read(changed(), ClipOverrides(intrinsics=Intrinsics.from_fov(640, 480, assumed=True)))
    clip_to_npz(tmp_path / "again.npz", clip)
    assert read_clip(tmp_path / "again.npz").intrinsics is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed(kp2d=None), r'found no "kp2d"; expected "kp2d" of shape \(F,K,3\) or \(F,P,K,3\)'),
        (changed(kp2d=np.zeros((5, 17))), r'"kp2d" of shape \(5, 17\); expected shape \(F,K,3\)'),
        (changed(kp2d=np.zeros((5, 17, 2))), r'"kp2d" of shape \(5, 17, 2\)'),
        (changed(kp2d=np.zeros((0, 17, 3))), "found 0 frames of 1 persons; expected at least one"),
        (changed(kp2d=np.zeros((5, 0, 17, 3))), "found 5 frames of 0 persons"),
        (changed(kp2d=np.zeros((5, 2, 26, 3))), "26 keypoints a person; expected 17 of the format"),
        (changed(kp2d=np.full((5, 2, 17, 3), "x")), '"kp2d" of type <U1; expected numbers'),
        (changed(format=None), 'found no "format"'),
        (changed(format="coco99"), 'format "coco99" is not known; use one of'),
        (changed(format=17), '"format" of type int64; expected text'),
        (changed(size=None), r'found no "size"; expected "size" of shape \(2\)'),
        (changed(size=[640, 0]), "found an image of 640 x 0"),
        (changed(size=[640.5, 480]), "a size of 640.5 x 480.0; expected whole pixels"),
        (changed(size=[np.nan, 480]), "a size of nan x 480.0; expected whole pixels"),
        (changed(t_ns=None), 'neither "fps" nor "t_ns"; expected one of them; or say the rate'),
        (changed(t_ns=None, fps=0), "found 0 frames per second"),
        (changed(t_ns=None, fps="fast"), '"fps" of type <U4; expected numbers'),
        (changed(t_ns=np.arange(5.0) * 0.5), '"t_ns" with fractions that looks like seconds; exp'),
        (changed(t_ns=np.arange(5) * 16.6), '"t_ns" with fractions that looks like milliseconds'),
        (changed(t_ns=np.full(5, np.nan)), '"t_ns" that is not finite; expected nanoseconds'),
        (changed(t_ns=[0, 10, 10, 20, 30]), '"t_ns" that does not rise; expected capture times'),
        (changed(t_ns=[2**63 - 1, -(2**63), 0, 1, 2]), '"t_ns" that does not rise'),
        (changed(t_ns=np.arange(4)), r'"t_ns" of shape \(4,\); expected shape \(5\)'),
        (changed(ids=np.zeros(5, int)), r'"ids" of shape \(5,\); expected shape \(5,2\)'),
        (changed(ids=np.full((5, 2), -2)), '"ids" below -1 or twice in a frame'),
        (changed(ids=np.full((5, 2), 3)), '"ids" below -1 or twice in a frame'),
        (changed(K=np.eye(4)), r'"K" of shape \(4, 4\); expected shape \(3,3\)'),
        (changed(K=np.zeros((3, 3))), "ends in the row .*; expected 0 0 1"),
        (changed(K=np.diag([-1.0, 1, 1])), "fx_px is -1.0; expected a positive number"),
        (changed(dist=[0.1, 0.2]), "2 distortion coefficients; expected one of"),
        (changed(gravity=[0.0, 0, 0]), '"gravity" of length 0; expected a direction'),
        (changed(gravity=[np.nan, 0, 1]), '"gravity" of length nan; expected a direction'),
        (changed(person_height_m=182), "a person 182 m tall; expected 0.3 to 3.0 m"),
        (changed(person_height_m=np.inf), '"person_height_m" is inf; expected a finite number'),
        (changed(bones_m=np.full((2, 16), 45.0)), "a bone 45 m long; expected 0.01 to 1.5 m"),
        (changed(bones_m=np.zeros((2, 16))), "a bone 0 m long; expected 0.01 to 1.5 m"),
        (changed(bones_m=np.ones(16)), r'"bones_m" of shape \(16,\); expected shape \(2,16\)'),
        (changed(pose3d=np.zeros((4, 17, 3))), r'"pose3d" of shape \(4, 17, 3\); .* \(5,17,3\)'),
        (changed(valid=np.full(5, 2)), '"valid" of type int64; expected true and false'),
        (changed(valid_joints=np.ones((5, 16), bool)), r'"valid_joints" of shape \(5, 16\)'),
        (changed(joints=[3, 17]), r'"joints" \[3, 17\]; expected different numbers from 0 to 16'),
        (changed(joints=[3, 3]), r'"joints" \[3, 3\]; expected different'),
        (changed(joints=np.zeros(0, int)), r'"joints" \[\]; expected different'),
    ],
)
def test_a_wrong_file_is_one_sentence(
    read: Callable[..., Clip], tmp_path: Path, change: Change, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        read(change)
    assert str(caught.value).count(str(tmp_path / "clip.npz")) == 1
    assert "\n" not in str(caught.value)


def test_a_given_format_of_another_size_is_refused(read: Callable[..., Clip]) -> None:
    with pytest.raises(
        ConfigError, match="17 keypoints a person; expected 26 of the format halpe26"
    ):
        read(changed(), ClipOverrides(skeleton=skeleton_named("halpe26")))


@given(
    key=st.sampled_from([key for key in whole_arrays() if key != "something_else"]),
    array=arrays(
        st.sampled_from(
            [np.float64, np.float16, np.int64, np.uint64, np.bool_, np.complex64, "U2"]
        ),
        array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
)
def test_whatever_an_array_is_the_answer_is_a_clip_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, key: str, array: np.ndarray
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.npz"
    np.savez(path, **{**whole_arrays(), key: array})  # type: ignore[arg-type]
    clip, sentence = read_clip(DEMO_CLIP), str(path)
    try:
        clip = clip_from_npz(path, ClipOverrides())
    except ConfigError as error:
        sentence = str(error)
    assert str(path) in sentence
    assert np.isfinite(clip.keypoints).all()
    assert (clip.t_ns[1:] > clip.t_ns[:-1]).all()
