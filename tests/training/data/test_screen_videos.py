"""Published data sets become screen videos: units, roots, and one data set at a time."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from tests.training.data import test_h36m_motionbert as motionbert
from tests.training.data import test_h36m_videopose3d as videopose3d
from tests.training.data import test_mpi_inf_3dhp as mpi
from training.data.screen_videos import read_screen_videos


def named(**paths: Path) -> Namespace:
    nothing = dict.fromkeys(("h36m_motionbert", "h36m_3d", "h36m_2d", "mpi_inf_3dhp"))
    return Namespace(**(nothing | paths))


def test_motionberts_answers_are_pixels_made_mm_by_its_factor(tmp_path: Path) -> None:
    stored = motionbert.content()
    path = motionbert.written(tmp_path, stored)
    convention, videos = read_screen_videos(named(h36m_motionbert=path), "test")
    assert convention == "h36m-motionbert"
    assert [video.action for video in videos] == ["Directions", "Directions", "WalkTogether"]
    first = videos[0]
    np.testing.assert_allclose(
        first.target * first.mm_per_unit[:, None, None], first.truth_mm, rtol=1e-4, atol=1e-4
    )
    assert (first.truth_mm[:, 0] == 0).all()
    x = stored["test"]["joint_2d"][:5, :, 0] / 500 - 1
    np.testing.assert_allclose(first.rows[..., 0], x, atol=1e-6)
    np.testing.assert_array_equal(first.rows[..., 2], stored["test"]["confidence"][:5, :, 0])


def test_the_three_corrupt_recordings_are_left_out(tmp_path: Path) -> None:
    stored = motionbert.content()
    sources = stored["test"]["source"]
    stored["test"]["source"] = [
        name.replace("act_02_subact_01", "act_05_subact_02") for name in sources
    ]
    _, videos = read_screen_videos(
        named(h36m_motionbert=motionbert.written(tmp_path, stored)), "test"
    )
    assert [video.name for video in videos] == ["s_11_act_16_subact_02_ca_01"]


def test_videopose3ds_answers_are_metres_and_numbers_of_takes_are_no_actions(
    tmp_path: Path,
) -> None:
    views = videopose3d.projected(videopose3d.world_m(), "S9")
    path_3d, path_2d = videopose3d.written(tmp_path, views, videopose3d.GT)
    with np.load(path_3d, allow_pickle=True) as file:
        takes = file["positions_3d"].item()
    takes["S11"] = takes["S9"]
    np.savez(path_3d, positions_3d=np.array(takes, object))
    both = {subject: {"Photo 1": views} for subject in ("S9", "S11")}
    np.savez(
        path_2d, positions_2d=np.array(both, object), metadata=np.array(videopose3d.GT, object)
    )
    convention, videos = read_screen_videos(named(h36m_3d=path_3d, h36m_2d=path_2d), "test")
    assert convention == "h36m-videopose3d"
    assert (len(videos), videos[0].action) == (8, "Photo")
    np.testing.assert_allclose(videos[0].target * 1000, videos[0].truth_mm)
    assert (videos[0].target[:, 0] == 0).all()


def test_3dhps_answers_are_1024_mm_and_frames_that_do_not_count_stay_marked(tmp_path: Path) -> None:
    joints = mpi.joints(6, 0) | {"valid": np.array([0, 1, 1, 0, 1, 1])}
    path = mpi.written(tmp_path, {"TS5": joints})
    convention, videos = read_screen_videos(named(mpi_inf_3dhp=path), "test")
    assert convention == "mpi-inf-3dhp"
    assert videos[0].valid.sum() == 4
    np.testing.assert_allclose(videos[0].target * 1024, videos[0].truth_mm, rtol=1e-6)
    assert videos[0].rows[..., 0].min() >= -1


def test_none_two_or_half_a_data_set_are_refused(tmp_path: Path) -> None:
    here = tmp_path / "x"
    for paths, expected in (
        ({}, "name one data set"),
        ({"h36m_motionbert": here, "mpi_inf_3dhp": here}, "do not mix"),
        ({"h36m_2d": here}, "two files"),
    ):
        with pytest.raises(ConfigError, match=expected):
            read_screen_videos(named(**paths), "test")
