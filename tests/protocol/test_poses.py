"""`pose3d/1` as bytes and back."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.protocol.header import MAX_HEADER_BYTES, MAX_UINT
from langpose_rt.protocol.poses import (
    Drops,
    JointFlag,
    Latency,
    ModelStamp,
    PoseMessage,
    Source,
    WindowFill,
    decode_pose,
    encode_pose,
)
from tests.protocol.samples import CAPTURED_NS, forged, fused_sample, pose_sample, same

STATES = st.sampled_from(["warmup", "ok", "held", "predicted", "lost"])
UINTS = st.integers(0, MAX_UINT)


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of a message; the test makes it, for the shape checks draw random numbers."""
    people = draw(st.integers(0, 64))
    random = np.random.default_rng(draw(st.integers(0, 999)))

    def array(*shape: int) -> np.ndarray:
        return random.normal(size=(people, *shape)).astype(np.float32)

    label = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=10))
    return {
        "rig": "rig",
        "camera": "cam",
        "epoch": draw(UINTS),
        "seq": draw(UINTS),
        "src": Source(draw(UINTS), draw(UINTS), draw(st.integers(-(1 << 61), 1 << 61))),
        "t_srv": draw(st.integers(-(1 << 61), 1 << 61)),
        "t_unc_ns": draw(UINTS),
        "lat": Latency(*draw(st.lists(st.integers(-1000, MAX_UINT), min_size=5, max_size=5))),
        "model": ModelStamp("m", "0" * 64, "fp16", "tensorrt"),
        "poses": array(17, 4),
        "flags": random.integers(0, 16, (people, 17), np.uint8),
        "ids": np.arange(people),
        "state": tuple(draw(st.lists(STATES, min_size=people, max_size=people))),
        "root": array(3) if draw(st.booleans()) else None,
        "scale_src": draw(st.sampled_from(["given", "height", "focal", "prior"])),
        "frame": draw(st.sampled_from(["camera", "world"])),
        "gravity": draw(st.sampled_from([None, (0.0, 0.6, 0.8), (0.0, 0.0, -1.0)])),
        "level_src": draw(st.sampled_from(["given", "calibration", "estimated", "none"])),
        "win": WindowFill(32, (5,) * people, draw(UINTS)),
        "drop": Drops(*draw(st.lists(UINTS, min_size=5, max_size=5))),
        "actions": (((label, 0.5),),) * people if people and draw(st.booleans()) else None,
        "embedding": array(8) if draw(st.booleans()) else None,
        "echo": array(17, 3) if draw(st.booleans()) else None,
    }


@settings(deadline=None)
@given(fields())
def test_what_is_encoded_is_decoded(fields: dict[str, Any]) -> None:
    message = PoseMessage(**fields)
    assert same(decode_pose(encode_pose(message)), message)


def test_every_option_survives() -> None:
    message = pose_sample(3)
    assert same(decode_pose(encode_pose(message)), message)


@pytest.mark.parametrize("people", [0, 1, 64])
def test_fused_people_survive(people: int) -> None:
    message = fused_sample(people)
    assert same(decode_pose(encode_pose(message)), message)


def test_a_reader_of_one_camera_needs_no_key_of_fused_people() -> None:
    header = msgspec.msgpack.decode(encode_pose(pose_sample())[1])
    assert "fused" not in header
    assert [extra["name"] for extra in header["extra"]] == ["flags", "embedding", "echo"]


@pytest.mark.parametrize("name", ["residual_px", "covariance_m2", "bones_m", "keypoints"])
def test_a_fused_number_that_is_not_finite_is_not_sent(name: str) -> None:
    message = fused_sample()
    getattr(message, name).flat[3] = np.nan
    with pytest.raises(MessageError, match=f"not_finite: {name}"):
        encode_pose(message)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("views", (2, 16)), ("keypoints", (2, 17, 3)), ("bones_m", (1, 16)), ("residual_px", (17,))],
)
def test_fused_arrays_of_a_wrong_shape_are_not_sent(name: str, shape: tuple[int, ...]) -> None:
    dtype = getattr(fused_sample(), name).dtype
    with pytest.raises(MessageError, match=f"bad_shape: got {name}"):
        encode_pose(forged(fused_sample(), **{name: np.zeros(shape, dtype)}))


def test_what_comes_back_may_be_changed() -> None:
    message = decode_pose(encode_pose(pose_sample()))
    for array in (message.poses, message.flags, message.ids, message.root, message.embedding):
        assert array is not None
        array[:] = 1


@pytest.mark.parametrize("name", ["poses", "root", "embedding", "echo"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_neither_sent_nor_believed(name: str, value: float) -> None:
    message = pose_sample()
    parts = encode_pose(message)
    getattr(message, name).flat[3] = value
    with pytest.raises(MessageError, match=f"not_finite: {name}"):
        encode_pose(message)
    place = {"poses": 2, "embedding": 4, "echo": 5}.get(name)
    if place is not None:
        parts[place] = getattr(message, name).tobytes()
    else:
        parts[1] = parts[1].replace(
            np.array(0.375, ">f8").tobytes(), np.array(value, ">f8").tobytes()
        )
    with pytest.raises(MessageError, match=f"not_finite: {name}"):
        decode_pose(parts)


def test_a_score_that_is_not_finite_is_not_sent() -> None:
    with pytest.raises(MessageError, match="not_finite"):
        encode_pose(replace(pose_sample(1), actions=((("waves", float("nan")),),)))


@pytest.mark.parametrize(
    "changes",
    [
        {"flags": np.zeros((1, 17), np.uint8)},
        {"root": np.zeros((3, 3), np.float32)},
        {"embedding": np.zeros((1, 8), np.float32)},
        {"echo": np.zeros((3, 17, 3), np.float32)},
        {"state": ("ok",)},
        {"win": WindowFill(81, (1,))},
        {"actions": ((("waves", 0.5),),)},
        {"ids": np.array([1])},
    ],
)
def test_lists_and_arrays_are_of_the_same_people(changes: dict[str, object]) -> None:
    with pytest.raises(MessageError, match=r"bad_shape|bad_ids"):
        encode_pose(forged(pose_sample(), **changes))


def test_actions_give_way_when_the_header_is_full() -> None:
    many = tuple((f"a person does something long, number {n}", 0.5) for n in range(9))
    message = replace(pose_sample(64), actions=(many,) * 64)
    read = decode_pose(encode_pose(message))
    assert read.actions == (many[:1],) * 64
    long = (("a" * 200, 0.5),)
    assert decode_pose(encode_pose(replace(message, actions=(long,) * 64))).actions is None


def test_a_full_house_fits() -> None:
    parts = encode_pose(replace(pose_sample(64), ids=np.arange(64) + (1 << 40), actions=None))
    assert len(parts[1]) < MAX_HEADER_BYTES


def rewritten(**changes: object) -> list[bytes]:
    """An encoded sample with keys of its header replaced, or removed by a value of None."""
    parts = encode_pose(pose_sample())
    header = msgspec.msgpack.decode(parts[1]) | changes
    kept = {key: value for key, value in header.items() if value is not None}
    return [parts[0], msgspec.msgpack.encode(kept), *parts[2:]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(({key: None}, "bad_header") for key in "p v s epoch seq src t_srv lat model".split()),
        *(({key: None}, "bad_header") for key in "skel frame unit axes shape dtype".split()),
        *(({key: None}, "bad_header") for key in "scale_src ids state win drop extra".split()),
        ({"v": 9}, "unknown_version"),
        ({"s": "kp2d/1"}, "unknown_schema"),
        ({"unit": "mm"}, "bad_header"),
        ({"axes": "x-right,y-up,z-back"}, "bad_header"),
        ({"axes": "x-right,y-down,z-forward"}, "bad_header"),
        ({"frame": "camera"}, "bad_header"),
        ({"state": ["ok", "asleep"]}, "bad_header"),
        ({"state": ["ok"]}, "bad_shape"),
        ({"ids": [1]}, "bad_ids"),
        ({"shape": [1, 17, 4]}, "bad_shape"),
        ({"shape": [2, 16, 4]}, "bad_header"),
        ({"root": [[0, 0, 0]]}, "bad_shape"),
        ({"root": [[0, 0, 1e300], [0, 0, 0]]}, "not_finite"),
        ({"t_srv": "soon"}, "bad_time"),
        ({"extra": []}, "bad_parts"),
        ({"extra": [{"name": "x", "shape": [1], "dtype": "<f4"}] * 3}, "bad_parts"),
    ],
)
def test_a_wrong_header_costs_the_message(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        decode_pose(rewritten(**changes))
    assert refused.value.reason == reason


def test_extra_arrays_of_a_wrong_shape_cost_the_message() -> None:
    extra = [
        {"name": "flags", "shape": [34], "dtype": "|u1"},
        {"name": "embedding", "shape": [2, 4], "dtype": "<f4"},
        {"name": "echo", "shape": [2, 17, 3], "dtype": "<f4"},
    ]
    with pytest.raises(MessageError, match="bad_shape: got flags"):
        decode_pose(rewritten(extra=extra))


def test_later_servers_may_say_more() -> None:
    parts = rewritten(
        extra=[
            *msgspec.msgpack.decode(encode_pose(pose_sample())[1])["extra"],
            {"name": "covariance", "shape": [2, 17, 6], "dtype": "<f8"},
        ],
        mood=["fine", "fine"],
    )
    assert same(decode_pose([*parts, b"whatever"]), pose_sample())


def test_an_unknown_root_is_said_and_not_guessed() -> None:
    parts = encode_pose(replace(pose_sample(), root=None))
    assert msgspec.msgpack.decode(parts[1])["root"] is None
    assert decode_pose(parts).root is None


@pytest.mark.parametrize(
    ("frame", "axes"),
    [
        ("camera", "x-right,y-down,z-forward"),
        ("world", "x,y,z as in the calibration's world"),
    ],
)
def test_axes_are_those_of_the_frame(frame: Any, axes: str) -> None:
    message = replace(pose_sample(), frame=frame)
    parts = encode_pose(message)
    assert msgspec.msgpack.decode(parts[1])["axes"] == axes
    assert same(decode_pose(parts), message)


def test_source_time_of_a_javascript_server_is_exact() -> None:
    source = {"epoch": 1, "seq": 2, "t": str(CAPTURED_NS)}
    assert decode_pose(rewritten(src=source)).src.t == CAPTURED_NS


def test_flags_are_the_bits_of_the_specification() -> None:
    assert [int(flag) for flag in JointFlag] == [1, 2, 4], "8 is reserved"


def test_the_four_old_kinds_of_loss_are_always_sent_and_failed_only_where_it_is_not_0() -> None:
    four = {"late": 0, "dup": 0, "gap": 2, "shed": 0}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Drops(gap=2))) == four
    assert msgspec.to_builtins(Drops(gap=2, failed=3)) == four | {"failed": 3}


def test_a_map_without_a_kind_of_loss_says_that_nothing_was_lost_so() -> None:
    assert msgspec.convert({"gap": 2}, Drops) == Drops(gap=2)


def test_a_message_without_gravity_has_the_bytes_it_always_had() -> None:
    plain = encode_pose(pose_sample(1))
    assert b"gravity" not in plain[1]
    assert b"level_src" not in plain[1]
    known = encode_pose(replace(pose_sample(1), gravity=(0.0, 0.6, 0.8), level_src="estimated"))
    assert len(known[1]) - len(plain[1]) < 64


def test_a_gravity_of_another_sender_comes_to_length_1_and_one_without_direction_is_refused() -> (
    None
):
    parts = encode_pose(replace(pose_sample(1), gravity=(0.0, 6.0, 8.0), level_src="given"))
    assert decode_pose(parts).gravity == pytest.approx((0, 0.6, 0.8))
    for wrong in ((0.0, 0.0, 0.0), (float("nan"), 0.0, 1.0)):
        with pytest.raises(MessageError):
            decode_pose(encode_pose(replace(pose_sample(1), gravity=wrong, level_src="given")))


def test_names_are_carried_and_left_out_where_they_do_not_fit() -> None:
    named = forged(pose_sample(2), names=("alice", None))
    assert decode_pose(encode_pose(named)).names == ("alice", None)
    crowd = forged(pose_sample(64), names=("\u00fc" * 64,) * 64, actions=None)
    found = decode_pose(encode_pose(crowd))
    assert found.names is None
    assert len(found.ids) == 64
