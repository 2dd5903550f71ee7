"""What a watching page is told, without a socket."""

import json
from contextlib import ExitStack

from langpose_rt.protocol.messages import encode_pose
from langpose_rt.server.viewer_feed import MOST_VIEWERS, ViewerFeed
from tests.monitoring.test_snapshot import empty_snapshot
from tests.protocol.samples import pose_sample


def test_a_viewer_hears_the_status_and_the_newest_poses_only() -> None:
    feed, sample = ViewerFeed("MIT"), pose_sample()
    with feed.seat() as seated:
        assert seated
        events = feed.events(empty_snapshot)
        name, data = next(events).decode().splitlines()[:2]
        status = json.loads(data.removeprefix("data: "))
        assert (name, status["state"], status["licence"]) == ("event: status", "ready", "MIT")
        feed.offer([b"hb/srv/", b"", b""])
        for _ in range(3):
            feed.offer(encode_pose(sample))
        name, data = next(events).decode().splitlines()[:2]
        (pose,) = json.loads(data.removeprefix("data: "))
    assert name == "event: poses"
    assert pose["ids"] == sample.ids.tolist()
    assert pose["poses"][0][4] == round(1000 * float(sample.poses[0, 1, 0]))


def test_nothing_is_kept_when_nobody_watches() -> None:
    feed = ViewerFeed()
    feed.offer(encode_pose(pose_sample()))
    with feed.seat():
        events = feed.events(empty_snapshot)
        next(events)
        feed.close()
        assert list(events) == []


def test_one_page_too_many_is_refused_until_another_leaves() -> None:
    feed = ViewerFeed()
    with ExitStack() as seats:
        assert all(seats.enter_context(feed.seat()) for _ in range(MOST_VIEWERS))
        with feed.seat() as seated:
            assert not seated
    with feed.seat() as seated:
        assert seated
