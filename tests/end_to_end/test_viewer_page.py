"""The live viewer's page in a real browser, told by the real feed what few servers say at once."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langpose_rt.formats.recording import Recording
from langpose_rt.geometry.level_axes import gravity_of_pitch, level_from_camera
from langpose_rt.monitoring.snapshot import Snapshot, StreamSnapshot
from langpose_rt.protocol.messages import (
    KeypointMessage,
    PoseMessage,
    WindowFill,
    decode_pose,
    encode_keypoints,
    encode_pose,
)
from langpose_rt.recording.tracks import tracks_from_recording
from langpose_rt.server.http import HealthServer
from langpose_rt.server.viewer.feed import ViewerFeed
from tests.end_to_end.test_viewer import drawn, keep_picture, shows
from tests.fakes import POSE
from tests.monitoring.test_snapshot import empty_snapshot
from tests.protocol.samples import keypoint_sample, pose_sample

TOTALS = dict.fromkeys(("accepted", "late", "dup", "gap", "shed", "failed"), 0)
PHONE = {"width": 390, "height": 844}


def standing(people: int, **changes: Any) -> PoseMessage:
    """People in a row, 4 m ahead."""
    sample = pose_sample(people)
    poses = np.full((people, 17, 4), 0.03, np.float32)
    poses[..., :3] = POSE - POSE[0]
    root = np.array([[0.9 * i - 0.45 * (people - 1), 0.2, 4.0] for i in range(people)], np.float32)
    usual = {"poses": poses, "root": root, "frame": "camera", "state": ("ok",) * people}
    usual |= {"actions": None, "win": WindowFill(81, (81,) * people)}
    return replace(sample, **usual | changes)


def in_world(people: int, **changes: Any) -> PoseMessage:
    """The same people with z up, standing on the floor."""
    camera = standing(people)
    assert camera.root is not None
    poses = camera.poses.copy()
    poses[..., 1], poses[..., 2] = camera.poses[..., 2], -camera.poses[..., 1]
    root = np.stack([camera.root[:, 0], camera.root[:, 2], np.full(people, 0.95)], -1)
    return standing(people, poses=poses, root=root.astype(np.float32), frame="world", **changes)


def snapshot_of(messages: tuple[PoseMessage, ...], gone: set[str]) -> Snapshot:
    streams = tuple(
        StreamSnapshot(
            rig=m.rig, camera=m.camera, epoch=1, persons=len(m.ids), waiting=0, unanswered=0,
            assumed_intrinsics=False, offset_ns=0, heard_ago_s=0.0, totals=TOTALS,
        )
        for m in messages
        if m.rig not in gone
    )  # fmt: skip
    return replace(empty_snapshot(), streams=streams)


@contextmanager
def told(
    *messages: PoseMessage,
    gone: set[str] | None = None,
    keypoints: tuple[KeypointMessage, ...] = (),
    every_s: float = 0.05,
    instead: Sequence[PoseMessage] = (),
) -> Iterator[str]:
    """Where a page is that hears these messages again and again, with rising numbers.

    The server forgets the rigs in `gone`; they may come back. What `instead` holds, from whenever
    it holds anything, is heard in place of the messages.
    """
    lost = gone if gone is not None else set()
    feed, over = ViewerFeed(lambda: "MIT"), threading.Event()
    server = HealthServer(
        "127.0.0.1", 0, snapshot=lambda: snapshot_of(messages, lost), alive=lambda: True, feed=feed
    )

    def tell() -> None:
        seq = 0
        while not over.wait(every_s):
            seq += 1
            for message in (m for m in instead or messages if m.rig not in lost):
                feed.publish(encode_pose(replace(message, seq=seq)), now_ns=seq)
            for seen in (k for k in keypoints if k.rig not in lost):
                feed.received(encode_keypoints(replace(seen, seq=seq)))

    thread = threading.Thread(target=tell)
    server.start()
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        over.set()
        thread.join()
        server.stop()


def test_cameras_without_a_common_world_stand_side_by_side(page: Any) -> None:
    cameras = [standing(2, rig=f"rig{i}") for i in range(3)]
    with told(*cameras) as url:
        page.goto(url)
        drawn(page, 6)
        page.wait_for_function("() => document.querySelectorAll('#labels .stream').length == 3")
        page.wait_for_function(  # everybody beside the list
            "() => [...document.querySelectorAll('#labels .person')].every("
            "(l) => l.getBoundingClientRect().left > 0 && l.getBoundingClientRect().right < 890)"
        )
        assert "side by side" in page.text_content("#note")
        keep_picture(page, "side_by_side")
    assert page.complaints == []


def test_sixteen_cameras_are_in_order_named_and_in_view_and_leave_when_they_go(page: Any) -> None:
    cameras = [standing(1, rig=f"rig{i}") for i in (10, 2, 0, 15, *range(3, 10), 1, *range(11, 15))]
    gone: set[str] = set()
    with told(*cameras, gone=gone) as url:
        page.goto(url)
        page.wait_for_function("() => document.body.dataset.skeletons == '16'")
        page.wait_for_function("() => document.querySelectorAll('#streams li').length == 16")
        names = page.locator("#streams strong").all_text_contents()
        assert names == [f"rig{i}/cam.left" for i in range(16)]
        page.wait_for_function("() => document.querySelectorAll('#labels .stream').length == 16")
        boxes = [label.bounding_box() for label in page.locator("#labels .stream").all()]
        assert all(b["x"] > 0 and b["x"] + b["width"] < 890 for b in boxes)
        keep_picture(page, "sixteen")
        page.focus("#streams li:nth-child(4) button")
        gone.update(f"rig{i}" for i in range(16) if i not in (3, 12))
        drawn(page, 2)
        page.wait_for_function("() => document.querySelectorAll('#streams li').length == 2")
        assert page.locator("#labels .stream").count() == 2
        assert page.evaluate("() => document.activeElement.textContent").startswith("rig3/")
        keep_picture(page, "two_of_sixteen")
    assert page.complaints == []


def test_labels_are_placed_by_the_view_of_their_own_frame(page: Any) -> None:
    page.add_init_script(KEEP_FIRST_LABELS)
    with told(standing(2, names=("Ana", "Ben"))) as url:
        page.goto(url)
        drawn(page, 2)
        page.wait_for_timeout(300)  # frames in which a view that comes late would have come
        first, now = page.evaluate("() => [firstLabels, labelBoxes()]")
    assert len(now) == 3, "two people and their camera"
    np.testing.assert_allclose(first, now, atol=2)
    assert page.complaints == []


KEEP_FIRST_LABELS = """
    window.labelBoxes = () => [...document.querySelectorAll("#labels span")]
        .map((l) => [l.textContent, l.getBoundingClientRect()])
        .sort((a, b) => (a[0] < b[0] ? -1 : 1)).map(([, b]) => [b.x, b.y]);
    new MutationObserver(() => {
        if (document.body?.dataset.skeletons == "2") window.firstLabels ??= labelBoxes();
    }).observe(document, { attributes: true, subtree: true });
"""
"""Where the labels are in the first frame that draws both people."""


def test_a_label_has_the_name_and_the_action_and_the_row_the_lookahead(page: Any) -> None:
    actions = ((("a person walks", 0.75), ("a person waves", 0.25)), ())
    people = standing(2, actions=actions, names=("Ana", "Ben"))
    with told(replace(people, win=WindowFill(81, (81, 81), 66_000_000))) as url:
        page.goto(url)
        drawn(page, 2)
        key = page.inner_text(".key")
        assert "sigma" in key
        assert "one camera" not in key, "the colours of fused joints, of which there are none"
        said = sorted(page.locator("#labels .person").all_text_contents())
        assert said == ["Ana · a person walks 0.75", "Ben"]
        shows(page, "#streams", "+ 66 ms lookahead")
    assert page.complaints == []


def test_cameras_of_one_world_share_it_and_its_floor(page: Any) -> None:
    with told(in_world(2), in_world(1, rig="rig1")) as url:
        page.goto(url)
        drawn(page, 3)
        assert page.locator("#labels .stream").count() == 0
        assert "side by side" not in page.text_content("#note")
        keep_picture(page, "world")
    assert page.complaints == []


def pitched(message: PoseMessage, pitch_deg: float, *, known: bool) -> PoseMessage:
    """The same people as a camera sees them that looks down, by an angle that is known or not."""
    down = gravity_of_pitch(pitch_deg)
    turn = level_from_camera(down).T @ level_from_camera(None)
    poses = message.poses.copy()
    poses[..., :3] = poses[..., :3] @ turn.T
    assert message.root is not None
    root = (message.root @ turn.T).astype(np.float32)
    level = {"gravity": down, "level_src": "given"} if known else {}
    return replace(message, poses=poses, root=root, **level)


NEAR_AND_FAR = np.array([[-0.7, 0.2, 3.0], [0.0, 0.2, 5.0], [0.7, 0.2, 7.0]], np.float32)


@pytest.mark.parametrize("pitch_deg", [0.0, 35.0])
def test_feet_meet_their_shadows_on_the_floor(page: Any, pitch_deg: float) -> None:
    people = pitched(standing(3, root=NEAR_AND_FAR), pitch_deg, known=True)
    with told(people, in_world(1, rig="rig1")) as url:
        page.goto(url)
        drawn(page, 4)
        feet_mm = [int(height) for height in page.evaluate(FEET).split(",")]
        keep_picture(page, f"feet_{pitch_deg:.0f}")
    assert len(feet_mm) == 8
    assert all(40 <= height <= 120 for height in feet_mm), "an ankle is about 80 mm high"
    assert page.complaints == []


def test_the_floor_follows_a_new_level_in_seconds_however_few_poses_come(page: Any) -> None:
    people = standing(3, root=NEAR_AND_FAR)
    before, after = (pitched(people, 20.0, known=known) for known in (False, True))
    levelled: list[PoseMessage] = []
    with told(before, every_s=0.5, instead=levelled) as url:
        page.goto(url)
        drawn(page, 3)
        levelled.append(after)
        meet = "f => f.split(',').every(mm => mm >= 40 && mm <= 120)"
        page.wait_for_function(f"() => ({meet})(document.body.dataset.feet)", timeout=15_000)
    assert page.complaints == []


def test_a_camera_that_is_wrongly_taken_for_level_lifts_feet_off_their_shadows(page: Any) -> None:
    with told(pitched(standing(3, root=NEAR_AND_FAR), 35.0, known=False)) as url:
        page.goto(url)
        drawn(page, 3)
        feet_mm = [int(height) for height in page.evaluate(FEET).split(",")]
    assert max(feet_mm) - min(feet_mm) > 1000


FEET = "() => document.body.dataset.feet"


@pytest.mark.parametrize(("cameras", "phone"), [(1, False), (16, False), (2, True)])
def test_the_keypoints_as_received_stand_beside_the_3d_while_asked_for(
    page: Any, cameras: int, phone: bool
) -> None:
    if phone:
        page.set_viewport_size(PHONE)
    rigs = [f"rig{i}" for i in range(cameras)]
    seen = tuple(replace(walking_keypoints(), rig=rig) for rig in rigs)
    gone: set[str] = set()
    with told(*(standing(1, rig=rig) for rig in rigs), gone=gone, keypoints=seen) as url:
        page.goto(url)
        page.wait_for_function(f"() => document.body.dataset.skeletons == '{cameras}'")
        assert page.is_hidden("#pictures")
        page.click("#twod")
        page.wait_for_function(f"() => document.querySelectorAll({FIGURES}).length == {cameras}")
        names = page.locator("#pictures figcaption").all_text_contents()
        assert names == [f"{rig}/cam.left" for rig in rigs]
        left, right, faint, ratio = page.evaluate(LOOK_AT_A_PICTURE)
        keep_picture(page, f"pictures_{cameras}{'_phone' if phone else ''}")
        assert left > 0.5 > right, "the left ankle is orange on the right of the picture"
        assert 0 < faint < 120, "a low score is faint"
        assert abs(ratio - 1920 / 1080) < 0.02
        panel, canvas = page.locator("#pictures").bounding_box(), page.viewport_size
        assert panel["x"] >= 0
        assert panel["x"] + panel["width"] <= canvas["width"]
        gone.add("rig0")
        page.wait_for_function(
            f"() => document.querySelectorAll({FIGURES}).length == {cameras - 1}"
        )
        page.click("#twod")
        page.wait_for_selector("#pictures", state="hidden")
        assert page.locator("#pictures figure").count() == 0
    assert page.complaints == []


FIGURES = "'#pictures figure[data-people=\"1\"]'"
LOOK_AT_A_PICTURE = """() => {
    const canvas = document.querySelector("#pictures canvas"), pen = canvas.getContext("2d");
    const { width: w, height: h } = canvas;
    const at = (x, y) => pen.getImageData(x * w / 1920, y * h / 1080, 1, 1).data;
    const warm = ([r, g, b]) => (r > b ? 1 : 0);
    return [warm(at(1200, 800)), warm(at(700, 800)), at(960, 100)[3], w / h];
}"""


def walking_keypoints() -> KeypointMessage:
    """A person seen from the front in a full HD picture; the nose is hardly seen."""
    sample = keypoint_sample(1)
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, 0] = (960, 100, 0.2)
    for left in range(5, 17, 2):
        keypoints[0, left] = (1200, 200 + 50 * (left - 5), 0.9)
        keypoints[0, left + 1] = (700, 200 + 50 * (left - 5), 0.9)
    keypoints[0, 15:, 1] = 800
    return replace(sample, keypoints=keypoints, ids=np.array([0]))


def records(page: Any) -> None:
    """Wait until the page has recorded for a second or more; a busy page skips seconds."""
    page.wait_for_function(
        "() => /Stop and save · [1-9]/.test(document.querySelector('#record').textContent)"
    )


def test_a_recording_is_saved_as_a_file_that_convert_reads(page: Any, tmp_path: Path) -> None:
    pytest.importorskip("mcap", reason="pip install '.[record]'")
    with told(standing(2)) as url:
        page.goto(url)
        drawn(page, 2)
        page.click("#record")
        records(page)
        with page.expect_download() as saved:
            page.click("#record")
        saved.value.save_as(tmp_path / "page.mcap")
        shows(page, "#recorded", f"Saved {saved.value.suggested_filename}.")
        assert page.text_content("#record") == "Record"
    recording = Recording(tmp_path / "page.mcap")
    sent = [decode_pose(entry.parts).seq for entry in recording.entries()]
    assert recording.complete
    assert sent == list(range(sent[0], sent[0] + len(sent))), "every message, not only those drawn"
    assert len(tracks_from_recording(recording)) == 2
    assert page.complaints == []


def test_what_was_recorded_until_the_server_went_is_saved(page: Any, tmp_path: Path) -> None:
    pytest.importorskip("mcap", reason="pip install '.[record]'")
    with ExitStack() as server:
        page.goto(server.enter_context(told(standing(1))))
        page.click("#record")
        records(page)
        with page.expect_download() as saved:
            server.close()
    shows(page, "#recorded", "The server has ended the recording.", "The recording has ended:")
    saved.value.save_as(tmp_path / "page.mcap")
    assert len(tracks_from_recording(Recording(tmp_path / "page.mcap"))) == 1


def test_a_person_without_a_place_says_so_and_so_does_a_state(page: Any) -> None:
    with told(standing(2, root=None, state=("ok", "predicted"))) as url:
        page.goto(url)
        drawn(page, 2)
        said = sorted(page.locator("#labels .person").all_text_contents())
        keep_picture(page, "no_place")
    assert said == ["0 · place unknown", "1 · predicted, place unknown"]
    assert page.complaints == []


def test_labels_never_cover_one_another(page: Any) -> None:
    people = standing(12, root=np.tile(np.array([0, 0.2, 4], np.float32), (12, 1)))
    people.root[:, 0] += 0.05 * np.arange(12)
    with told(people) as url:
        page.goto(url)
        page.wait_for_function("() => document.body.dataset.skeletons == '12'")
        page.wait_for_selector("#labels .person")
        boxes = page.evaluate(
            "() => [...document.querySelectorAll('#labels span')].map((l) => "
            "{ const b = l.getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; })"
        )
        keep_picture(page, "crowded")
    assert len(boxes) >= 4
    for first in range(len(boxes)):
        for a, b in ((boxes[first], other) for other in boxes[:first]):
            assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_shows_everything_without_scrolling_sideways(page: Any, scheme: str) -> None:
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme)
    with told(standing(2), standing(1, rig="rig1")) as url:
        page.goto(url)
        page.wait_for_function("() => document.body.dataset.skeletons == '3'")
        keep_picture(page, f"phone_{scheme}")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
        panel = page.locator("aside").bounding_box()
        assert panel["y"] > PHONE["height"] / 2
        page_colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        page.click("#fold")
        page.wait_for_function("() => !document.querySelector('#streams').offsetHeight")
        assert page.get_attribute("#fold", "aria-expanded") == "false"
        folded = page.locator("aside").bounding_box()
        assert folded["height"] < 70
        drawn(page, 3)
        label = page.locator("#labels .person").first.bounding_box()
        assert label["y"] + label["height"] < folded["y"]
        keep_picture(page, f"phone_folded_{scheme}")
        page.click("#fold")
        page.wait_for_selector("#streams", state="visible")
        assert page_colour == ("rgb(14, 19, 28)" if scheme == "dark" else "rgb(243, 245, 248)")


def test_sixteen_cameras_and_their_people_are_named_on_a_phone(page: Any) -> None:
    page.set_viewport_size(PHONE)
    cameras = [standing(1, rig=f"rig{i}") for i in range(16)]
    keypoints = tuple(replace(walking_keypoints(), rig=f"rig{i}") for i in range(16))
    with told(*cameras, keypoints=keypoints) as url:
        page.goto(url)
        page.wait_for_function("() => document.body.dataset.skeletons == '16'")
        page.click("#fold")
        for kind in ("stream", "person"):
            count = f"document.querySelectorAll('#labels .{kind}').length"
            page.wait_for_function(f"() => {count} == 16")
        keep_picture(page, "phone_sixteen")
        folded = page.locator("aside").bounding_box()
        for box in (label.bounding_box() for label in page.locator("#labels span").all()):
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"]
            assert box["y"] >= 0
            assert box["y"] + box["height"] < folded["y"]
        page.click("#fold")
        page.click("#twod")
        page.wait_for_selector("#pictures figure[data-people]")
        page.wait_for_function(LABELS_BETWEEN)
        keep_picture(page, "phone_sixteen_pictures")
    assert page.complaints == []


LABELS_BETWEEN = """() => {
    const box = (name) => document.querySelector(name).getBoundingClientRect();
    const labels = [...document.querySelectorAll("#labels .stream")].map((l) => l.getBoundingClientRect());
    const free = (l) => l.top >= box("#pictures").bottom && l.bottom <= box("aside").top;
    return labels.length >= 12 && labels.every(free);
}"""  # noqa: E501
"""The cameras are named between the pictures above and the list below."""


def test_the_keyboard_reaches_everything(page: Any) -> None:
    with told(standing(1)) as url:
        page.goto(url)
        drawn(page, 1)
        reached = []
        for _ in range(7):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("() => document.activeElement.id || 'stream'"))
        assert reached == ["stage", "stream", "reset", "label", "doubt", "twod", "record"]
        page.focus("#label")
        page.keyboard.press("Enter")
        assert page.get_attribute("#label", "aria-pressed") == "false"
        page.wait_for_function("() => !document.querySelector('#labels .person')")
        page.keyboard.press("Enter")
        drawn(page, 1)
        page.focus("#stage")
        before = page.locator("#labels .person").bounding_box()["x"]
        label = "document.querySelector('#labels .person').getBoundingClientRect()"
        moved = f"was => Math.abs({label}.x - was)"
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"{moved} > 3", arg=before)
        page.keyboard.press("r")
        page.wait_for_function(f"{moved} < 1", arg=before)
