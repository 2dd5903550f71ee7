"""Events and files for live viewers, without a socket."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langpose_rt.formats.recording import Recording
from langpose_rt.monitoring.snapshot import StreamSnapshot, VolumeCamera, VolumeSnapshot
from langpose_rt.protocol.messages import encode_keypoints, encode_pose
from langpose_rt.server.viewer.feed import (
    LIVE,
    LIVE_2D,
    MOST_VIEWERS,
    RECORDING,
    VIEWER,
    ViewerFeed,
    viewer_file,
)
from tests.monitoring.test_snapshot import empty_snapshot
from tests.protocol.samples import fused_sample, keypoint_sample, pose_sample


def test_a_viewer_hears_the_status_and_the_newest_poses_only() -> None:
    feed, sample = ViewerFeed(lambda: "MIT"), pose_sample()
    with feed.viewer_slot() as free:
        assert free
        events = feed.events(empty_snapshot)
        name, data = next(events).decode().splitlines()[:2]
        status = json.loads(data.removeprefix("data: "))
        assert (name, status["state"], status["licence"]) == ("event: status", "ready", "MIT")
        feed.publish([b"hb/srv/", b"", b""], 1)
        for _ in range(3):
            feed.publish(encode_pose(sample), 1)
        name, data = next(events).decode().splitlines()[:2]
        (pose,) = json.loads(data.removeprefix("data: "))
    assert name == "event: poses"
    assert pose["ids"] == sample.ids.tolist()
    assert pose["actions"] == [["a person walks", 0.75]] * 2
    assert (pose["lookahead_ms"], pose["names"]) == (66.0, None)
    assert pose["poses"][0][4] == round(1000 * float(sample.poses[0, 1, 0]))


def test_nothing_is_kept_when_nobody_watches() -> None:
    feed = ViewerFeed()
    feed.publish(encode_pose(pose_sample()), 1)
    with feed.viewer_slot():
        events = feed.events(empty_snapshot)
        next(events)
        feed.close()
        assert list(events) == []


def events_of(pieces: Iterator[bytes]) -> Iterator[tuple[str, Any]]:
    for piece in pieces:
        name, data = piece.decode().splitlines()[:2]
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_a_page_that_asks_hears_the_newest_keypoints_and_their_formats() -> None:
    feed, sample = ViewerFeed(), keypoint_sample()
    feed.received(encode_keypoints(sample))
    with feed.viewer_slot(LIVE_2D):
        events = events_of(feed.live_answer(LIVE_2D, empty_snapshot).pieces)
        name, formats = next(events)
        assert (name, len(formats["coco17"]["sides"])) == ("formats", 17)
        assert next(events) == ("keypoints", []), "what came before anybody asked is not kept"
        for _ in range(3):
            feed.received(encode_keypoints(sample))
        name, (message,) = next(events)
    assert (name, message["name"], message["format"]) == ("keypoints", "rig0/cam.left", "coco17")


def test_keypoints_are_kept_for_pages_of_keypoints_only() -> None:
    feed = ViewerFeed()
    with feed.viewer_slot(LIVE):
        feed.received(encode_keypoints(keypoint_sample()))
    with feed.viewer_slot(LIVE_2D):
        events = events_of(feed.live_answer(LIVE_2D, empty_snapshot).pieces)
        next(events)
        assert next(events) == ("keypoints", [])
        feed.close()
        assert list(events) == []


def test_closing_ends_a_recording_in_order(tmp_path: Path) -> None:
    pytest.importorskip("mcap", reason="pip install '.[record]'")
    feed = ViewerFeed()
    with feed.viewer_slot(RECORDING):
        answer = feed.live_answer(RECORDING, empty_snapshot)
        pieces = [next(answer.pieces)]
        feed.publish(encode_pose(pose_sample()), 5)
        feed.close()
        (tmp_path / "a.mcap").write_bytes(b"".join([*pieces, *answer.pieces]))
    recording = Recording(tmp_path / "a.mcap")
    assert [entry.topic for entry in recording.entries()] == ["pose3d/rig0/cam.left/"]
    assert recording.complete


def test_the_status_names_odd_streams() -> None:
    stream = StreamSnapshot(
        rig="rig0", camera="cam0", epoch=1, persons=0, waiting=0, unanswered=0,
        assumed_intrinsics=False, offset_ns=0, heard_ago_s=0.0, totals={},
        suspects={"small_size": "keypoints reach 300, 200"},
    )  # fmt: skip
    feed = ViewerFeed()
    status = feed._status(replace(empty_snapshot(), streams=(stream,)))
    assert status["streams"][0]["suspects"] == {"small_size": "keypoints reach 300, 200"}


def test_one_page_too_many_is_refused_until_another_leaves() -> None:
    feed = ViewerFeed()
    with ExitStack() as slots:
        assert all(slots.enter_context(feed.viewer_slot()) for _ in range(MOST_VIEWERS))
        with feed.viewer_slot() as free:
            assert not free
    with feed.viewer_slot() as free:
        assert free


def test_the_page_names_only_files_that_are_served() -> None:
    found = viewer_file("/")
    assert found is not None
    html = found[1].decode()
    scripts = [VIEWER / f"{name}.js" for name in ("viewer", "pictures", "record")]
    texts = [html, *(script.read_text() for script in scripts)]
    names = re.findall(r'(?:src|href|from)[= ]"([^"]+)"', "\n".join(texts))
    assert {"/viewer.css", *(f"/{script.name}" for script in scripts)} <= set(names)
    assert all(viewer_file(name) for name in names if name != "data:,")
    assert not any("http" in text for text in texts)


def test_no_other_file_can_be_asked_for() -> None:
    assert viewer_file("/../live/manifest.json") is None
    assert viewer_file("/LICENSE.three") is None


def test_the_page_gets_poses_level_and_the_turn_of_the_camera() -> None:
    down = (0.0, 0.8, 0.6)
    message = replace(pose_sample(1), frame="camera", gravity=down, level_src="given")
    feed = ViewerFeed()
    with feed.viewer_slot():
        events = feed.events(empty_snapshot)
        next(events)
        feed.publish(encode_pose(message), 1)
        (pose,) = json.loads(next(events).decode().splitlines()[1].removeprefix("data: "))
    assert message.root is not None
    turn = np.array(pose["turn"]).reshape(3, 3)
    np.testing.assert_allclose(turn @ down, [0, 1, 0], atol=1e-12)
    assert pose["level_src"] == "given"
    np.testing.assert_allclose(pose["root"][0], 1000 * message.root[0] @ turn.T, atol=0.51)
    joints = np.array(pose["poses"][0]).reshape(17, 4)[:, :3]
    np.testing.assert_allclose(joints[:, 1], 1000 * message.poses[0, :, :3] @ down, atol=0.51)


def test_the_page_gets_volumes_with_z_up_and_how_many_cameras_saw_a_joint() -> None:
    T = np.eye(4)
    T[:3, 3] = (1.0, 2.0, 3.0)
    camera = VolumeCamera(
        name="left", stream="rig0/left", heard_ago_s=0.0, late_ms=1.0, residual_mm=4.0, people=1,
        T_world_camera=tuple(T.ravel().tolist()),
    )  # fmt: skip
    volume = VolumeSnapshot(
        name="stage", people=1, fps=60.0, gravity=(0.0, -1.0, 0.0), format="coco17",
        cameras=(camera,),
    )  # fmt: skip
    feed, sample = ViewerFeed(), fused_sample()
    with feed.viewer_slot():
        events = feed.events(lambda: replace(empty_snapshot(), volumes=(volume,)))
        status = json.loads(next(events).decode().splitlines()[1].removeprefix("data: "))
        feed.publish(encode_pose(sample), 1)
        (pose,) = json.loads(next(events).decode().splitlines()[1].removeprefix("data: "))
    (shown,) = status["volumes"]
    place = np.reshape(shown["cameras"][0]["T_world_camera"], (4, 4))[:3, 3]
    assert place[2] == 2.0, "y is up in that world"
    assert (shown["name"], shown["cameras"][0]["residual_mm"]) == ("stage", 4.0)
    assert pose["views"][0][:4] == [0, 1, 1, 2]
