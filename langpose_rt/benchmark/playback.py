"""Playing a clip as a rig would: at its true rate, with its own capture times."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from langpose_rt.client.address import Connection
from langpose_rt.client.subscriber import RigPublisher
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import LangPoseError
from langpose_rt.formats.clip import Clip
from langpose_rt.pipeline.offline import rig_camera_of_clip

_OWN_SERVER_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Playback:
    """How a clip is played.

    Args:
        speed: 2 plays twice as fast; capture times stay the file's own.
        loops: Times the clip is played; 0 plays until stopped.
    """

    speed: float = 1.0
    loops: int = 1


def publisher_of_clip(clip: Clip, server: Connection, rig: str, camera: str) -> RigPublisher:
    """A publisher that says of its camera what the clip knows."""
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
    """Wait for a server of our own, which is there.

    Raises:
        LangPoseError: If it does not ask for keypoints.
    """
    if not publisher.wait_for_server(_OWN_SERVER_S):
        raise LangPoseError(
            f"the server did not ask for keypoints within {_OWN_SERVER_S:g} s; "
            "is something blocking loopback?"
        )


def play(
    clip: Clip,
    publisher: RigPublisher,
    playback: Playback,
    *,
    on_frame: Callable[[int], object] | None = None,
) -> int:
    """Publish a clip frame by frame, in its own time.

    Every loop is a new epoch: the same capture times come again, which no running stream may do.

    Args:
        clip: What is played.
        publisher: From `publisher_of_clip`, already wanted by a server.
        playback: Speed and loops.
        on_frame: Called with the number of frames sent; False ends it.

    Returns:
        Frames sent.
    """
    start_s = time.perf_counter()
    loop_ns = loop_ns_of_clip(clip)
    present = clip.present
    sent = 0
    for loop in range(playback.loops) if playback.loops else itertools.count():
        if loop:
            publisher.restart()
        for index, t_ns in enumerate(clip.t_ns.tolist()):
            due_ns = loop * loop_ns + t_ns - int(clip.t_ns[0])
            wait_s = start_s + due_ns / playback.speed / NS_PER_S - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            here = present[index]
            publisher.publish(clip.keypoints[index, here], clip.ids[index, here], t_ns)
            sent += 1
            if on_frame is not None and on_frame(sent) is False:
                return sent
    return sent


def loop_ns_of_clip(clip: Clip) -> int:
    """From the first frame to when it comes again; the last one lasts as long as that before."""
    last_step_ns = int(clip.t_ns[-1] - clip.t_ns[-2]) if len(clip.t_ns) > 1 else NS_PER_S
    return int(clip.t_ns[-1] - clip.t_ns[0]) + last_step_ns
