"""Picture of the demo: one frame of the clip, its poses and the results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from langpose_rt.formats.clip import DEMO_CLIP, Clip
from langpose_rt.protocol.messages import PoseMessage
from langpose_rt.visualization.picture import draw_scene, save_picture
from langpose_rt.visualization.scene import Person, Scene

SHOWN_FRAME = 48
"""Frame of the clip that is drawn; its video frame ships beside the clip."""

SHOWN_TRACK = 45
"""Number of earlier frames in the trail."""

_CLIP_NOTES = (
    "clip: Pose2Sim balancing trial, cam01, OpenPose detections (BSD 3-Clause)",
    "truth: triangulated from the other three cameras, 20 to 30 mm uncertain",
)


def save_demo_picture(
    path: Path, clip: Clip, messages: Sequence[PoseMessage], figures: Mapping[str, Any]
) -> None:
    """Draw SHOWN_FRAME, from the last loop that has it, and save the picture.

    Args:
        path: Picture file.
        clip: Clip that was played.
        messages: Pose messages of the server; at least one has a person.
        figures: Results of the run, by the names `demo` prints.

    Raises:
        ConfigError: If the file cannot be written.
    """
    message = shown_message(messages)
    scene = Scene(
        people=(_person(message, messages, clip),),
        size_px=clip.size,
        skeleton=clip.skeleton,
        gravity_camera=clip.gravity,
        backdrop=_video_frame() if message.src.seq == SHOWN_FRAME else None,
        title="langpose-rt: live keypoints in, 3D poses out",
        facts=_facts(figures),
        notes=(f"model {figures['model']}", *_CLIP_NOTES),
    )
    save_picture(path, draw_scene(scene))


def shown_message(messages: Sequence[PoseMessage]) -> PoseMessage:
    """Return the last message of SHOWN_FRAME, or else the last message with a person."""
    with_person = [message for message in messages if len(message.ids)]
    shown = [message for message in with_person if message.src.seq == SHOWN_FRAME]
    return (shown or with_person)[-1]


def _person(message: PoseMessage, messages: Sequence[PoseMessage], clip: Clip) -> Person:
    seq = message.src.seq
    track = [
        earlier.poses[0, :, :3] + earlier.root[0]
        for earlier in messages
        if earlier.src.epoch == message.src.epoch
        and 0 < seq - earlier.src.seq <= SHOWN_TRACK
        and earlier.root is not None
        and len(earlier.ids)
    ]
    return Person(
        pose_camera=message.poses[0, :, :3],
        root_camera=None if message.root is None else message.root[0],
        sigma_m=message.poses[0, :, 3],
        keypoints_px=clip.keypoints[seq, 0],
        truth_camera=None if clip.pose3d is None else clip.pose3d[seq],
        past_camera=np.stack(track) if track else None,
    )


def _facts(figures: Mapping[str, Any]) -> dict[str, str]:
    p50_ms, p99_ms = (figures[f"server_added_latency_{name}_ms"] for name in ("p50", "p99"))
    return {
        "poses a second": f"{figures['poses_per_second']:.1f}",
        "server adds, p50 / p99": f"{p50_ms:.1f} / {p99_ms:.1f} ms",
        "mean error after alignment": f"{figures['p_mpjpe_mm']:.0f} mm",
        "the same, never moving": f"{figures['constant_p_mpjpe_mm']:.0f} mm",
    }


def _video_frame() -> np.ndarray | None:
    """Return the camera's image of SHOWN_FRAME."""
    name = f"{DEMO_CLIP.stem}_{SHOWN_FRAME:04}.jpg"
    return cv2.imread(str(DEMO_CLIP.with_name(name)))
