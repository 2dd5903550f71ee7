"""Plausibility checks of a live stream: capture clock, image size and keypoint format.

The checks are those of clips (`formats/plausibility/`), run over recent frames. One object per
stream; it reads no clock. A stream is checked closely from its first frame on, so that the event
about an odd one comes with its first poses; one that has proved plausible is sampled.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32

from langpose_rt.errors import MessageError
from langpose_rt.formats.plausibility.cameras import gravity_finding, lens_finding, place_finding
from langpose_rt.formats.plausibility.clocks import (
    MIN_INTERVAL_NS,
    clock_finding,
    clock_speed_finding,
)
from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.formats.plausibility.images import (
    CORNER_SHARE,
    fractions_finding,
    image_finding,
    posture_finding,
    thousandths_finding,
)
from langpose_rt.formats.plausibility.keypoint_formats import format_finding, guess_finding
from langpose_rt.formats.plausibility.people import bones_finding, scores_finding
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import SKELETONS, to_h36m17
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.capture_clock import STEP_NS
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.messages import KeypointMessage

FEWEST_STEPS = 3
"""Steps of a clock in another unit until it is refused; poses are less than 10 mm off by then."""

SETTLED_FRAMES = 64
"""Frames after which a plausible stream is sampled instead of checked closely."""

SAMPLED_EVERY = 8
"""Frames of a settled stream for each one that is checked."""

_KEPT = 32
_JUDGED_AT = frozenset((1, 2, 3, 5, 8, 16, 32, 64))
_JUDGED_EVERY = 256
_TURN = 19 * SAMPLED_EVERY
"""Frames between the judgements of one stream and the next: odd, so that 32 streams take turns."""
_GUESSED_FRAMES = 5
_SMALL_FRAMES = 5
_SLOWER_BY = 20
_NEAR_NS, _BURST_NS = 86_400_000_000_000, 1_000_000_000
_LEAST_ELAPSED_NS = 1_000_000
_SPEED_FRAMES, _SPEED_NS = 8, 100_000_000
_SPEED_FRAMES_MOST = 256
_EMPTY_FRAMES = 10
_LARGEST_FRACTION = 1.5


class StreamPlausibility:
    """Recent frames of one stream and the findings of their checks.

    Args:
        number: Of the stream: those that begin together are judged one after the other.
        gravity_of: Returns the gravity that a message is lifted with, camera axes; NaN if unknown.
            By default, what the message says.
    """

    def __init__(
        self,
        number: int = 0,
        gravity_of: Callable[[KeypointMessage], Float[np.ndarray, "3"]] | None = None,
    ) -> None:
        self._gravity_of = gravity_of or CameraLookup({}).gravity_of
        self._down: Float[np.ndarray, "3"] | None = None
        self._turn = number * _TURN % _JUDGED_EVERY
        self._epoch: int | None = None
        self._was_replayed = False
        self._cam: RigCamera | None = None
        self._known_as: tuple[int, str, tuple[int, int], bool] = (-1, "", (0, 0), False)
        self._odd: list[Finding] = []
        self._reported: set[str] = set()
        self._begin(0, 0)
        self._begin_sample()

    def check(self, message: KeypointMessage, now_ns: int) -> None:
        """Check one message and remember it for the next.

        Args:
            message: The decoded message, before it is queued.
            now_ns: Receive time, on the server's clock.

        Raises:
            MessageError: bad_clock, fractions, wrong_size or other_format, if its numbers are
                impossible.
        """
        replayed = message.via is not None and message.via.replayed
        found = self._clock(message.epoch, message.t_ns, now_ns, replayed=replayed)
        known_as = (message.epoch, message.skeleton, message.wh, message.format_guessed)
        if known_as != self._known_as:
            self._known_as = known_as
            self._begin_sample()
        if message.cam is not self._cam or self._down is None:
            self._cam, self._down = message.cam, self._gravity_of(message)
            self._lens(message)
            self._place(message)
        if message.bones_m is not None and "odd_bones" not in self._reported:
            odd = bones_finding(message.bones_m)
            if odd is not None:
                self._note(odd)
        if message.largest_score > 1 and "large_scores" not in self._reported:
            loud = scores_finding(message.largest_score)
            if loud is not None:
                self._note(loud)
        if message.format_guessed and len(message.keypoints) and not self._seen:
            self._note(guess_finding(SKELETONS[message.skeleton], "send the fmt"))
        if found is None and len(message.keypoints):
            found = self._keypoints(message.keypoints, message.clipped)
        if found is not None and found.impossible:
            self._note(found)
            raise MessageError(found.reason, found.detail)

    def look_up_camera(self) -> None:
        """Ask for the gravity again with the next message: another calibration is used."""
        self._down = None

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
        self._origin_ns = t_ns, now_ns
        self._first_ns, self._steps, self._was_odd = (t_ns, now_ns), 0, False
        self._short: list[int] = []

    def _begin_sample(self) -> None:
        self._sample: deque[Float32[np.ndarray, "joint 3"]] = deque(maxlen=_KEPT)
        self._reach = np.zeros(2, np.float32)
        self._seen = self._unseen = 0
        self._rejected_for: Finding | None = None

    def _clock(self, epoch: int, t_ns: int, now_ns: int, *, replayed: bool) -> Finding | None:
        """Check the steps of the capture clock against those of the receive clock.

        Frames that a front replays are old and come all at once: the check begins after them.
        """
        begins = epoch != self._epoch or replayed or self._was_replayed
        self._epoch, self._was_replayed = epoch, replayed
        if begins:
            self._begin(t_ns, now_ns)
            return None
        step_ns, elapsed_ns = t_ns - self._t_ns, now_ns - self._now_ns
        self._t_ns, self._now_ns = t_ns, now_ns
        if step_ns > 0 and elapsed_ns >= _LEAST_ELAPSED_NS:
            short = step_ns < MIN_INTERVAL_NS and step_ns * _SLOWER_BY < elapsed_ns
            self._short = [*self._short[-FEWEST_STEPS:], t_ns] if short else []
        if len(self._short) < FEWEST_STEPS or self._caught_up(t_ns, now_ns):
            self._speed(t_ns, now_ns, stepped=step_ns - elapsed_ns > STEP_NS)
            return None
        found = clock_finding(np.array(self._short, np.int64))
        if found is not None and found.impossible:
            return found
        detail = f"frames are {step_ns} ns apart, but arrive {elapsed_ns} ns apart"
        return Finding("bad_clock", f"{detail}; expected nanoseconds", impossible=True)

    def _caught_up(self, t_ns: int, now_ns: int) -> bool:
        """Return True if the clock runs well but for short steps: a rig sends what it is behind.

        A rig may begin with that: then a clock that is right to the day, as none in another unit
        is, has a second.
        """
        captured_ns, received_ns = t_ns - self._origin_ns[0], now_ns - self._origin_ns[1]
        allowed_ns = _BURST_NS if abs(t_ns - now_ns) < _NEAR_NS else 0
        return captured_ns * _SLOWER_BY >= received_ns - allowed_ns

    def _speed(self, t_ns: int, now_ns: int, *, stepped: bool) -> None:
        """Note a capture clock that runs at another speed.

        A step of it begins the count anew, and so does a burst. Eight frames may have met a machine
        that stood still: the next eight must say the same.
        """
        self._steps += 1
        if stepped or t_ns < self._origin_ns[0]:
            self._origin_ns = t_ns, now_ns
        captured_ns, received_ns = t_ns - self._first_ns[0], now_ns - self._first_ns[1]
        begins = captured_ns <= 0 or stepped or len(self._short) > 0
        if begins or self._steps >= _SPEED_FRAMES_MOST:
            self._first_ns, self._steps = (t_ns, now_ns), 0
        elif self._steps in (_SPEED_FRAMES, _SPEED_FRAMES_MOST - 1) and received_ns >= _SPEED_NS:
            found = clock_speed_finding(captured_ns, received_ns)
            sure = self._was_odd or self._steps > _SPEED_FRAMES
            self._was_odd = found is not None
            if found is not None and sure:
                self._note(found)
            elif found is not None:
                self._first_ns, self._steps = (t_ns, now_ns), 0

    def _lens(self, message: KeypointMessage) -> None:
        """Note a lens that is not likely to be of this image."""
        if message.cam is None or message.cam.k is None:
            return
        fx, fy, cx, cy = message.cam.k
        width, height = message.wh
        lens = Intrinsics(
            fx_px=fx,
            fy_px=fy,
            cx_px=cx,
            cy_px=cy,
            width_px=width,
            height_px=height,
            dist=message.cam.dist,
        )
        found = lens_finding(lens)
        if found is not None:
            self._note(Finding(found.reason, found.detail, impossible=False))

    def _place(self, message: KeypointMessage) -> None:
        """Note a place in the world that is in another unit, or the inverse of one."""
        if message.cam is None or message.cam.T_wc is None:
            return
        found = place_finding(message.cam.T_wc, message.cam.gravity)
        if found is not None:
            self._note(found)

    def _keypoints(
        self, people: Float32[np.ndarray, "person joint 3"], clipped: int
    ) -> Finding | None:
        size = self._known_as[2]
        scores = people[..., 2]
        if not scores.any():
            self._unusable(len(people), clipped)
            return self._rejected_for
        if people.max() <= _LARGEST_FRACTION:
            found = fractions_finding(people, size)
            if found is not None:
                return found
        self._seen += 1
        settled = self._seen > SETTLED_FRAMES and self._rejected_for is None
        every = SAMPLED_EVERY if settled else 1
        if self._seen % every == 0:
            best = people[int(scores.sum(-1).argmax())] if len(people) > 1 else people[0]
            self._sample.append(best)
            self._reach = np.maximum(self._reach, people[..., :2].max((0, 1)))
            beyond = settled and (best[:, :2].max(0) > size).any()
            if self._seen in _JUDGED_AT or self._seen % _JUDGED_EVERY == self._turn or beyond:
                self._rejected_for = self._judge()
        return self._rejected_for

    def _unusable(self, count: int, clipped: int) -> None:
        """Note people without a usable keypoint: impossible ones at once, missing ones if many."""
        self._unseen += 1
        people = f"{count} people without a usable keypoint"
        if clipped:
            width, height = self._known_as[2]
            size = f"{width} x {height}"
            detail = f"{people}: infinite, or over 10 images away; expected pixels of {size}"
            self._note(Finding("far_out", f"{detail}, or fractions as unit norm", impossible=False))
        elif self._unseen == _EMPTY_FRAMES and not self._seen:
            detail = f"{people}, {_EMPTY_FRAMES} times; expected scores above 0"
            self._note(Finding("no_keypoints", detail, impossible=False))

    def _is_small(self) -> bool:
        """Return whether nobody was ever seen far from the corner that the sampled people are in.

        That takes a few frames: others may come.
        """
        corner = CORNER_SHARE * np.array(self._known_as[2])
        return self._seen >= _SMALL_FRAMES and bool((self._reach < corner).all())

    def _judge(self) -> Finding | None:
        keypoints = np.stack(self._sample).astype(np.float64)
        _, name, size, guessed = self._known_as
        skeleton = SKELETONS[name]
        found = image_finding(keypoints[:, None], size)
        if found is not None and found.impossible:
            return found
        if found is not None and found.reason == "small_size" and not self._is_small():
            found = None
        joints = to_h36m17(keypoints, skeleton)
        of_format = format_finding(keypoints, skeleton, joints, _GUESSED_FRAMES if guessed else 1)
        if of_format is not None and guessed:
            return of_format
        if of_format is not None:
            self._note(Finding(of_format.reason, of_format.detail, impossible=False))
        posture = posture_finding(joints)
        if posture is None and self._down is not None and np.isfinite(self._down).all():
            posture = gravity_finding(self._down, joints)
        for odd in (found, posture, thousandths_finding(keypoints, joints, size)):
            if odd is not None:
                self._note(odd)
        return None
