"""Keypoints as a page reads them."""

import json

from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.messages import encode_keypoints
from langpose_rt.server.viewer.keypoint_feed import KeypointEvents, formats_as_json
from tests.protocol.samples import keypoint_sample


def test_people_are_whole_pixels_of_the_picture_as_received_and_scores_percent() -> None:
    (message,) = KeypointEvents(dict).of_messages([encode_keypoints(keypoint_sample())])
    assert (message["wh"], message["seq"]) == ((1920, 1080), 7)
    first, second = message["people"]
    assert second[:6] == [100, 200, 75, 100, 208, 75]
    assert first[27:30] == [0, 0, 0], "a missing joint"
    assert all(isinstance(number, int) for number in first)


def test_json_without_a_size_takes_that_of_the_server() -> None:
    people = {"keypoints": [[[10.0 + k, 20.0, 0.5] for k in range(17)]]}
    parts = [b"kp2d/rig0/cam0/", json.dumps(people).encode()]
    assert KeypointEvents(dict).of_messages([parts]) == [], "it cannot be decoded"
    (message,) = KeypointEvents(lambda: {"": (640, 480)}).of_messages([parts])
    assert (message["wh"], message["people"][0][:3]) == ((640, 480), [10, 20, 50])


def test_a_frame_without_people_is_an_empty_picture() -> None:
    (message,) = KeypointEvents(dict).of_messages([encode_keypoints(keypoint_sample(0))])
    assert message["people"] == []


def test_every_format_has_edges_and_the_side_of_every_keypoint() -> None:
    formats = formats_as_json()
    assert set(formats) == set(SKELETONS)
    for name, found in formats.items():
        joints = SKELETONS[name].joints
        assert len(found["sides"]) == len(joints)
        assert found["sides"].count("L") == found["sides"].count("R") > 0
        assert all(a < len(joints) and b < len(joints) for a, b in found["edges"])
    coco = SKELETONS["coco17"].joints
    assert formats["coco17"]["sides"][coco.index("left_knee")] == "L"
    assert formats["coco17"]["sides"][coco.index("nose")] == ""
