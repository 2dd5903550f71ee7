"""Writer for poses as CSV (pandas, spreadsheets): one row per frame and person.

    stream, person, t_ns, time_s    time_s counts from the first frame of the recording
    frame                           axes: "level" (z up; who faces the camera faces x), "camera" (x
                                    right, y down, z forward) or "world", of a calibration
    Hip_x, Hip_y, Hip_z, Hip_sigma  metres, and so on for the 17 joints

Nothing is resampled. Where gravity is known the axes are level, elsewhere those of the poses as
published; `convert --axes recorded` writes the latter. A time without a person has no row.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.formats.track import Track
from langpose_rt.geometry.skeleton import JOINTS

COLUMNS = ["stream", "person", "t_ns", "time_s", "frame"] + [
    f"{joint}_{what}" for joint in JOINTS for what in ("x", "y", "z", "sigma")
]


def tracks_to_csv(path: Path, tracks: Sequence[Track], *, origin_ns: int | None = None) -> None:
    """Write all tracks, in the order of time.

    Args:
        path: The file.
        tracks: At least one.
        origin_ns: Time that counts as 0; None is that of the first pose in the file.

    Raises:
        ConfigError: If the file cannot be written.
    """
    if origin_ns is None:
        origin_ns = min(int(track.t_ns[0]) for track in tracks)
    rows = [row for track in tracks for row in _rows(track, origin_ns)]
    rows.sort(key=lambda row: row[:3][::-1])
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _rows(track: Track, first_ns: int) -> list[list[str | int]]:
    values = np.concatenate([track.joints, track.sigma_m[..., None]], -1).reshape(
        len(track.t_ns), -1
    )
    return [
        [track.stream, track.person, t_ns, f"{(t_ns - first_ns) / NS_PER_S:.6f}", track.frame]
        + [f"{value:.5f}" for value in frame]
        for t_ns, frame in zip(track.t_ns.tolist(), values.tolist(), strict=True)
    ]
