"""Sample messages of every kind, with exact numbers, for tests and benchmarks."""

import json
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from langpose_rt.protocol.control import Reply, Request, encode_control
from langpose_rt.protocol.fusion_info import FusionInfo
from langpose_rt.protocol.messages import (
    Drops,
    Event,
    Heartbeat,
    KeypointMessage,
    Latency,
    ModelStamp,
    PoseMessage,
    RigCamera,
    SchemaMessage,
    Source,
    WindowFill,
    encode_keypoints,
    encode_pose,
    encode_status,
)

MessageT = TypeVar("MessageT")
GOLDEN = Path(__file__).parents[2] / "langpose_rt" / "assets" / "golden"
CAPTURED_NS = 1_700_000_000_123_456_789
RIGID = (0.0, 0.0, 1.0, 0.5, -1.0, 0.0, 0.0, 1.5, 0.0, -1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0)
MODEL = ModelStamp("live-1", "ab" * 32, "fp32", "onnx")


def keypoint_sample(people: int = 2) -> KeypointMessage:
    """People in a full HD image, everything optional given; one joint of the first is missing."""
    keypoints = np.ones((people, 17, 3), np.float32)
    keypoints[..., 0] = 100 * np.arange(people)[:, None] + np.arange(17) / 4
    keypoints[..., 1] = 200 + 8 * np.arange(17)
    keypoints[..., 2] = 0.75
    keypoints[:1, 9] = 0
    return KeypointMessage(
        rig="rig0",
        camera="cam.left",
        epoch=(1 << 53) - 1,
        seq=7,
        t_ns=CAPTURED_NS,
        clk="mono:4f5e",
        skeleton="coco17",
        wh=(1920, 1080),
        keypoints=keypoints,
        ids=np.arange(people) - 1,
        fps=59.9375,
        cam=RigCamera(
            k=(1400.0, 1401.5, 960.0, 540.0),
            dist=(-0.125, 0.0625, 0.0, 0.0),
            undistorted=True,
            T_wc=RIGID,
            gravity=(0.0, 1.0, 0.0),
        ),
        person_height_m=1.75,
    )


def pose_sample(people: int = 2) -> PoseMessage:
    """Poses with every optional array and list."""
    numbers = np.arange(people * 17 * 4, dtype=np.float32).reshape(people, 17, 4)
    return PoseMessage(
        rig="rig0",
        camera="cam.left",
        epoch=11,
        seq=12,
        src=Source(13, 14, CAPTURED_NS),
        t_srv=CAPTURED_NS + 500,
        t_unc_ns=2000,
        lat=Latency(1, 2, 3, 4, 5),
        model=MODEL,
        poses=numbers / 64,
        flags=(np.arange(people * 17, dtype=np.uint8) % 16).reshape(people, 17),
        ids=np.arange(people),
        state=(("ok", "held", "predicted", "lost", "warmup") * people)[:people],
        root=np.arange(people * 3, dtype=np.float32).reshape(people, 3) / 8,
        scale_src="height",
        frame="world",
        win=WindowFill(81, tuple(range(people)), 66_000_000),
        drop=Drops(1, 2, 3, 4),
        actions=((("a person walks", 0.75), ("a person waves", 0.25)),) * people,
        embedding=np.arange(people * 4, dtype=np.float32).reshape(people, 4),
        echo=np.arange(people * 51, dtype=np.float32).reshape(people, 17, 3),
    )


def fused_sample(people: int = 2) -> PoseMessage:
    """Poses of a capture volume of three cameras; the third has no picture."""
    joints = np.arange(people * 17, dtype=np.uint32).reshape(people, 17)
    numbers = np.arange(people * 17 * 6, dtype=np.float32).reshape(people, 17, 6)
    return replace(
        pose_sample(people),
        rig="studio",
        camera="fused",
        scale_src="given",
        drop=Drops(),
        actions=None,
        embedding=None,
        echo=None,
        fused=FusionInfo(cameras=("rig0/left", "rig0/right", "top"), live=3, fmt="h36m17",
                         wait_ns=9_000_000),
        views=joints % 4,
        residual_px=joints.astype(np.float32) / 8,
        covariance_m2=numbers / 1024,
        bones_m=numbers.reshape(people, 102)[:, :16] / 256,
        keypoints=numbers[:, :, :4] / 64,
        keypoint_views=(joints + np.uint32(1)) % 4,
    )  # fmt: skip


def heartbeat_sample() -> Heartbeat:
    """A heartbeat of a busy server."""
    return Heartbeat(
        server="studio",
        epoch=11,
        seq=3,
        t_ns=CAPTURED_NS,
        state="ready",
        uptime_s=12.5,
        streams=2,
        persons=3,
        fps=179.5,
        p99_ms=4.25,
        model=MODEL,
        counters={"late": 1, "bad_shape": 2},
    )


def schema_sample() -> SchemaMessage:
    """A keypoint format of three joints."""
    return SchemaMessage(
        name="tiny3",
        joints=("nose", "left_hip", "right_hip"),
        edges=((0, 1), (0, 2)),
        pairs=((1, 2),),
        to_h36m=(((1, 0.5), (2, 0.5)), *(((0, 1.0),),) * 16),
    )


def event_sample() -> Event:
    """A reject event."""
    return Event(
        kind="reject",
        epoch=11,
        seq=5,
        t_ns=CAPTURED_NS,
        subject="kp2d/rig0/cam.left/",
        reason="bad_shape",
        detail="got 8 bytes for shape [1, 17, 3] of <f4",
        count=60,
    )


def request_sample() -> Request:
    """A control request with every key."""
    return Request.of(
        "hello", id=9, versions=(1, 2), name="coco17", t=str(CAPTURED_NS), model="models/new"
    )


def reply_sample() -> Reply:
    """The refusal of that request."""
    return Reply.refusal(request_sample(), "not_allowed", "ask somebody else")


def encoded_samples() -> dict[str, list[bytes]]:
    """The parts of every sample, by the name of its golden file; of ctl four messages."""
    return {
        "kp2d": encode_keypoints(keypoint_sample()),
        "pose3d": encode_pose(pose_sample()),
        "pose3d_fused": encode_pose(fused_sample()),
        "hb": encode_status(heartbeat_sample()),
        "schema": encode_status(schema_sample()),
        "event": encode_status(event_sample()),
        "ctl": [
            encode_control(message, as_json=as_json)
            for as_json in (False, True)
            for message in (request_sample(), reply_sample())
        ],
    }


def golden_parts(name: str) -> list[bytes]:
    """The committed parts of one message: one line of hexadecimal digits each."""
    lines = (GOLDEN / f"{name}.hex").read_text("ascii").splitlines()
    return [bytes.fromhex(line) for line in lines]


def same(left: object, right: object) -> bool:
    """Whether two values are equal, arrays and the fields of dataclasses included."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    if hasattr(left, "__dataclass_fields__") and type(left) is type(right):
        return all(same(getattr(left, name), getattr(right, name)) for name in vars(left))
    return left == right


def forged(message: MessageT, **changes: object) -> MessageT:
    """A copy with other fields, unchecked, as a program without shape checks could make it."""
    copied = copy(message)
    for name, value in changes.items():
        object.__setattr__(copied, name, value)
    return copied


def kp2d_parts(payload: np.ndarray | bytes | None = None, **changes: object) -> list[bytes]:
    """A valid `kp2d/1` message with keys of its header changed; None removes a key."""
    array = np.full((1, 17, 3), 0.5, np.float32) if payload is None else payload
    header: dict[str, object] = {
        "p": "lprt",
        "v": 1,
        "s": "kp2d/1",
        "epoch": 1,
        "seq": 0,
        "t": CAPTURED_NS,
        "clk": "unix",
        "fmt": "coco17",
        "unit": "px",
        "wh": [640, 480],
        "shape": list(array.shape) if isinstance(array, np.ndarray) else [1, 17, 3],
        "dtype": "<f4",
        "ids": [-1] * len(array) if isinstance(array, np.ndarray) else [-1],
    }
    header = {key: value for key, value in (header | changes).items() if value is not None}
    raw = array.tobytes() if isinstance(array, np.ndarray) else array
    return [b"kp2d/rig0/cam0/", msgspec.msgpack.encode(header), raw]


def meaning(parts: list[bytes]) -> dict[str, object]:
    """What the parts of a message say, read without the package's own decoders."""
    header = msgspec.msgpack.decode(parts[1])
    found = {"topic": parts[0].decode("ascii"), "header": exact_in_json(header)}
    arrays = [{"name": "payload", **header}, *header.get("extra", [])] if len(parts) > 2 else []
    read = [
        np.frombuffer(raw, about["dtype"]).reshape(about["shape"]).tolist()
        for about, raw in zip(arrays, parts[2:], strict=True)
    ]
    if read:
        found["payload"] = read[0]
        found["extra"] = dict(zip((about["name"] for about in arrays[1:]), read[1:], strict=True))
    return found


def exact_in_json(value: object) -> object:
    """A value whose integers from 2^53 on are strings, since JSON readers round them."""
    if isinstance(value, dict):
        return {key: exact_in_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [exact_in_json(inner) for inner in value]
    return str(value) if isinstance(value, int) and abs(value) >= 1 << 53 else value


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, parts in encoded_samples().items():
        text = "".join(part.hex() + "\n" for part in parts)
        (GOLDEN / f"{name}.hex").write_text(text, "ascii")
        meant = json.dumps(meaning(parts), separators=(",", ":"))
        (GOLDEN / f"{name}.json").write_text(meant + "\n", "ascii")
