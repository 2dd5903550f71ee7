"""Plausibility checks of a clip before it is lifted: impossible values are refused, odd ones noted.

The checks themselves are in `plausibility.py`; a live stream goes through the same ones.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.plausibility.cameras import gravity_finding, lens_finding, size_finding
from langpose_rt.formats.plausibility.clocks import clock_finding
from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.formats.plausibility.images import (
    image_finding,
    posture_finding,
    thousandths_finding,
)
from langpose_rt.formats.plausibility.keypoint_formats import format_finding, guess_finding
from langpose_rt.formats.plausibility.people import bones_finding, scores_finding, truth_finding
from langpose_rt.geometry.camera import ASSUMED_FOV_DEG
from langpose_rt.geometry.skeleton import to_h36m17


def checked_clip(clip: Clip, source: str) -> Clip:
    """Check a clip and return it with notes about odd values.

    The intrinsics of the returned clip are scaled to its image size.

    Args:
        clip: The clip as it was read.
        source: Name of the clip in error messages.

    Raises:
        ConfigError: If clock, keypoints, format or lens are impossible.
    """
    people = clip.keypoints[clip.present]
    joints = to_h36m17(people, clip.skeleton)
    findings = [
        clock_finding(clip.t_ns),
        image_finding(clip.keypoints, clip.size),
        posture_finding(joints),
    ]
    if clip.gravity is not None and findings[-1] is None:
        findings.append(gravity_finding(np.asarray(clip.gravity, np.float64), joints))
    findings.append(thousandths_finding(people, joints, clip.size))
    findings.append(scores_finding(float(people[..., 2].max(initial=0))))
    of_format = format_finding(people, clip.skeleton, joints)
    if of_format is not None and not clip.format_guessed:
        of_format = replace(of_format, impossible=False)  # a format that was named is kept
    findings.append(of_format)
    if clip.bones_m is not None:
        findings.append(bones_finding(clip.bones_m))
    if clip.intrinsics is not None:
        lens = clip.intrinsics
        calibrated = (round(lens.width_px), round(lens.height_px))
        findings += [lens_finding(lens), size_finding(calibrated, clip.size)]
    notes = _notes(findings, source)
    if clip.format_guessed:
        notes.append(guess_finding(clip.skeleton, "say --format").detail)
    intrinsics = clip.intrinsics and clip.intrinsics.resized(*clip.size)
    return replace(clip, intrinsics=intrinsics, notes=(*clip.notes, *notes))


def check_truth(clip: Clip, source: str) -> None:
    """Refuse 3D ground truth that is not finite, not a person or not in metres.

    Raises:
        ConfigError: If the ground truth is impossible.
    """
    if clip.pose3d is not None:
        _notes([truth_finding(clip.pose3d, clip.counted)], source)


def assumed_lens_note(clip: Clip, fov_deg: float | None) -> str | None:
    """Return the note about assumed intrinsics; None if the clip or the field of view has them.

    Args:
        clip: The clip.
        fov_deg: Field of view for clips without intrinsics; None if it is not known.
    """
    if clip.intrinsics is not None or fov_deg is not None:
        return None
    return (
        f"the lens is assumed to see {ASSUMED_FOV_DEG:g} degrees, so distances are guesses; "
        "say it with --cameras or --fov-deg"
    )


def _notes(findings: Iterable[Finding | None], source: str) -> list[str]:
    notes = []
    for finding in findings:
        if finding is not None and finding.impossible:
            raise ConfigError(f"{source}: {finding.detail}")
        if finding is not None:
            notes.append(finding.detail)
    return notes
