"""The demo of a capture volume: fused messages become poses in world axes, and real sockets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.fused_demo import sequence_of_messages
from langpose_rt.protocol.messages import PoseMessage
from tests.commands import run_apart
from tests.protocol.samples import pose_sample


def fused_message(ids: list[int], t_ms: int) -> PoseMessage:
    sample = pose_sample(len(ids))
    root = np.arange(3 * len(ids), dtype=np.float32).reshape(-1, 3)
    return replace(sample, ids=np.array(ids, np.int64), t_srv=t_ms * 1_000_000, root=root)


def test_every_id_has_a_column_that_is_used_again() -> None:
    messages = [fused_message([4], 0), fused_message([4, 7], 20), fused_message([7], 40)]
    poses = sequence_of_messages(messages)
    assert poses.frame == "world"
    assert poses.ids.tolist() == [[4, -1], [4, 7], [-1, 7]]
    assert poses.t_ns.tolist() == [0, 20_000_000, 40_000_000]
    np.testing.assert_array_equal(poses.root[1], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(poses.pose[2, 1], messages[2].poses[0, :, :3])


def test_four_cameras_go_through_real_sockets_and_become_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "fused.png"
    done = run_apart("demo", "--fuse", "--frames", 400, "--out", picture, "--json")
    assert done.code == 0, done.err
    figures = json.loads(done.out, parse_constant=pytest.fail)
    assert (figures["cameras"], figures["frames_sent"]) == (4, 400)
    assert figures["instants_fused"] > 0
    assert figures["people_with_truth"] == 2
    assert figures["median_mm"] < 150
    assert picture.read_bytes()[:4] == b"\x89PNG"
