"""People of one frame, whichever program found them; the messages are in tests/protocol."""

import json

import msgspec
import numpy as np
import pytest

from langpose_rt.errors import MessageError
from langpose_rt.formats.detections.detected_people import (
    MAX_ID,
    Instance,
    NamedId,
    OpenPosePerson,
    check_people_named,
    names_of_ids,
    people_from_instances,
    people_from_openpose,
    people_with_scores,
    person_id,
)

FLAT = [float(number) for number in range(1, 7)]
READ_PEOPLE = msgspec.json.Decoder(list[OpenPosePerson])
READ_INSTANCES = msgspec.json.Decoder(list[Instance])


def test_openpose_people_are_numbers_and_ids() -> None:
    raw = [{"pose_keypoints_2d": FLAT, "person_id": [4]}, {}, {"pose_keypoints": FLAT}]
    people, ids = people_from_openpose(READ_PEOPLE.decode(json.dumps(raw)))
    assert people.tolist() == [[[1, 2, 3], [4, 5, 6]]] * 2
    assert ids == [4, -1]


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3), (None, -1), ([], -1), ([[2.0]], 2), (True, -1)]
)
def test_an_id_is_a_number_alone_or_in_lists(value: object, number: int) -> None:
    assert person_id(value) == number


def test_a_text_is_a_name_with_the_same_number_everywhere() -> None:
    alice, bob = person_id("alice"), person_id(["bob"])
    assert isinstance(alice, NamedId)
    assert (alice.name, alice) == ("alice", person_id(" alice "))
    assert alice != bob
    assert names_of_ids([alice, 3, bob, -1]) == {int(alice): "alice", int(bob): "bob"}
    assert (person_id("12"), person_id("-1"), person_id("  ")) == (12, -1, -1)
    assert 0 <= person_id("9" * 400) <= MAX_ID


def test_scores_of_instances_are_beside_their_keypoints() -> None:
    raw = [{"keypoints": [[1, 2], [3, 4]], "scores": [0.5, 0.25]}]
    people, _ = people_from_instances(READ_INSTANCES.decode(json.dumps(raw)))
    assert people.tolist() == [[[1, 2, 0.5], [3, 4, 0.25]]]


def test_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MessageError, match="they do not fit together"):
        people_with_scores([[[1, 2], [3, 4]]], [[0.5]])


def test_people_without_a_known_key_are_refused_unless_they_are_empty() -> None:
    raw = b'{"people": [{"joints": [1]}, {}]}'
    people = [OpenPosePerson(), OpenPosePerson()]
    with pytest.raises(MessageError, match="got people with joints; expected pose_keypoints_2d"):
        check_people_named(people, raw)
    check_people_named(people, b'{"people": [{}, {"person_id": [-1]}]}')
    check_people_named([*people, OpenPosePerson(pose_keypoints_2d=[])], raw)


def test_nobody_has_no_joints() -> None:
    assert people_with_scores([], None).shape == (0, 0, 3)
    assert np.isfinite(people_with_scores([], None)).all()
