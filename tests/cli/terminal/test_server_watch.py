"""Statistics of a server, from tables of messages and arrival times."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from langpose_rt.cli.terminal.server_watch import ServerWatch
from langpose_rt.protocol.messages import Drops, Latency, encode_pose, encode_status
from tests.protocol.samples import event_sample, fused_sample, heartbeat_sample, pose_sample


def test_a_row_has_rate_latency_states_losses_and_the_clock() -> None:
    watch, sample = ServerWatch(), pose_sample()
    for frame in range(11):
        lat = Latency(rx=1_000_000, lift=frame * 1_000_000)
        told = replace(sample, t_srv=frame * 20_000_000, lat=lat, drop=Drops(shed=2, failed=1))
        watch.note(encode_pose(told), 0.02 * frame)
    (row,) = watch.report(0.3)["streams"]
    assert row["fps"] == pytest.approx(50.0)
    assert row["p50_ms"] == pytest.approx(6.0)
    assert row["p99_ms"] == pytest.approx(10.9)
    assert row["dropped"] == {"shed": 22, "failed": 11}
    assert row["states"] == {"ok": 1, "held": 1}
    assert row["clock_uncertainty_ms"] == 0.002


def test_a_server_is_there_as_long_as_its_heart_beats_and_a_stream_ten_seconds() -> None:
    watch = ServerWatch()
    watch.note(encode_pose(pose_sample()), 0.0)
    watch.note(encode_status(heartbeat_sample()), 1.0)
    assert watch.report(3.9)["server"]["state"] == "ready"
    assert watch.report(4.1)["server"] is None
    assert len(watch.report(9.9)["streams"]) == 1
    assert watch.report(10.1)["streams"] == []


def test_events_are_newest_first_and_counted_together() -> None:
    watch, reject = ServerWatch(), event_sample()
    for at_s, reason in ((1.0, "bad_shape"), (2.0, "bad_ids"), (3.0, "bad_shape")):
        watch.note(encode_status(msgspec.structs.replace(reject, reason=reason)), at_s)
    told = [(e["reason"], e["count"], e["ago_s"]) for e in watch.report(10.0)["events"]]
    assert told == [("bad_shape", 120, 7.0), ("bad_ids", 60, 8.0)]


def test_only_the_newest_few_events_are_told() -> None:
    watch, reject = ServerWatch(), event_sample()
    for number in range(100):
        event = msgspec.structs.replace(reject, reason=f"reason_{number}")
        watch.note(encode_status(event), float(number))
    told = [event["reason"] for event in watch.report(100.0)["events"]]
    assert told == [f"reason_{number}" for number in (99, 98, 97, 96, 95)]
    assert len(watch._events) == 32


@pytest.mark.parametrize(
    "parts", [[b"pose3d/a/b/", b"\xc1"], [b"hb/x/", b""], [b"event/", b"\x80"], [b"new/x/"]]
)
def test_what_cannot_be_read_is_passed_over(parts: list[bytes]) -> None:
    watch = ServerWatch()
    watch.note(parts, 0.0)
    assert watch.report(0.0) == {"server": None, "streams": [], "volumes": [], "events": []}


def test_a_volume_is_a_row_of_its_own_with_its_cameras() -> None:
    watch, sample = ServerWatch(), fused_sample()
    for frame in range(3):
        message = replace(sample, seq=frame, t_srv=frame * 20_000_000)
        watch.note(encode_pose(message), 0.0)
    report = watch.report(0.1)
    assert report["streams"] == []
    (row,) = report["volumes"]
    assert (row["volume"], row["people"], row["states"]) == ("studio", 2, {"ok": 1, "held": 1})
    assert row["fps"] == pytest.approx(50)
    assert row["wait_p50_ms"] == 9.0
    left, right, top = row["cameras"]
    assert (left["camera"], left["live"], top["live"]) == ("rig0/left", 1.0, 0.0)
    assert sample.views is not None
    assert sample.residual_px is not None
    both = float(np.median(sample.residual_px[sample.views == 3]))
    assert left["residual_px"] == right["residual_px"] == pytest.approx(both)
    assert top["residual_px"] is None
    assert watch.report(10.1)["volumes"] == []


def test_another_calibration_begins_the_cameras_of_a_volume_again() -> None:
    watch, sample = ServerWatch(), fused_sample()
    watch.note(encode_pose(sample), 0.0)
    assert sample.fused is not None
    fewer = msgspec.structs.replace(sample.fused, cameras=("rig0/left", "rig0/right"), live=2)
    watch.note(encode_pose(replace(sample, fused=fewer)), 0.0)
    (row,) = watch.report(0.1)["volumes"]
    assert [(c["camera"], c["live"]) for c in row["cameras"]] == [
        ("rig0/left", 0.0),
        ("rig0/right", 1.0),
    ]
