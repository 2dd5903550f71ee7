"""Windows of published videos: in order, stretched where short, mirrored in half of the clips."""

import numpy as np
import pytest

from langpose_rt.geometry.skeleton import JOINTS
from tests.training.evaluation.test_protocols import video
from training.synthesis.screen_batches import batch_from_videos

VIDEOS = [video(40, 0), video(5, 1)]


def test_the_same_numbers_give_the_same_batch_and_others_another() -> None:
    one, same, other = (batch_from_videos(VIDEOS, 4, 8, 0, number) for number in (3, 3, 4))
    np.testing.assert_array_equal(one.rows, same.rows)
    assert not np.array_equal(one.rows, other.rows)
    assert one.time_ns[0].tolist() == [index * 20_000_000 for index in range(8)]


def test_rows_and_answers_stay_together_and_half_of_them_are_mirrored() -> None:
    """In these videos a row is its answer, so one look tells whether a clip was mirrored."""
    batch = batch_from_videos(VIDEOS[:1], 200, 8, 0, 0)
    np.testing.assert_array_equal(batch.rows, batch.pose)
    known = {frame.tobytes() for frame in VIDEOS[0].rows}
    plain = np.array([clip[0].tobytes() in known for clip in batch.rows])
    assert plain.mean() == pytest.approx(0.5, abs=0.1)
    left, right = JOINTS.index("LWrist"), JOINTS.index("RWrist")
    clip = batch.rows[~plain][0]
    again = clip.copy()
    again[:, [left, right]] = clip[:, [right, left]] * [-1, 1, 1]
    wrists = {frame[[left, right]].tobytes() for frame in VIDEOS[0].rows}
    assert all(frame[[left, right]].tobytes() in wrists for frame in again)


def test_a_short_video_is_stretched_over_the_clip() -> None:
    batch = batch_from_videos(VIDEOS[1:], 3, 8, 0, 0)
    assert batch.rows.shape == (3, 8, 17, 3)
    assert len(np.unique(batch.rows[0, :, 3, 1])) == 5
