"""The entities of a recording, read back from its file by Rerun's own reader."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langpose_rt.bridges.rerun import RerunScene
from langpose_rt.protocol.messages import PoseMessage
from tests.protocol.samples import CAPTURED_NS, pose_sample

# 170 MB, so that [test] does not hold it
rerun = pytest.importorskip("rerun", reason='pip install ".[view]"')
chunk = pytest.importorskip("rerun.chunk", reason="this Rerun reads no files")


def logged(folder: Path, messages: Iterable[PoseMessage]) -> dict[str, list[Any]]:
    """What is in the file by entity: rows as dicts of column and value."""
    recording = rerun.RecordingStream("test")
    recording.save(folder / "test.rrd")
    scene = RerunScene(recording)
    for message in messages:
        scene.log(message)
    recording.disconnect()
    rows: dict[str, list[Any]] = {}
    for part in chunk.RrdReader(folder / "test.rrd").stream().to_chunks():
        batch = part.to_record_batch()
        names = [field.name for field in batch.schema]
        columns = [
            column.cast("int64") if name in ("capture", "log_time") else column
            for name, column in zip(names, batch.columns, strict=True)
        ]
        values = zip(*(column.to_pylist() for column in columns), strict=True)
        rows.setdefault(part.entity_path, []).extend(
            dict(zip(names, v, strict=True)) for v in values
        )
    return rows


def level(joints: np.ndarray) -> np.ndarray:
    """Joints of a level camera with z up."""
    return joints[..., [2, 0, 1]] * [-1, 1, -1]


def in_camera(people: int, **changes: Any) -> PoseMessage:
    return replace(pose_sample(people), frame="camera", **changes)


def test_joints_are_absolute_and_as_large_as_their_doubt(tmp_path: Path) -> None:
    message = in_camera(2)
    assert message.root is not None
    (row,) = logged(tmp_path, [message])["/rig0/cam.left/1/joints"]
    absolute = message.poses[1, :, :3] + message.root[1]
    np.testing.assert_allclose(row["Points3D:positions"], level(absolute), rtol=1e-6)
    np.testing.assert_array_equal(row["Points3D:radii"], message.poses[1, :, 3])
    assert row["capture"] == CAPTURED_NS + 500
    assert row["sequence"] == 12
    assert row["Points3D:labels"] == ["1 held"]


def test_bones_join_parents_to_children_in_the_colours_of_their_sides(tmp_path: Path) -> None:
    (row,) = logged(tmp_path, [in_camera(1)])["/rig0/cam.left/0/bones"]
    strips, colours = np.array(row["LineStrips3D:strips"]), row["LineStrips3D:colors"]
    pose = pose_sample(1)
    assert pose.root is not None
    knee, ankle = pose.poses[0, [2, 3], :3] + pose.root[0]
    np.testing.assert_allclose(strips[2], level(np.array([knee, ankle])), rtol=1e-6)
    assert [f"{colours[bone]:08x}" for bone in (2, 5, 8)] == ["4cb8ffff", "ff8a5cff", "e9e2d0ff"]


@pytest.mark.parametrize(
    ("frame", "space", "axes"),
    [
        ("camera", "/rig0/cam.left", [3, 5, 1]),  # right, forward, up in Rerun's numbers
        ("world", "/world", [3, 5, 1]),
    ],
)
def test_axes_have_z_up_in_every_space(
    tmp_path: Path, frame: Any, space: str, axes: list[int]
) -> None:
    rows = logged(tmp_path, [replace(pose_sample(1), frame=frame)])
    assert rows[space][0]["ViewCoordinates:xyz"] == [axes]


def test_who_has_gone_is_cleared_and_figures_go_on(tmp_path: Path) -> None:
    rows = logged(tmp_path, [in_camera(2), in_camera(1, seq=13), in_camera(0, seq=14)])
    assert [row["sequence"] for row in rows["/rig0/cam.left/1"]] == [13]
    assert [row["sequence"] for row in rows["/rig0/cam.left/0"]] == [14]
    people = [row["Scalars:scalars"] for row in rows["/persons/rig0/cam.left"]]
    assert people == [[2.0], [1.0], [0.0]]
    assert rows["/latency_ms/rig0/cam.left"][0]["Scalars:scalars"] == [15e-6]


def test_a_stream_that_finds_its_world_moves_there(tmp_path: Path) -> None:
    rows = logged(tmp_path, [in_camera(1), replace(pose_sample(1), seq=13)])
    assert any("Clear:is_recursive" in row for row in rows["/rig0/cam.left"])
    assert len(rows["/world/rig0/cam.left/0/joints"]) == 1


def test_without_a_place_joints_are_relative_to_the_hip(tmp_path: Path) -> None:
    message = in_camera(1, root=None)
    (row,) = logged(tmp_path, [message])["/rig0/cam.left/0/joints"]
    np.testing.assert_allclose(row["Points3D:positions"], level(message.poses[0, :, :3]), rtol=1e-6)


def test_a_known_tilt_is_taken_out(tmp_path: Path) -> None:
    down = (0.0, 0.8, 0.6)
    message = in_camera(1, root=None, gravity=down, level_src="given")
    (row,) = logged(tmp_path, [message])["/rig0/cam.left/0/joints"]
    heights = np.array(row["Points3D:positions"])[:, 2]
    np.testing.assert_allclose(heights, -message.poses[0, :, :3] @ down, rtol=1e-5)
