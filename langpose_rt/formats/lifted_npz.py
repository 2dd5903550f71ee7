"""Reader and writer of lifted poses as npz files.

    pose     (F,P,17,3)  joints relative to the root: metres
    root     (F,P,3)     root position: metres
    sigma_m  (F,P,17)    standard deviation that the model predicts for each joint, metres
    ids      (F,P)       person id of every column, -1 for no person
    t_ns     (F)         capture time of every frame
    gravity  (3)         unit vector that points down, camera axes; only where it is known
    level_src            what gravity rests on, as in pose messages; with gravity only
    frame    text        axes of pose and root: "camera", or "world" of a capture volume
    names, named_ids     (N) names of people and their ids, where a tracker gave texts

A missing person is NaN. Files without `frame` are in camera axes. What fusion knows beyond that is
in `fused_npz.py`, keypoint clips are in another file: `clip_npz.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NUM_JOINTS
from langpose_rt.formats.archive import Archive, arrays_to_npz
from langpose_rt.formats.track import Track
from langpose_rt.geometry.level_axes import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseSequence:
    """The poses of a clip; names and units are those of the file."""

    pose: Float[np.ndarray, "frame person 17 3"]
    root: Float[np.ndarray, "frame person 3"]
    sigma_m: Float[np.ndarray, "frame person 17"]
    ids: Int[np.ndarray, "frame person"]
    t_ns: Int[np.ndarray, " frame"]
    gravity: Vector | None = None
    level_src: str = "none"
    frame: str = "camera"
    names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, t_ns: Int[np.ndarray, " frame"], persons: int) -> "PoseSequence":
        """Return a sequence without persons, to be filled in place."""
        shape = (len(t_ns), persons)
        return cls(
            pose=np.full((*shape, NUM_JOINTS, 3), np.nan, np.float32),
            root=np.full((*shape, 3), np.nan, np.float32),
            sigma_m=np.full((*shape, NUM_JOINTS), np.nan, np.float32),
            ids=np.full(shape, -1, np.int64),
            t_ns=t_ns.copy(),
        )


PosesT = TypeVar("PosesT", bound=PoseSequence)


def poses_of_people(poses: PosesT, people: Collection[int]) -> PosesT:
    """Return the poses of these people; everybody else is missing, and no column is empty."""
    kept = np.isin(poses.ids, list(people))
    values = {one.name: getattr(poses, one.name) for one in fields(poses)}
    of_everybody = {
        name: value
        for name, value in values.items()
        if isinstance(value, np.ndarray) and value.shape[:2] == kept.shape
    }
    chosen: dict[str, Any] = {
        name: _where(kept, value)[:, kept.any(0)] for name, value in of_everybody.items()
    }
    names = {person: name for person, name in poses.names.items() if person in people}
    return replace(poses, **chosen, names=names)


def _where(kept: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return an array with the value of no person where none is kept."""
    nobody = {"f": np.nan, "i": -1}.get(array.dtype.kind, 0)
    places = kept.reshape(kept.shape + (1,) * (array.ndim - 2))
    return np.where(places, array, array.dtype.type(nobody))


def lifted_to_npz(path: str | Path, lifted: PoseSequence) -> None:
    """Write the poses of a clip.

    Raises:
        ConfigError: If the file cannot be written.
    """
    arrays_to_npz(Path(path), arrays_of_lifted(lifted))


def arrays_of_lifted(lifted: PoseSequence) -> dict[str, np.ndarray]:
    """Return the arrays of the file, by name."""
    names = ("pose", "root", "sigma_m", "ids", "t_ns", "frame")
    arrays = {name: np.asarray(getattr(lifted, name)) for name in names}
    if lifted.gravity is not None:
        arrays |= {"gravity": np.array(lifted.gravity), "level_src": np.array(lifted.level_src)}
    if lifted.names:
        arrays |= {"named_ids": np.array(list(lifted.names)), "names": _texts(lifted.names)}
    return arrays


def _texts(names: Mapping[int, str]) -> np.ndarray:
    return np.array(list(names.values()), np.str_)


def lifted_from_npz(path: str | Path) -> PoseSequence:
    """Read the poses of a clip.

    Raises:
        ConfigError: If the file is damaged, or no file of poses.
    """
    with Archive(Path(path)) as archive:
        pose = archive.numbers("pose", "F,P,17,3")
        shape = f"{pose.shape[0]},{pose.shape[1]}"
        frame = archive.text("frame") if "frame" in archive else "camera"
        if frame not in ("camera", "world"):
            raise archive.wrong(f'"frame" is "{frame}"', '"camera" or "world"')
        return PoseSequence(
            pose=pose.astype(np.float32),
            root=archive.numbers("root", f"{shape},3").astype(np.float32),
            sigma_m=archive.numbers("sigma_m", f"{shape},17").astype(np.float32),
            ids=archive.integers("ids", shape),
            t_ns=archive.integers("t_ns", str(pose.shape[0])),
            gravity=_gravity(archive),
            level_src=archive.text("level_src") if "level_src" in archive else "none",
            frame=frame,
            names=_names(archive),
        )


def _names(archive: Archive) -> dict[int, str]:
    if "names" not in archive:
        return {}
    ids = archive.integers("named_ids", "N").tolist()
    return dict(zip(ids, archive.words("names"), strict=False))


def _gravity(archive: Archive) -> Vector | None:
    if "gravity" not in archive:
        return None
    x, y, z = archive.direction("gravity").tolist()
    return x, y, z


def tracks_from_lifted(lifted: PoseSequence, stream: str) -> list[Track]:
    """Return one track per person id."""
    tracks = []
    for person in sorted(set(lifted.ids[lifted.ids >= 0].tolist())):
        frames, columns = np.nonzero(lifted.ids == person)
        frames, first = np.unique(frames, return_index=True)
        columns = columns[first]
        tracks.append(
            Track(
                stream=stream,
                person=person,
                t_ns=lifted.t_ns[frames],
                joints=lifted.pose[frames, columns] + lifted.root[frames, columns, None],
                sigma_m=lifted.sigma_m[frames, columns],
                gravity=lifted.gravity,
                level_src=lifted.level_src,
                frame=lifted.frame,
                name=lifted.names.get(person, ""),
            )
        )
    return tracks


def lifted_from_tracks(tracks: Sequence[Track]) -> PoseSequence:
    """Return the tracks of one stream as a sequence, one column per person; the root is the hip."""
    t_ns = np.unique(np.concatenate([track.t_ns for track in tracks]))
    first = tracks[0]
    lifted = replace(
        PoseSequence.empty(t_ns, len(tracks)),
        gravity=first.gravity,
        level_src=first.level_src,
        frame=first.frame,
        names={track.person: track.name for track in tracks if track.name},
    )
    for column, track in enumerate(tracks):
        frames = np.searchsorted(t_ns, track.t_ns)
        lifted.root[frames, column] = track.joints[:, 0]
        lifted.pose[frames, column] = track.joints - track.joints[:, :1]
        lifted.sigma_m[frames, column] = track.sigma_m
        lifted.ids[frames, column] = track.person
    return lifted


def columns_of_ids(ids: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the column of every person in every frame: the lowest free one, for all its frames."""
    last_seen = {person: index for index, own in enumerate(ids) for person in own.tolist()}
    taken: dict[int, int] = {}
    columns = []
    for index, own in enumerate(ids):
        taken = {person: column for person, column in taken.items() if last_seen[person] >= index}
        for person in own.tolist():
            if person not in taken:
                used = set(taken.values())
                taken[person] = next(c for c in range(len(used) + 1) if c not in used)
        columns.append(np.array([taken[person] for person in own.tolist()], np.int64))
    return columns
