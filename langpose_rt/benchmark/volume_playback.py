"""Playback of the clips of several cameras at once, as one rig with as many streams."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from langpose_rt.benchmark.playback import Playback, play, publisher_of_clip, wait_for_server
from langpose_rt.client.address import Connection
from langpose_rt.formats.clip import Clip


def there_and_back(clip: Clip, frames: int, start_ns: int) -> Clip:
    """Return a clip played forwards and backwards in turn, so that nobody jumps.

    Args:
        clip: At least two frames.
        frames: How many to play.
        start_ns: Capture time of the first one.
    """
    count = len(clip.t_ns)
    order = count - 1 - np.abs(np.arange(frames) % (2 * count - 2) - (count - 1))
    period_ns = (int(clip.t_ns[-1]) - int(clip.t_ns[0])) / (count - 1)
    return replace(
        clip,
        keypoints=clip.keypoints[order],
        ids=clip.ids[order],
        t_ns=start_ns + np.rint(np.arange(frames) * period_ns).astype(np.int64),
        pose3d=None if clip.pose3d is None else clip.pose3d[order],
        valid=None if clip.valid is None else clip.valid[order],
        valid_joints=None if clip.valid_joints is None else clip.valid_joints[order],
    )


def play_together(
    clips: Mapping[str, Clip],
    server: Connection,
    rig: str,
    *,
    on_frame: Callable[[int], object] | None = None,
) -> int:
    """Publish one clip a camera at once, each at its own frame rate, from its first time on.

    Args:
        clips: By camera name.
        server: Where to.
        rig: Name of the rig.
        on_frame: Called with the number of frames sent of the first camera.

    Returns:
        Frames sent of all cameras.

    Raises:
        LangPoseError: If the server does not subscribe to keypoints.
    """
    with ExitStack() as stack:
        publishers = {
            name: stack.enter_context(publisher_of_clip(clip, server, rig, name))
            for name, clip in clips.items()
        }
        for publisher in publishers.values():
            wait_for_server(publisher)
        first = next(iter(clips))
        time.sleep(max(int(clips[first].t_ns[0]) - time.time_ns(), 0) / 1e9)
        threads = [
            threading.Thread(target=play, args=(clips[name], publishers[name], Playback()))
            for name in clips
            if name != first
        ]
        for thread in threads:
            thread.start()
        play(clips[first], publishers[first], Playback(), on_frame=on_frame)
        for thread in threads:
            thread.join()
    return sum(len(clip.t_ns) for clip in clips.values())
