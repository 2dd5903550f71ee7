"""The demo clip as model input: what the parity of every product is measured on."""

from langpose_rt.engine.parity import ParityClip, parity_clip
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import to_h36m17


def demo_parity_clip() -> ParityClip:
    """The bundled real clip, ready for a backend.

    Raises:
        ConfigError: If the installed package lacks it.
    """
    clip = read_clip(DEMO_CLIP)
    intrinsics = clip.intrinsics or Intrinsics.from_fov(*clip.size, assumed=True)
    joints = to_h36m17(clip.keypoints[:, 0], clip.skeleton)
    return parity_clip(DEMO_CLIP.stem, joints, intrinsics, clip.t_ns)
