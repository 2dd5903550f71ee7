"""Make the picture of the viewer: publish motion capture to a server and photograph its page.

    python -m training.tools.make_viewer_picture ../shared/data/mocap

Only validation clips of CMU and ReActIdle: people and motions the default weights were not trained
on. Keypoints are the projected joints with noise of two pixels; server and page are unchanged.
"""

import argparse
import os
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from langpose_rt.benchmark.child_server import child_server
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.errors import ConfigError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.server.viewer.feed import VIEWER
from training.data.mocap import Mocap, read_mocap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

RATE_HZ = 60.0
NOISE_PX = 2.0
PERSON_HEIGHT_M = 1.62
ANKLES, ANKLE_HEIGHT_M = (3, 6), 0.08
SIZE = (1920, 1080)
FLAGS = "--no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader".split()
HELD_S = 0.6
"""Time the last pose is held before the picture, because software rendering is slow."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Person in the picture: clip, time of the picture, place on the floor and heading."""

    clip: str
    moment_s: float
    place_m: tuple[float, float]
    turn_deg: float = 0.0


CAST = (
    Part(clip="cmu_exp_test_soccer_1", moment_s=3.2, place_m=(-1.9, 0.0), turn_deg=75.0),
    Part(clip="cmu_61_07", moment_s=19.3, place_m=(-0.5, 1.7), turn_deg=150.0),
    Part(clip="cmu_61_09", moment_s=13.1, place_m=(-0.45, 0.3), turn_deg=142.0),
    Part(clip="cmu_61_12", moment_s=9.7, place_m=(0.7, 1.2), turn_deg=76.0),
    Part(clip="cmu_61_06", moment_s=11.9, place_m=(2.0, 1.5), turn_deg=80.0),
    Part(clip="cmu_03_04", moment_s=11.3, place_m=(1.3, 0.1), turn_deg=-68.0),
)


def people_m(mocap: Mocap, at_s: float) -> Float[np.ndarray, "person 17 3"]:
    """Return the persons in world axes, some seconds before (negative) or after the moment."""
    clips = {clip.name: clip for clip in mocap.clips}
    people = []
    for part in CAST:
        clip = clips[part.clip]
        joints_m = mocap.joints_m[clip.start : clip.start + clip.frames].astype(float)
        shown = round(part.moment_s * clip.fps)
        frame = int(np.clip(shown + at_s * clip.fps, 0, clip.frames - 1))
        floor_m = joints_m[shown - 30 : shown + 30, ANKLES, 2].min() - ANKLE_HEIGHT_M
        turn = np.deg2rad(part.turn_deg)
        c, s = np.cos(turn), np.sin(turn)
        pose_m = joints_m[frame] - [*joints_m[shown, 0, :2], floor_m]
        people.append(pose_m @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [*part.place_m, 0])
    return np.array(people)


def camera_in_world() -> Float[np.ndarray, "4 4"]:
    """Return the camera-to-world transform: 1.8 m high, 7 m in front, tilted slightly down."""
    down = np.deg2rad(6.0)
    T_wc = np.eye(4)
    T_wc[:3, 0] = 1, 0, 0
    T_wc[:3, 1] = 0, -np.sin(down), -np.cos(down)
    T_wc[:3, 2] = 0, np.cos(down), -np.sin(down)
    T_wc[:3, 3] = 0.3, -7.0, 1.8
    return T_wc


@contextmanager
def playing(mocap: Mocap, endpoint: str, lead_s: float) -> "Iterator[threading.Event]":
    """Publish the persons for the seconds before the moment, and set the event at the moment."""
    lens = Intrinsics.from_fov(*SIZE, 58.0)
    k = (lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px)
    T_wc, rng = camera_in_world(), np.random.default_rng(0)
    reached, over = threading.Event(), threading.Event()
    x, y, z = (-T_wc[2, :3]).tolist()  # down, in camera axes
    camera = RigCamera(k=k, T_wc=tuple(T_wc.ravel().tolist()), gravity=(x, y, z))
    matrix = np.array([[k[0], 0, k[2]], [0, k[1], k[3]], [0, 0, 1]])

    def publish() -> None:
        with RigPublisher(
            endpoint, "studio", "front", skeleton="h36m17", size=SIZE, intrinsics=camera,
            person_height_m=PERSON_HEIGHT_M,
        ) as rig:  # fmt: skip
            rig.wait_for_server(20.0)
            begun_s = time.monotonic()
            while not over.wait(1 / RATE_HZ):
                at_s = time.monotonic() - begun_s - lead_s
                rays = (people_m(mocap, min(at_s, 0.0)) - T_wc[:3, 3]) @ T_wc[:3, :3] @ matrix.T
                px = rays[..., :2] / rays[..., 2:] + rng.normal(0, NOISE_PX, (*rays.shape[:2], 2))
                score = np.full((*rays.shape[:2], 1), 0.9)
                rig.publish(
                    np.concatenate([px, score], -1), range(1, 1 + len(CAST)), time.time_ns()
                )
                if at_s >= HELD_S:
                    reached.set()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield reached
    finally:
        over.set()
        thread.join()


def photograph(page: "Page", url: str, moment: threading.Event, target: Path) -> None:
    """Open the page, wait for the moment, and save a screenshot."""
    page.goto(url)
    page.wait_for_function(f"() => document.body.dataset.skeletons == '{len(CAST)}'")
    while not moment.is_set():
        page.wait_for_timeout(20)
    page.click("#reset")
    page.mouse.click(0, 0)  # takes the focus off the button
    page.wait_for_timeout(500)
    page.screenshot(path=target, quality=None if target.suffix == ".png" else 90)


def main() -> None:
    """Publish the clips, save the picture, and print its path."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path, help="the mocap folder")
    parser.add_argument("--out", type=Path, default=VIEWER / "screenshot.jpg")
    parser.add_argument("--lead-s", type=float, default=20.0, help="seconds before the moment")
    parser.add_argument("--light", action="store_true")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise ConfigError("the picture needs a browser; apt-get install chromium")
    mocap = read_mocap(arguments.mocap, "val", sources=("cmu", "reactidle"))
    with (
        child_server(["--max-wait-ms", "10000"]) as server,
        playing(mocap, server.keypoint_endpoint, arguments.lead_s) as moment,
    ):
        os.nice(15)  # the browser draws in software; the server is to have its processor
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(
                viewport={"width": 1280, "height": 720},
                color_scheme="light" if arguments.light else "dark",
            )
            url = f"http://127.0.0.1:{server.announcement['http_port']}/"
            photograph(page, url, moment, arguments.out)
            browser.close()
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
