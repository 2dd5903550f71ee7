import numpy as np
import pytest

from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.geometry.skeleton import SKELETONS


def test_the_17_joints_are_taken_out_of_all() -> None:
    layout = JointLayout.of_skeleton(SKELETONS["body25b"])
    count = len(layout.names)
    joints = np.random.default_rng(0).normal(size=(2, count, 3))
    frame = FusedFrame(
        t_ns=0,
        layout=layout,
        ids=np.arange(2),
        joints=joints,
        covariance_m2=np.tile(0.04 * np.eye(3), (2, count, 1, 1)),
        views=np.zeros((2, count), np.uint32),
        residual_px=np.zeros((2, count)),
        measured=joints,
        velocity=np.zeros((2, count, 3)),
        lengths_m=np.ones((2, 16)),
        cameras=np.ones((2, 3), bool),
        held_ns=np.zeros(2, np.int64),
        awake=np.ones(3, bool),
    )
    np.testing.assert_array_equal(frame.joints17[:, 2], joints[:, layout.h36m[2]])
    assert frame.sigma17_m == pytest.approx(0.2)
