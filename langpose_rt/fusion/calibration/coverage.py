"""Coverage: what cameras have seen of a walker, and what of it is too little to calibrate with."""

from collections.abc import Mapping

import numpy as np

from langpose_rt.formats.clip import Clip

LEAST_FRAMES = 60
"""A camera that saw somebody in fewer frames knows too little."""

LEAST_SHARE = 0.1
"""Of the frames with somebody, this share should be in each third of the picture."""

_THIRDS = ("left side", "middle", "right side")


def gaps_in_view(clips: Mapping[str, Clip]) -> list[str]:
    """Return one sentence for everything that a camera has seen too little of.

    Args:
        clips: What each camera has seen so far, by name.
    """
    sentences = []
    for name, clip in clips.items():
        middle = _middles(clip)
        if not len(middle):
            sentences.append(f"camera {name} has seen nobody")
        elif len(middle) < LEAST_FRAMES:
            sentences.append(f"camera {name} has seen somebody in {len(middle)} frames only")
        else:
            third = np.clip((3 * middle).astype(int), 0, 2)
            share = np.bincount(third, minlength=3) / len(third)
            poor = [word for word, own in zip(_THIRDS, share, strict=True) if own < LEAST_SHARE]
            if poor:
                sentences.append(
                    f"camera {name} has seen too little of the {' and the '.join(poor)}"
                )
    return sentences


def _middles(clip: Clip) -> np.ndarray:
    """Return where the first person of every frame is, as a share of the image's width."""
    present = clip.present
    frames = np.flatnonzero(present.any(1))
    people = clip.keypoints[frames, present[frames].argmax(1)]
    seen = people[..., 2] > 0
    sums = np.where(seen, people[..., 0], 0.0).sum(1)
    return np.asarray(sums / np.maximum(seen.sum(1), 1) / clip.size[0])
