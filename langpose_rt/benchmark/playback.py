"""Playback of a clip as a rig: at its own frame rate, with its own capture times."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from langpose_rt.client.address import Connection
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import LangPoseError
from langpose_rt.formats.clip import Clip
from langpose_rt.pipeline.offline import rig_camera_of_clip

_SERVER_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Playback:
    """Speed and repetitions of a playback.

    Args:
        speed: 2 plays twice as fast; capture times stay the file's own.
        loops: Times the clip is played; 0 plays until stopped.
        own_epochs: Every loop is an epoch of its own, as of a restarted rig, with the capture times
            of the file. Otherwise the times go on rising, so that people and windows continue.
    """

    speed: float = 1.0
    loops: int = 1
    own_epochs: bool = False


def publisher_of_clip(clip: Clip, server: Connection, rig: str, camera: str) -> RigPublisher:
    """Return a publisher with the camera data of the clip."""
    return RigPublisher(
        server.endpoint,
        rig,
        camera,
        skeleton=clip.skeleton.name,
        size=clip.size,
        intrinsics=rig_camera_of_clip(clip),
        person_height_m=clip.person_height_m,
        **server.keys,
    )


def wait_for_server(publisher: RigPublisher) -> None:
    """Wait for a server that this process started.

    Raises:
        LangPoseError: If it does not subscribe to keypoints.
    """
    if not publisher.wait_for_server(_SERVER_TIMEOUT_S):
        raise LangPoseError(
            f"the server did not ask for keypoints within {_SERVER_TIMEOUT_S:g} s; "
            "is something blocking loopback?"
        )


def play(
    clip: Clip,
    publisher: RigPublisher,
    playback: Playback,
    *,
    on_frame: Callable[[int], object] | None = None,
) -> int:
    """Publish a clip frame by frame, at its own frame rate.

    Args:
        clip: The clip.
        publisher: From `publisher_of_clip`, with a server subscribed to it.
        playback: Speed and loops.
        on_frame: Called with the number of frames sent; False ends the playback.

    Returns:
        Frames sent.
    """
    start_s = time.perf_counter()
    loop_ns = loop_ns_of_clip(clip)
    present = clip.present
    sent = 0
    for loop in range(playback.loops) if playback.loops else itertools.count():
        if loop and playback.own_epochs:
            publisher.restart()
        later_ns = 0 if playback.own_epochs else loop * loop_ns
        for index, t_ns in enumerate(clip.t_ns.tolist()):
            due_ns = loop * loop_ns + t_ns - int(clip.t_ns[0])
            wait_s = start_s + due_ns / playback.speed / NS_PER_S - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            here = present[index]
            publisher.publish(
                clip.keypoints[index, here],
                clip.ids[index, here],
                later_ns + t_ns,
                bones_m=None if clip.bones_m is None else clip.bones_m[here],
            )
            sent += 1
            if on_frame is not None and on_frame(sent) is False:
                return sent
    return sent


def loop_ns_of_clip(clip: Clip) -> int:
    """Return the duration of a loop; the last frame lasts as long as the one before."""
    last_step_ns = int(clip.t_ns[-1] - clip.t_ns[-2]) if len(clip.t_ns) > 1 else NS_PER_S
    return int(clip.t_ns[-1] - clip.t_ns[0]) + last_step_ns
