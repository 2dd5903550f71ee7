import msgspec
import numpy as np
import pytest

from langpose_rt.protocol.fusion_info import FusionInfo

INFO = FusionInfo(cameras=("left", "right", "top"), live=5, fmt="coco17")


def test_masks_name_the_cameras_by_their_bits() -> None:
    views = np.array([[0, 1, 6, 7]], np.uint32)
    expected = [[False] * 3, [True, False, False], [False, True, True], [True] * 3]
    assert INFO.cameras_in(views).tolist() == [expected]
    assert INFO.live_cameras == ("left", "top")


def test_the_last_of_32_cameras_has_a_bit() -> None:
    info = FusionInfo(cameras=tuple(map(str, range(32))), live=1 << 31, fmt="coco17")
    assert info.live_cameras == ("31",)
    assert np.flatnonzero(info.cameras_in(np.array([[1 << 31]], np.uint32))).tolist() == [31]


def test_a_negative_mask_is_refused() -> None:
    raw = msgspec.msgpack.encode({"cameras": ["a"], "live": -1, "fmt": "coco17", "wait_ns": 0})
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(raw, type=FusionInfo)
