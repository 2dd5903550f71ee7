"""The table of formats says what can be read from it: names, trunks and lines that exist."""

import pytest

from langpose_rt.geometry.keypoint_formats import (
    BODY_EDGES,
    FACE_SIDES,
    SHOULDERS_AND_EARS,
    STAND_INS,
    TABLE,
    USUAL,
    Format,
)
from langpose_rt.geometry.skeleton import JOINTS

TRUNK = {"Hip", "Thorax", "Spine", "Head", "Nose"}
LIMBS = {
    f"{side}_{part}" for side in ("left", "right") for part in "knee ankle elbow wrist".split()
}
SIZES = {
    "coco17": 17, "halpe26": 26, "body25": 25, "body25b": 25, "openpose18": 18, "coco133": 133,
    "body135": 135, "halpe136": 136, "blazepose33": 33,
}  # fmt: skip
"""From each format's own documentation."""

EVERY = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


def names(row: Format) -> list[str]:
    return row.joints.split()


def test_every_format_has_its_documented_number_of_keypoints() -> None:
    assert {name: len(names(row)) for name, row in TABLE.items()} == SIZES


@EVERY
def test_names_are_unique_and_every_left_one_has_a_right_one(row: Format) -> None:
    joints = names(row)
    assert len(set(joints)) == len(joints)
    for side, other in (("left_", "right_"), ("right_", "left_")):
        sided = {joint.removeprefix(side) for joint in joints if joint.startswith(side)}
        mirrored = {joint.removeprefix(other) for joint in joints if joint.startswith(other)}
        face = {name for name in sided | mirrored if name.startswith("face_")}
        assert sided - face == mirrored - face


@EVERY
def test_every_format_has_all_limbs_under_the_names_they_are_looked_for_by(row: Format) -> None:
    assert set(names(row)) >= LIMBS
    limbs = {joint for joint in JOINTS if joint not in TRUNK}
    sides = {"L": "left_", "R": "right_"}
    assert {sides[joint[0]] + joint[1:].lower() for joint in limbs} <= set(names(row))


@EVERY
def test_a_trunk_is_made_of_the_formats_own_joints_or_of_other_trunk_joints(row: Format) -> None:
    assert set(row.trunk) == TRUNK
    for joint, weights in row.trunk.items():
        assert set(weights) <= set(names(row)) | TRUNK, joint
        assert joint not in weights
        assert sum(weights.values()) == pytest.approx(1), joint


@EVERY
def test_a_line_of_its_own_joins_two_of_its_joints_and_repeats_no_line_of_the_body(
    row: Format,
) -> None:
    lines = [frozenset(line.split("-")) for line in row.edges.split()]
    body = {frozenset(line.split("-")) for line in BODY_EDGES.split()}
    assert len(set(lines)) == len(lines)
    assert all(line <= set(names(row)) for line in lines)
    assert not body & set(lines)


def test_lines_of_the_body_are_the_same_on_both_sides() -> None:
    lines = {frozenset(line.split("-")) for line in BODY_EDGES.split()}

    def mirrored(name: str) -> str:
        side, _, rest = name.partition("_")
        other = {"left": "right_", "right": "left_"}.get(side)
        return name if other is None else other + rest

    assert {frozenset(map(mirrored, line)) for line in lines} == lines


def test_trunks_are_the_same_on_both_sides() -> None:
    for joint, weights in SHOULDERS_AND_EARS.items():
        for name, weight in weights.items():
            if name.startswith("left_"):
                assert weights["right_" + name.removeprefix("left_")] == weight, joint


def test_a_lost_ear_is_taken_to_be_where_the_other_one_is() -> None:
    assert {STAND_INS[other] for other in STAND_INS.values()} == set(STAND_INS)
    assert all(joint in row.joints for row in TABLE.values() for joint in STAND_INS)


def test_every_point_of_the_face_has_at_most_one_mirror_and_the_middle_none() -> None:
    pairs = [tuple(map(int, pair.split(":"))) for pair in FACE_SIDES.split()]
    points = [point for pair in pairs for point in pair]
    assert len(set(points)) == len(points)
    middle = set(range(68)) - set(points)
    assert middle == {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}, "chin, nose and lips"


def test_points_of_whole_body_are_in_the_order_body_feet_face_hands() -> None:
    joints = names(TABLE["coco133"])
    assert joints[:17] == names(TABLE["coco17"])
    assert [joints[17], joints[22]] == ["left_big_toe", "right_heel"]
    assert (joints[23], joints[31], joints[39]) == ("right_face_0", "face_8", "left_face_0")
    assert joints[91] == "left_hand_0"
    assert joints[112] == "right_hand_0"
    assert joints[132] == "right_hand_20"


def test_a_number_of_keypoints_means_a_format_that_has_so_many() -> None:
    assert all(SIZES[name] == count for count, name in USUAL.items())
    assert set(USUAL) == set(SIZES.values())
