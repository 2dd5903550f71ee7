"""The viewer's picture: who stands where, what the camera sees, and when it is taken."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from tests.training.conftest import moving_joints
from training.data.mocap import Mocap, MotionClip
from training.tools import make_viewer_picture as module
from training.tools.make_viewer_picture import (
    ANKLE_HEIGHT_M,
    ANKLES,
    CAST,
    SIZE,
    Part,
    camera_in_world,
    main,
    people_m,
    photograph,
    playing,
)

FPS = 60.0
FRAMES = 120
SHOWN_S = 1.0


def walk() -> Mocap:
    pose, hip = moving_joints(FRAMES, 3)
    clip = MotionClip(
        name="walk", source="cmu", licence="free", text="a person walks", action="walk",
        subject="1", fps=FPS, start=0, frames=FRAMES,
    )  # fmt: skip
    return Mocap(joints_m=(pose + hip[:, None]).astype(np.float32), clips=(clip,))


@pytest.fixture
def mocap(monkeypatch: pytest.MonkeyPatch) -> Mocap:
    """Of a cast of two: the same clip twice, the second turned by a quarter."""
    cast = (
        Part(clip="walk", moment_s=SHOWN_S, place_m=(-1.0, 0.5)),
        Part(clip="walk", moment_s=SHOWN_S, place_m=(2.0, 1.0), turn_deg=90.0),
    )
    monkeypatch.setattr(module, "CAST", cast)
    return walk()


def test_at_the_moment_everybody_stands_at_the_place_with_the_feet_on_the_floor(
    mocap: Mocap,
) -> None:
    one, other = people_m(mocap, 0.0)
    np.testing.assert_allclose(one[0, :2], (-1.0, 0.5), atol=1e-6)
    np.testing.assert_allclose(other[0, :2], (2.0, 1.0), atol=1e-6)
    second = [people_m(mocap, s)[0, ANKLES, 2].min() for s in np.arange(-30, 30) / FPS]
    assert min(second) == pytest.approx(ANKLE_HEIGHT_M, abs=1e-6)


def test_a_turn_turns_about_the_place_and_changes_no_height(mocap: Mocap) -> None:
    one, other = people_m(mocap, -0.2)
    flat, turned = one - [-1.0, 0.5, 0], other - [2.0, 1.0, 0]
    np.testing.assert_allclose(turned[:, 0], -flat[:, 1], atol=1e-6)
    np.testing.assert_allclose(turned[:, 1], flat[:, 0], atol=1e-6)
    np.testing.assert_allclose(turned[:, 2], flat[:, 2], atol=1e-6)


def test_before_the_clip_begins_and_after_it_ends_people_stand_still(mocap: Mocap) -> None:
    for early, late in ((-50.0, -SHOWN_S), (50.0, (FRAMES - 1) / FPS - SHOWN_S)):
        np.testing.assert_allclose(people_m(mocap, early), people_m(mocap, late), atol=1e-6)


def test_a_second_later_is_a_second_of_the_clip_later(mocap: Mocap) -> None:
    here, later = people_m(mocap, 0.0)[0], people_m(mocap, 0.25)[0]
    joints_m = mocap.joints_m.astype(float)
    shown = round(SHOWN_S * FPS)
    np.testing.assert_allclose(later - here, joints_m[shown + 15] - joints_m[shown], atol=1e-6)


def test_the_camera_looks_ahead_and_a_little_down_from_above_a_persons_head() -> None:
    T_wc = camera_in_world()
    R = T_wc[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    ahead, down = R[:, 2], R[:, 1]
    assert ahead[1] == pytest.approx(np.cos(np.deg2rad(6)))
    assert -0.2 < ahead[2] < 0
    assert down[2] < -0.9
    assert T_wc[2, 3] == 1.8


def test_everybody_of_the_cast_is_in_the_picture() -> None:
    T_wc = camera_in_world()
    tan = np.tan(np.deg2rad(58.0 / 2))
    for part in CAST:
        for height_m in (0.0, 1.9):
            ray = (np.array([*part.place_m, height_m]) - T_wc[:3, 3]) @ T_wc[:3, :3]
            assert ray[2] > 3
            assert abs(ray[0] / ray[2]) < tan, part.clip
            assert abs(ray[1] / ray[2]) < tan * SIZE[1] / SIZE[0], part.clip


class Rig:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []
        self.opened: list[tuple[Any, ...]] = []
        self.options: dict[str, Any] = {}

    def __call__(self, *words: Any, **options: Any) -> "Rig":
        self.opened.append(words)
        self.options = options
        return self

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait_for_server(self, timeout_s: float) -> None:
        pass

    def publish(self, keypoints: np.ndarray, ids: Any, _: int) -> None:
        assert list(ids) == list(range(1, len(keypoints) + 1))
        self.frames.append(keypoints)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    made = Rig()
    monkeypatch.setattr(module, "RigPublisher", made)
    monkeypatch.setattr(module, "HELD_S", 0.0)
    monkeypatch.setattr(module, "RATE_HZ", 1000.0)
    return made


def test_the_cast_is_published_until_the_moment_and_held_there(mocap: Mocap, rig: Rig) -> None:
    with playing(mocap, "tcp://127.0.0.1:1", 0.0) as reached:
        assert reached.wait(20)
    assert rig.opened == [("tcp://127.0.0.1:1", "studio", "front")]
    camera = rig.options["intrinsics"]
    np.testing.assert_allclose(np.reshape(camera.T_wc, (4, 4)), camera_in_world())
    frame = rig.frames[0]
    assert frame.shape == (2, 17, 3)
    assert (frame[..., 2] == 0.9).all()
    T_wc, (fx, fy, cx, cy) = camera_in_world(), camera.k
    rays = (people_m(mocap, 0.0) - T_wc[:3, 3]) @ T_wc[:3, :3]
    px = rays[..., :2] / rays[..., 2:] * [fx, fy] + [cx, cy]
    assert np.abs(frame[..., :2] - px).max() < 6 * module.NOISE_PX
    assert np.abs(frame[..., :2] - px).mean() > 0.5, "the noise is missing"


def test_a_page_that_fails_ends_the_publishing_too(mocap: Mocap, rig: Rig) -> None:
    with (
        pytest.raises(RuntimeError, match="the browser died"),
        playing(mocap, "tcp://127.0.0.1:1", 1e6) as reached,
    ):
        raise RuntimeError("the browser died")
    assert not reached.is_set()


class Page:
    """A browser's page that remembers what was done to it."""

    def __init__(self, moment: Any) -> None:
        self.did: list[tuple[Any, ...]] = []
        self._moment, self.mouse = moment, self

    def wait_for_timeout(self, ms: int) -> None:
        self.did.append(("wait", ms))
        self._moment.set()

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **more: self.did.append((name, *words, *more.items()))


@pytest.mark.parametrize(("name", "quality"), [("a.jpg", 90), ("a.png", None)])
def test_a_picture_is_taken_after_the_moment_with_all_of_the_cast_in_view(
    tmp_path: Path, name: str, quality: int | None
) -> None:
    import threading

    moment = threading.Event()
    page = Page(moment)
    photograph(page, "http://127.0.0.1:1/", moment, tmp_path / name)  # type: ignore[arg-type]
    names = [did[0] for did in page.did]
    assert names[:2] == ["goto", "wait_for_function"]
    assert f"== '{len(CAST)}'" in page.did[1][1]
    assert names[-1] == "screenshot"
    assert page.did[-1][1:] == (("path", tmp_path / name), ("quality", quality))
    assert names.index("click") > names.index("wait")


def test_without_a_browser_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("playwright")
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["make_viewer_picture", str(tmp_path)])
    with pytest.raises(ConfigError, match="the picture needs a browser; apt-get install chromium"):
        main()
