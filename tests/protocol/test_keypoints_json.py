"""JSON of OpenPose, AlphaPose and MMPose becomes the same message."""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.geometry.keypoint_formats import USUAL
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.keypoints import (
    ClockSync,
    KeypointMessage,
    encode_keypoints,
    keypoints_from_msgpack,
)
from langpose_rt.protocol.keypoints_json import (
    MAX_JSON_BYTES,
    JsonNumbering,
    keypoints_from_json,
)
from langpose_rt.protocol.messages import decode_keypoints

ROOT = Path(__file__).parents[2]
REAL_OPENPOSE = (
    ROOT.parent / "shared/data/real2d/pose2sim_balancing/original/pose/cam01_json/cam01.0048.json"
)
TOPIC = b"kp2d/rig0/cam0/"
NOW_NS = 1_700_000_000_000_000_123
SIZES = {"cam0": (640, 480)}
POINTS = [[float(joint), 2.0 * joint, 0.5] for joint in range(1, 18)]
FLAT = [number for point in POINTS for number in point]


def read(
    document: object,
    numbering: JsonNumbering | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = SIZES,
    topic: bytes = TOPIC,
) -> KeypointMessage:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    numbering = numbering or JsonNumbering(100)
    return keypoints_from_json([topic, raw], now_ns=NOW_NS, numbering=numbering, sizes=sizes)


PAIRS = [point[:2] for point in POINTS]
SCORES = [point[2] for point in POINTS]
LAYOUTS = {
    "ours": {"keypoints": [POINTS]},
    "ours, one person": {"keypoints": POINTS},
    "ours, flat": {"keypoints": [FLAT]},
    "ours, flat, one person": {"keypoints": FLAT},
    "openpose": {"version": 1.3, "people": [{"pose_keypoints_2d": FLAT, "hand_left": []}]},
    "alphapose": [{"image_id": "0.jpg", "category_id": 1, "keypoints": FLAT, "score": 2.5}],
    "mmpose": {"instances": [{"keypoints": PAIRS, "keypoint_scores": SCORES, "bbox": [[0] * 4]}]},
    "mmpose list": [{"keypoints": PAIRS, "keypoint_scores": SCORES, "bbox_score": 0.5}],
    "mmpose arrays": {"keypoints": [PAIRS], "keypoint_scores": [SCORES]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_person(layout: str) -> None:
    message = read(LAYOUTS[layout])
    assert message.keypoints.tolist() == [POINTS]
    assert message.keypoints.dtype == np.float32
    assert message.skeleton == "coco17"
    assert message.ids.tolist() == [-1]


COLUMNS = {"x": [p[0] for p in POINTS], "y": [p[1] for p in POINTS], "visible": SCORES}
YOLO = {"name": "person", "class": 0, "confidence": 0.9, "track_id": 4, "keypoints": COLUMNS}


class _Lists(list):  # type: ignore[type-arg]
    """As an array or tensor: has tolist."""

    def tolist(self) -> list[Any]:
        return list(self)


GUIDE = {
    "OpenPose": {"frame_json": io.StringIO(json.dumps({"people": [{"pose_keypoints_2d": FLAT}]}))},
    "AlphaPose": {"people": [{"image_id": "7.jpg", "keypoints": FLAT, "score": 2.5, "idx": 4}]},
    "MMPose": {"result": {"predictions": [[{"keypoints": PAIRS, "keypoint_scores": SCORES}]]}},
    "rtmlib": {"keypoints": _Lists([PAIRS]), "scores": _Lists([SCORES])},
    "ultralytics (YOLO pose)": {"results": [SimpleNamespace(to_json=lambda: json.dumps([YOLO]))]},
    "Detectron2": {"outputs": {"instances": SimpleNamespace(pred_keypoints=_Lists([POINTS]))}},
    "MediaPipe": {
        "people": [[SimpleNamespace(x=x / 1920, y=y / 1080, visibility=s) for x, y, s in POINTS]]
    },
}
"""What the names in a row of the guide stand for: what the tools hand to their users."""


def guide_rows() -> dict[str, str]:
    """Tool and expression of every row of the table of detectors in the guide."""
    text = (ROOT / "docs/guides/rigs.md").read_text()
    table = text.partition("| tool |")[2].partition("\n\n")[0]
    cells = (line.split(" | ") for line in table.splitlines()[2:])
    return {row[0].removeprefix("| "): row[1].strip("`") for row in cells}


def test_the_guide_has_a_row_for_every_tool() -> None:
    assert list(guide_rows()) == list(GUIDE)


@pytest.mark.parametrize("tool", GUIDE)
def test_a_row_of_the_guide_is_that_person(tool: str) -> None:
    document = eval(guide_rows()[tool], {"json": json}, GUIDE[tool])
    message = read(document, sizes=None)
    assert message.wh == (1920, 1080)
    np.testing.assert_allclose(message.keypoints, [POINTS], rtol=1e-6)


def test_the_lines_of_the_guide_send_what_the_server_reads() -> None:
    text = (ROOT / "docs/guides/rigs.md").read_text()
    (lines,) = re.findall(r"```python\n(import json\nimport zmq\n.*?)```", text, re.DOTALL)
    receiver = zmq.Context.instance().socket(zmq.SUB)
    receiver.subscribe(b"")
    port = receiver.bind_to_random_port("tcp://127.0.0.1")
    *connect, send = lines.strip().splitlines()
    names: dict[str, Any] = {"document": {"keypoints": [POINTS], "wh": [1920, 1080]}}
    exec("\n".join(connect).replace(":5555", f":{port}"), names)
    try:
        for _ in range(200):
            exec(send, names)
            if receiver.poll(50):
                break
        parts = receiver.recv_multipart(zmq.NOBLOCK)
    finally:
        names["rig"].context.destroy(linger=0)
        receiver.close(linger=0)
    message = decode_keypoints(parts, now_ns=NOW_NS, numbering=JsonNumbering(1), sizes=None)
    assert (message.rig, message.camera) == ("rig0", "cam0")
    np.testing.assert_allclose(message.keypoints, [POINTS])


def row_with(tool: str, names: dict[str, Any]) -> KeypointMessage:
    """Run a row of the guide with values for its names; return what the server makes of it."""
    return read(eval(guide_rows()[tool], {"json": json}, names), sizes=None)


@pytest.mark.parametrize(("added", "skeleton"), [({}, "body25"), ({"fmt": "body25b"}, "body25b")])
def test_the_row_of_openpose_takes_a_real_file(added: dict[str, str], skeleton: str) -> None:
    if not REAL_OPENPOSE.is_file():
        pytest.skip("the real OpenPose clip is not beside the repository")
    with REAL_OPENPOSE.open() as frame_json:
        document = eval(guide_rows()["OpenPose"], {"json": json}, {"frame_json": frame_json})
    message = read(document | added, sizes=None)
    assert message.skeleton == skeleton
    assert message.keypoints.shape[1:] == (25, 3)
    assert len(message.keypoints) > 0


def test_the_row_of_mediapipe_takes_its_33_landmarks_and_nobody() -> None:
    landmark = SimpleNamespace(x=0.5, y=0.25, visibility=0.9)
    someone = row_with("MediaPipe", {"people": [[landmark] * 33]})
    assert someone.skeleton == "blazepose33"
    np.testing.assert_allclose(someone.keypoints[0, 32], [960, 270, 0.9], rtol=1e-6)
    nobody = row_with("MediaPipe", {"people": []})
    assert len(nobody.keypoints) == 0


@pytest.mark.parametrize(("idx", "id_"), [(4, 4), (0, -1)])
def test_the_row_of_alphapose_takes_idx_0_for_untracked(idx: int, id_: int) -> None:
    people = [{"image_id": "7.jpg", "keypoints": FLAT, "score": 2.5, "idx": idx}]
    assert row_with("AlphaPose", {"people": people}).ids.tolist() == [id_]


def test_the_row_of_yolo_keeps_the_ids_of_its_tracker() -> None:
    results = GUIDE["ultralytics (YOLO pose)"]
    assert row_with("ultralytics (YOLO pose)", results).ids.tolist() == [4]


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ("AlphaPose", {"people": []}),
        ("MMPose", {"result": {"predictions": [[]]}}),
        ("rtmlib", {"keypoints": _Lists(), "scores": _Lists()}),
        ("ultralytics (YOLO pose)", {"results": [SimpleNamespace(to_json=lambda: "[]")]}),
        ("Detectron2", {"outputs": {"instances": SimpleNamespace(pred_keypoints=_Lists())}}),
        ("OpenPose", {"frame_json": io.StringIO('{"people": []}')}),
    ],
)
def test_a_row_of_the_guide_takes_a_frame_of_nobody(tool: str, names: dict[str, Any]) -> None:
    assert len(row_with(tool, names).keypoints) == 0


def test_columns_of_yolo_are_people_with_ids() -> None:
    message = read([YOLO, {"keypoints": COLUMNS | {"visible": None}}])
    assert message.ids.tolist() == [4, -1]
    assert message.keypoints[1, :, 2].tolist() == [1.0] * 17
    with pytest.raises(MessageError, match="got keypoints with 17 x, 1 y and 17 visible"):
        read([{"keypoints": COLUMNS | {"y": [1.0]}}])


@pytest.mark.parametrize(
    ("sizes", "wh"),
    [({"cam_00": (640, 480)}, (640, 480)), ({"": (64, 48), "left": (1, 1)}, (64, 48))],
)
def test_json_without_a_size_has_that_of_its_camera_or_of_all(
    sizes: dict[str, tuple[int, int]], wh: tuple[int, int]
) -> None:
    assert read({"keypoints": [POINTS]}, sizes=sizes).wh == wh


def test_json_without_any_size_is_told_the_three_ways() -> None:
    with pytest.raises(MessageError, match=r"the calibration has left; send .*wh.*--size 1920x10"):
        read({"keypoints": [POINTS]}, sizes={"left": (640, 480)})


LANDMARKS = [{"x": x / 640, "y": y / 480, "visibility": s} for x, y, s in POINTS]
LANDMARK_LAYOUTS = {
    "tasks": {"landmarks": [LANDMARKS]},
    "tasks in Python": {"pose_landmarks": [LANDMARKS]},
    "solutions in Python": {"pose_landmarks": {"landmark": LANDMARKS}},
    "solutions in JavaScript": {"poseLandmarks": LANDMARKS},
}


@pytest.mark.parametrize("layout", LANDMARK_LAYOUTS)
def test_landmark_objects_of_mediapipe_are_fractions_of_the_image(layout: str) -> None:
    message = read(LANDMARK_LAYOUTS[layout])
    np.testing.assert_allclose(message.keypoints, [POINTS], rtol=1e-6)


def test_landmarks_of_nobody_are_nobody() -> None:
    assert read({"landmarks": []}).keypoints.shape == (0, 17, 3)


def test_keypoint_objects_of_tensorflow_js_are_pixels() -> None:
    named = [{"x": x, "y": y, "score": s, "name": "any"} for x, y, s in POINTS]
    assert read([{"keypoints": named, "score": 0.9}]).keypoints.tolist() == [POINTS]
    assert read({"keypoints": [named]}).keypoints.tolist() == [POINTS]


def test_scores_beside_keypoints_are_taken_as_rtmlib_returns_them() -> None:
    assert read({"keypoints": [PAIRS], "scores": [SCORES]}).keypoints.tolist() == [POINTS]
    assert read([{"keypoints": PAIRS, "scores": SCORES}]).keypoints.tolist() == [POINTS]
    assert read({"keypoints": [POINTS], "scores": [0.1]}).keypoints.tolist() == [POINTS]


def test_openpose_before_1_2_is_read_by_its_old_key() -> None:
    assert read({"people": [{"pose_keypoints": FLAT}]}).keypoints.tolist() == [POINTS]


def test_people_with_unknown_keys_are_refused_by_their_keys() -> None:
    with pytest.raises(MessageError, match=r"got people with pose, size; expected pose_keypoints"):
        read({"people": [{"pose": FLAT, "size": 3}]})
    assert len(read({"people": [{}]}).keypoints) == 0


def test_a_byte_order_mark_is_passed_over() -> None:
    raw = b"\xef\xbb\xbf" + json.dumps(LAYOUTS["openpose"]).encode()
    message = decode_keypoints([TOPIC, raw], now_ns=NOW_NS, numbering=JsonNumbering(1), sizes=SIZES)
    assert message.keypoints.tolist() == [POINTS]
    listed = b"\xef\xbb\xbf" + json.dumps(LAYOUTS["alphapose"]).encode()
    assert read(listed).keypoints.tolist() == [POINTS]


def test_not_a_number_is_a_missing_number() -> None:
    numbers = [float("nan"), float("inf"), -float("inf"), *FLAT[3:]]
    message = read(json.dumps({"people": [{"pose_keypoints_2d": numbers}]}).encode())
    assert message.keypoints.tolist() == [[[0, 0, 0], *POINTS[1:]]]


def test_people_of_different_formats_are_one_sentence() -> None:
    people = [{"pose_keypoints_2d": FLAT}, {"pose_keypoints_2d": FLAT[3:]}]
    with pytest.raises(MessageError, match="got rows of 48, 51 numbers of different lengths"):
        read({"people": people})


def test_whole_floats_are_integers() -> None:
    whole = {"wh": [640.0, 480.0], "ids": [3.0], "t": 1.7e18, "keypoints": [POINTS]}
    message = read(whole)
    assert (message.wh, message.ids.tolist(), message.t_ns) == ((640, 480), [3], 17 * 10**17)
    with pytest.raises(MessageError, match="it looks like seconds, multiply by 1e9"):
        read(whole | {"t": 1764365000.25})


def test_what_is_left_out_is_filled_in() -> None:
    message = read({"keypoints": [POINTS]})
    assert (message.rig, message.camera, message.wh) == ("rig0", "cam0", (640, 480))
    assert (message.t_ns, message.clk, message.epoch, message.seq) == (NOW_NS, "unix", 100, 0)
    assert (message.fps, message.cam, message.person_height_m) == (None, None, None)
    assert message.json


def test_what_is_given_is_taken() -> None:
    message = read(
        {
            "p": "lprt",
            "v": 1,
            "s": "kp2d/1",
            "epoch": 5,
            "seq": 9,
            "t": "1700000000000000001",
            "clk": "ptp",
            "fmt": "h36m17",
            "unit": "norm",
            "wh": [1000, 500],
            "ids": [3],
            "fps": 30,
            "cam": {"k": [900, 900, 500, 250], "gravity": [0, 9.81, 0]},
            "person_height_m": 1.8,
            "bones_m": [[0.25] * 16],
            "sync": {"offset": "-12", "unc": 7},
            "keypoints": [[[0.5, 0.5, 0.5]] * 17],
        }
    )
    assert message.keypoints[0, 0].tolist() == [500, 250, 0.5]
    assert (message.epoch, message.seq, message.t_ns) == (5, 9, 1700000000000000001)
    assert (message.clk, message.skeleton, message.wh) == ("ptp", "h36m17", (1000, 500))
    assert (message.ids.tolist(), message.fps, message.person_height_m) == ([3], 30, 1.8)
    assert message.sync == ClockSync(-12, 7)
    assert message.bones_m is not None
    assert message.bones_m.tolist() == [[0.25] * 16]
    assert message.cam is not None
    assert message.cam.gravity == pytest.approx((0, 1, 0))


def test_lengths_of_some_people_are_rows_and_wrong_ones_refuse_and_number_nothing() -> None:
    numbering = JsonNumbering(5)
    document = {"keypoints": [POINTS, POINTS], "bones_m": [None, [0.25] * 16], "wh": [640, 480]}

    def frame(document: object) -> KeypointMessage:
        parts = [b"kp2d/rig0/cam0/", json.dumps(document).encode()]
        return keypoints_from_json(parts, now_ns=NOW_NS, numbering=numbering)

    with pytest.raises(MessageError, match="got 1 entries of bones_m for 2 people"):
        frame(document | {"bones_m": [None]})
    message = frame(document)
    assert message.seq == 0
    assert message.bones_m is not None
    assert np.isnan(message.bones_m).all(-1).tolist() == [True, False]


def test_an_offset_means_nothing_without_a_capture_time() -> None:
    points = [[[0.5, 0.5, 0.5]] * 17]
    sync = {"offset": 5, "unc": 7}
    assert read({"keypoints": points, "wh": [640, 480], "sync": sync}).sync is None


def test_null_is_a_missing_number() -> None:
    message = read({"keypoints": [[None, 1, 1], [1, 1, None], *POINTS[2:]]})
    assert message.keypoints[0, :2].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert message.clipped == 0
    message = read({"instances": [{"keypoints": [[None, None], *PAIRS[1:]]}]})
    assert message.keypoints[0, :2].tolist() == [[0, 0, 0], [*PAIRS[1], 1]]


def test_impossible_numbers_are_missing_and_counted() -> None:
    message = read({"keypoints": [[1e300, 1, 1], [1e5, 1, 1], *POINTS[2:]]})
    assert message.clipped == 2
    assert message.keypoints[0, :3].tolist() == [[0, 0, 0], [0, 0, 0], POINTS[2]]


@pytest.mark.parametrize("joints", USUAL)
def test_the_number_of_joints_names_the_format(joints: int) -> None:
    name = USUAL[joints]
    document = {"keypoints": [[[1, 1, 1]] * joints]}
    assert name in SKELETONS
    assert read(document).skeleton == name


def test_a_named_format_overrules_the_number_of_joints() -> None:
    document: dict[str, Any] = {"people": [{"pose_keypoints_2d": [1.0] * 75}]}
    assert read(document).skeleton == "body25"
    assert read(document | {"fmt": "body25b"}).skeleton == "body25b"


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ({"people": [{"pose_keypoints_2d": FLAT, "person_id": [4]}]}, [4]),
        ({"people": [{"pose_keypoints_2d": FLAT, "person_id": [-1]}]}, [-1]),
        ({"people": [{"pose_keypoints_2d": FLAT, "person_id": []}]}, [-1]),
        ([{"keypoints": FLAT, "idx": 7}], [7]),
        ([{"keypoints": FLAT, "idx": [7.0]}], [7]),
        ([{"keypoints": FLAT, "idx": [[7.0], [9.0]]}], [7]),
        ([{"keypoints": FLAT, "idx": [0.0]}] * 2, [-1, -1]),
        ([{"keypoints": FLAT, "idx": 0}], [-1]),
        ([{"keypoints": FLAT, "idx": []}], [-1]),
        ([{"keypoints": FLAT, "idx": "7"}], [7]),
        ([{"keypoints": FLAT, "idx": "-1"}], [-1]),
        ([{"keypoints": FLAT, "idx": True}], [-1]),
        ([{"keypoints": FLAT, "idx": 1e300}], [-1]),
        ([{"keypoints": FLAT, "idx": 1.5}], [-1]),
        ([{"keypoints": FLAT, "track_id": 0}], [0]),
        ({"keypoints": [POINTS, POINTS], "ids": [1, 1]}, [1, -1]),
    ],
)
def test_ids_are_taken_where_they_are_numbers(given: object, ids: list[int]) -> None:
    assert read(given).ids.tolist() == ids


@pytest.mark.parametrize(
    "given",
    [
        {"keypoints": [POINTS, POINTS], "ids": ["alice", 7]},
        {"keypoints": [POINTS, POINTS], "ids": [3, 7], "names": ["alice", None]},
        [{"keypoints": FLAT, "track_id": "alice"}, {"keypoints": FLAT, "track_id": "7"}],
        {"people": [{"pose_keypoints_2d": FLAT, "person_id": n} for n in (["alice"], "7")]},
    ],
)
def test_ids_that_are_texts_are_names(given: object) -> None:
    first, second = read(given), read(given)
    assert first.names == ("alice", None)
    assert first.ids.tolist() == second.ids.tolist()
    assert first.ids[1] == 7
    again = keypoints_from_msgpack(encode_keypoints(first))
    assert (again.names, again.ids.tolist()) == (first.names, first.ids.tolist())


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], [1, 2], ["x" * 65, "b"]])
def test_names_that_do_not_fit_are_refused(names: list[object]) -> None:
    with pytest.raises(MessageError, match=r"bad_ids|bad_json"):
        read({"keypoints": [POINTS, POINTS], "ids": [1, 2], "names": names})


@pytest.mark.skipif(not REAL_OPENPOSE.exists(), reason="the shared real clips are not here")
def test_what_openpose_wrote_is_read_in_the_format_that_is_named() -> None:
    document = json.loads(REAL_OPENPOSE.read_bytes())
    flat = document["people"][0]["pose_keypoints_2d"]
    message = read(document | {"fmt": "body25b", "wh": [1088, 1920]})
    names = SKELETONS["body25b"].joints
    found = dict(zip(names, message.keypoints[0], strict=True))
    expected = np.array(flat, np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(message.keypoints[0], expected)
    assert message.ids.tolist() == [-1] * len(document["people"])
    rows = [found[name][1] for name in ("head", "neck", "left_hip", "left_knee", "left_ankle")]
    assert rows == sorted(rows), "25 joints alone would be body25: that is another order"
    wrong = dict(zip(SKELETONS["body25"].joints, expected, strict=True))
    assert wrong["left_ankle"][1] < wrong["left_knee"][1]


MMPOSE_FRAME = {
    "frame_id": 3,
    "instances": [
        {
            "keypoints": PAIRS,
            "keypoint_scores": SCORES,
            "bbox": [[10.0, 20.0, 110.0, 220.0]],
            "bbox_score": 0.875,
        }
    ],
}
ALPHAPOSE_FRAME = [
    {
        "image_id": "12.jpg",
        "category_id": 1,
        "keypoints": FLAT,
        "score": 3.11,
        "box": [135.4, 22.5, 190.9, 180.2],
        "idx": [2.0],
    }
]


@pytest.mark.parametrize(
    ("document", "number"),
    [(MMPOSE_FRAME, -1), (MMPOSE_FRAME["instances"], -1), (ALPHAPOSE_FRAME, 2)],
    ids=["a frame of MMPose's file", "predictions[0] of its inferencer", "AlphaPose"],
)
def test_the_tools_own_layouts_are_read_as_they_write_them(document: object, number: int) -> None:
    message = read(document)
    assert message.keypoints.tolist() == [POINTS]
    assert message.ids.tolist() == [number]


def test_a_person_without_body_keypoints_is_nobody() -> None:
    people = [{"pose_keypoints_2d": []}, {"pose_keypoints_2d": FLAT, "person_id": [2]}]
    assert read({"people": people}).ids.tolist() == [2]


@pytest.mark.parametrize("empty", [[], {"people": []}, {"instances": []}, {"keypoints": []}])
def test_nobody_keeps_time_moving_in_the_format_of_the_stream(empty: object) -> None:
    numbering = JsonNumbering(100)
    assert read(empty, numbering).keypoints.shape == (0, 17, 3)
    read({"keypoints": [[[1, 1, 1]] * 26]}, numbering)
    message = read(empty, numbering)
    assert (message.seq, message.skeleton) == (2, "halpe26")
    assert message.keypoints.shape == (0, 26, 3)


def test_streams_are_numbered_apart_and_only_for_what_was_read() -> None:
    numbering = JsonNumbering(100)
    other = b"kp2d/rig0/cam1/"
    first = read(LAYOUTS["ours"], numbering)
    with pytest.raises(MessageError):
        read({"keypoints": [[1, 2]]}, numbering)
    second = read(LAYOUTS["ours"], numbering)
    elsewhere = read({"keypoints": [POINTS], "wh": [640, 480]}, numbering, topic=other)
    assert [(m.epoch, m.seq) for m in (first, second)] == [(100, 0), (100, 1)]
    assert elsewhere.seq == 0


def test_a_stream_that_was_forgotten_starts_a_new_epoch() -> None:
    numbering = JsonNumbering(100)
    first = [numbering.number(f"kp2d/rig0/{n}/", "coco17") for n in range(1025)]
    assert numbering.number("kp2d/rig0/1024/", "coco17") == (first[1024][0], 1)
    again = numbering.number("kp2d/rig0/0/", "coco17")
    assert again[1] == 0
    assert again[0] not in {epoch for epoch, _ in first}
    assert numbering.format_of("kp2d/rig0/1/") is None


def test_the_size_comes_from_the_message_the_rig_or_the_camera() -> None:
    document: dict[str, Any] = {"keypoints": [POINTS]}
    sizes = {"rig0/cam0": (300, 200), "cam0": (640, 480)}
    assert read(document | {"wh": [100, 50]}, sizes=sizes).wh == (100, 50)
    assert read(document, sizes=sizes).wh == (300, 200)
    assert read(document).wh == (640, 480)
    for unknown in (None, {}, {"cam1": (640, 480)}):
        with pytest.raises(MessageError, match="no_size"):
            read(document, sizes=unknown)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"{", "bad_json"),
        (b"[", "bad_json"),
        (b"{}", "bad_json"),
        (b"[1]", "bad_json"),
        (b'{"keypoints": [NaN]}', "bad_shape"),
        (b'{"keypoints": "\xff"}', "bad_json"),
        (b'{"\xff": 1}', "bad_json"),
        (b'{"keypoints": [' + b"9" * 5000 + b"]}", "bad_json"),
        (b'{"keypoints": [1e999]}', "bad_json"),
        (b'{"keypoints": ' + b"[" * 100_000, "bad_json"),
        (b'[{"keypoints": [1], "idx": ' + b"[" * 100_000, "bad_json"),
        (b'{"more": ' + b'{"a":' * 100_000, "bad_json"),
        (b'[{"keypoints": [1,1,1], "image_id": ' + b"9" * 9000 + b"}]", "bad_json"),
        ({"keypoints": [["1", "2", "3"]]}, "bad_json"),
        ({"keypoints": [[True, 1, 1]]}, "bad_json"),
        ({"keypoints": [[1, 1, 1], [1, 1]]}, "bad_shape"),
        ({"keypoints": [[[[1, 1, 1]]]]}, "bad_json"),
        ({"keypoints": {}}, "bad_json"),
        ({"people": [{"pose_keypoints_2d": FLAT}, {"pose_keypoints_2d": FLAT[3:]}]}, "bad_shape"),
        ({"people": [{"pose_keypoints_2d": FLAT[1:]}]}, "bad_shape"),
        ({"keypoints": [[[1, 1, 1, 1]] * 17]}, "bad_shape"),
        ({"keypoints": [[1]] * 17}, "bad_shape"),
        ({"keypoints": [PAIRS], "keypoint_scores": [SCORES[1:]]}, "bad_shape"),
        ({"keypoints": [POINTS], "keypoint_scores": [SCORES]}, "bad_shape"),
        ({"keypoints": [POINTS], "fmt": "halpe26"}, "bad_shape"),
        ({"keypoints": [POINTS], "fmt": "hands21"}, "unknown_format"),
        ({"keypoints": [POINTS[:5]]}, "unknown_format"),
        ({"keypoints": [[[1, 1, 1]] * 300]}, "unknown_format"),
        ({"keypoints": [], "fmt": "hands21"}, "unknown_format"),
        ({"keypoints": [POINTS], "ids": []}, "bad_ids"),
        ({"keypoints": [POINTS], "ids": [-2]}, "bad_json"),
        ({"keypoints": [POINTS], "wh": [0, 1]}, "bad_json"),
        ({"keypoints": [POINTS], "t": 1.5}, "bad_time"),
        ({"keypoints": [POINTS], "wh": [640.5, 480]}, "bad_header"),
        ({"keypoints": [POINTS], "ids": [0.5]}, "bad_ids"),
        ({"people": [{"pose": FLAT}]}, "bad_json"),
        ({"keypoints": [POINTS]}.__repr__().encode("utf-16"), "bad_json"),
        (b'{"keypoints": [NaN, "NaN\\"]}', "bad_json"),
        ({"keypoints": [POINTS], "t": "now"}, "bad_time"),
        ({"keypoints": [POINTS], "cam": {"k": [0, 0, 0, 0]}}, "bad_camera"),
        ({"keypoints": [POINTS], "p": "other"}, "unknown_protocol"),
        ({"keypoints": [POINTS], "v": 2}, "unknown_version"),
        ({"keypoints": [POINTS], "s": "kp2d/2"}, "unknown_schema"),
        ([{"keypoints": FLAT, "image_id": n} for n in "ab"], "several_frames"),
    ],
)
def test_json_that_cannot_be_understood_is_refused(document: object, reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        read(document)
    assert refused.value.reason == reason


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.sampled_from("people instances keypoints pose_keypoints_2d ids wh t cam idx".split())
JSON: st.SearchStrategy[object] = st.deferred(
    lambda: SCALARS | st.lists(JSON, max_size=2) | st.dictionaries(KEYS, JSON, max_size=2)
)


@settings(deadline=None)
@given(JSON)
def test_no_json_raises_anything_but_a_message_error(document: object) -> None:
    try:
        message = read(document)
    except MessageError:
        return
    assert np.isfinite(message.keypoints).all()


def test_json_longer_than_64_people_need_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(MessageError, match="at most") as refused:
        read(b"{" * (MAX_JSON_BYTES + 1))
    assert refused.value.reason == "too_large"


def test_64_people_of_the_largest_format_with_every_digit_are_read() -> None:
    joints = max(len(skeleton.joints) for skeleton in SKELETONS.values())
    people = np.random.default_rng(0).uniform(100, 400, (64, joints, 3))
    people[..., 2] /= 1000
    document = json.dumps({"keypoints": people.tolist()}, indent=0).encode()
    assert len(document) > MAX_JSON_BYTES // 2
    assert len(read(document).ids) == 64
