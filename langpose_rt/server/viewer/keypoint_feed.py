"""Keypoint feed: the newest 2D people of every stream as JSON events, for pages that ask.

Keypoints are as received, in pixels of the rig's picture, with the distortion of its lens. They are
decoded in the thread of each page, and not kept at all without one.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from langpose_rt.errors import MessageError
from langpose_rt.geometry.skeleton import SKELETONS, Skeleton
from langpose_rt.protocol.messages import JsonNumbering, KeypointMessage, decode_keypoints

ImageSizes = Callable[[], Mapping[str, tuple[int, int]]]
"""Returns image sizes by camera, for JSON without `wh`."""


class KeypointEvents:
    """Keypoints as one page hears them.

    Args:
        sizes: Image sizes of the server.
    """

    def __init__(self, sizes: ImageSizes) -> None:
        self._sizes, self._numbering = sizes, JsonNumbering(0)

    def of_messages(self, messages: Sequence[Sequence[bytes]]) -> list[dict[str, Any]]:
        """Return the people of every message; one that cannot be decoded any more is left out."""
        found, sizes = [], self._sizes()
        for parts in messages:
            with suppress(MessageError):
                message = decode_keypoints(parts, now_ns=0, numbering=self._numbering, sizes=sizes)
                found.append(_people_as_json(message))
        return found


def formats_as_json() -> dict[str, Any]:
    """Return edges of every keypoint format, and the side of every keypoint: "L", "R" or ""."""
    return {
        name: {"edges": skeleton.edges, "sides": _sides(skeleton)}
        for name, skeleton in SKELETONS.items()
    }


def _sides(skeleton: Skeleton) -> list[str]:
    sides = [""] * len(skeleton.joints)
    for left, right in skeleton.pairs:
        sides[left], sides[right] = "L", "R"
    return sides


def _people_as_json(message: KeypointMessage) -> dict[str, Any]:
    """Return a message as the page reads it: whole pixels, and scores in percent."""
    people = message.keypoints.astype(np.float64)
    people[..., 2] *= 100
    flat = people.reshape(len(people), 3 * people.shape[1])
    return {
        "name": f"{message.rig}/{message.camera}",
        "seq": message.seq,
        "format": message.skeleton,
        "wh": message.wh,
        "people": np.rint(flat).astype(np.int64).tolist(),
    }
