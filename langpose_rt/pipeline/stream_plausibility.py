"""Plausibility checks of a live stream: capture clock, image size and keypoint format.

The checks are those of clips (`formats/plausibility.py`), run over recent frames. One object per
stream; it reads no clock.
"""

import numpy as np
from jaxtyping import Float32

from langpose_rt.errors import MessageError
from langpose_rt.formats.plausibility import (
    Finding,
    clock_finding,
    format_finding,
    fractions_finding,
    guess_finding,
    image_finding,
)
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.messages import KeypointMessage

FEWEST_STEPS = 3
"""Steps of a clock in another unit until it is refused."""

SAMPLED_FRAMES = 100
"""Frames over which keypoints are checked against image size and format."""

_JUDGED_EVERY = 50
_LONGEST_STEP_NS = 2_000_000
_SLOWER_BY = 200
_LEAST_ELAPSED_NS = 1_000_000


class StreamPlausibility:
    """Recent frames of one stream and the findings of their checks."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._begin(0, 0)
        self._sample: list[Float32[np.ndarray, "joint 3"]] = []
        self._sampled_as: tuple[str, tuple[int, int]] | None = None
        self._rejected_for: Finding | None = None
        self._odd: list[Finding] = []
        self._reported: set[str] = set()

    def check(self, message: KeypointMessage, now_ns: int) -> None:
        """Check one message and remember it for the next.

        Args:
            message: The decoded message, before it is queued.
            now_ns: Receive time, on the server's clock.

        Raises:
            MessageError: bad_clock, fractions, wrong_size or other_format, if its numbers are
                impossible.
        """
        found = self._clock(message.epoch, message.t_ns, now_ns)
        if found is None:
            found = fractions_finding(message.keypoints, message.wh)
        if found is None:
            found = self._image_and_format(
                message.keypoints, message.skeleton, message.wh, guessed=message.format_guessed
            )
        if found is not None and found.impossible:
            self._note(found)
            raise MessageError(found.reason, found.detail)

    def new_findings(self) -> list[Finding]:
        """Return the findings since the last call; every reason comes once per stream."""
        found, self._odd = self._odd, []
        return found

    def _note(self, found: Finding) -> None:
        if found.reason not in self._reported:
            self._reported.add(found.reason)
            self._odd.append(found)

    def _begin(self, t_ns: int, now_ns: int) -> None:
        self._t_ns, self._now_ns = t_ns, now_ns
        self._short: list[int] = []

    def _clock(self, epoch: int, t_ns: int, now_ns: int) -> Finding | None:
        """Check the steps of the capture clock against those of the receive clock."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._begin(t_ns, now_ns)
            return None
        step_ns, elapsed_ns = t_ns - self._t_ns, now_ns - self._now_ns
        self._t_ns, self._now_ns = t_ns, now_ns
        if step_ns > 0 and elapsed_ns >= _LEAST_ELAPSED_NS:
            short = step_ns < _LONGEST_STEP_NS and step_ns * _SLOWER_BY < elapsed_ns
            self._short = [*self._short[-FEWEST_STEPS:], t_ns] if short else []
        if len(self._short) < FEWEST_STEPS:
            return None
        found = clock_finding(np.array(self._short, np.int64))
        if found is not None and found.impossible:
            return found
        detail = f"frames are {step_ns} ns apart, but arrive {elapsed_ns} ns apart"
        return Finding("bad_clock", f"{detail}; expected nanoseconds", impossible=True)

    def _image_and_format(
        self,
        people: Float32[np.ndarray, "person joint 3"],
        skeleton: str,
        wh: tuple[int, int],
        *,
        guessed: bool,
    ) -> Finding | None:
        if not len(people):
            return self._rejected_for
        known_as = (skeleton, wh)
        if known_as != self._sampled_as:
            self._sampled_as, self._sample, self._rejected_for = known_as, [], None
        if guessed:
            self._note(guess_finding(SKELETONS[skeleton], "send the fmt"))
        best = int(people[..., 2].sum(-1).argmax())
        self._sample.append(people[best])
        if len(self._sample) % _JUDGED_EVERY == 0:
            self._rejected_for = self._judge(skeleton, wh, guessed=guessed)
        if len(self._sample) >= SAMPLED_FRAMES:
            self._sample = []
        return self._rejected_for

    def _judge(self, skeleton: str, wh: tuple[int, int], *, guessed: bool) -> Finding | None:
        keypoints = np.stack(self._sample)[:, None].astype(np.float64)
        found = image_finding(keypoints, wh)
        if found is None:
            found = format_finding(keypoints, SKELETONS[skeleton])
            if found is not None and not guessed:
                found = Finding(found.reason, found.detail, impossible=False)
        if found is None or found.impossible:
            return found
        self._note(found)
        return None
