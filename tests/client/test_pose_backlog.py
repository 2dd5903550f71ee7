"""What waits for a consumer."""

from langpose_rt.client.pose_backlog import PoseBacklog
from langpose_rt.protocol.messages import encode_pose, encode_status
from tests.protocol.samples import encoded_samples, forged, heartbeat_sample, pose_sample

HEARTBEAT = encode_status(heartbeat_sample())


def pose(camera: str, seq: int) -> list[bytes]:
    return encode_pose(forged(pose_sample(1), camera=camera, seq=seq))


def taken(backlog: PoseBacklog) -> list[tuple[str, int]]:
    messages = iter(backlog.take, None)
    return [(message.camera, message.seq) for message in messages]


def test_poses_come_out_in_order() -> None:
    backlog = PoseBacklog(latest=False, most=10)
    backlog.put([pose("a", 0), pose("b", 0)], 0.0)
    backlog.put([pose("a", 1)], 0.1)
    assert taken(backlog) == [("a", 0), ("b", 0), ("a", 1)]
    assert backlog.skipped == 0


def test_the_newest_of_every_camera_is_kept() -> None:
    backlog = PoseBacklog(latest=True, most=10)
    backlog.put([pose("a", 0), pose("b", 0), HEARTBEAT, pose("a", 1)], 0.0)
    backlog.put([pose("a", 2)], 0.1)
    assert taken(backlog) == [("a", 2), ("b", 0)]
    assert backlog.skipped == 2


def test_memory_is_bounded_and_the_oldest_go() -> None:
    backlog = PoseBacklog(latest=False, most=3)
    for seq in range(5):
        backlog.put([pose("a", seq)], 0.0)
    assert taken(backlog) == [("a", 2), ("a", 3), ("a", 4)]
    assert backlog.skipped == 2


def test_heartbeats_are_noted_apart() -> None:
    backlog = PoseBacklog(latest=False, most=3)
    assert backlog.heartbeat is None
    assert backlog.heartbeat_s == float("-inf")
    backlog.put([HEARTBEAT], 12.5)
    assert backlog.heartbeat == heartbeat_sample()
    assert backlog.heartbeat_s == 12.5
    assert backlog.take() is None


def test_what_cannot_be_read_is_counted_and_costs_nothing_else() -> None:
    backlog = PoseBacklog(latest=False, most=10)
    wrong = encoded_samples()["kp2d"]
    backlog.put([wrong, [b"hb/studio/", b"?"], [b""], pose("a", 3)], 0.0)
    assert taken(backlog) == [("a", 3)]
    assert backlog.rejected == 3
    assert backlog.heartbeat is None
