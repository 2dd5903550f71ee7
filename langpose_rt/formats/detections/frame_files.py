"""Files of a folder that are the frames of one camera, by the frame number in their names."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from langpose_rt.errors import ConfigError

_DIGITS = re.compile(r"\d+")
_MAX_SPAN_FRAMES = 10_000_000


def files_by_frame(
    folder: Path, is_frame: Callable[[Path], bool]
) -> tuple[dict[int, Path], list[Path]]:
    """Return the frames of a folder by number, and the files that are none.

    The files that most are named like, digits apart, are the frames. Where their names hold several
    numbers, that of the frame is the one that differs from file to file: `cam1_0004_1080p.json` is
    frame 4. Files whose names begin with a dot are passed over: macOS leaves them behind.

    Args:
        folder: Where the files are.
        is_frame: Whether a file that is named otherwise is a frame nevertheless.

    Raises:
        ConfigError: If there are none, or those of several cameras.
    """
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.json")):
        if not path.name.startswith("."):
            groups.setdefault(_DIGITS.sub("#", path.stem), []).append(path)
    if not groups:
        raise ConfigError(f"{folder} has no .json files; expected one a frame, or give an npz file")
    numbered = {shape: paths for shape, paths in groups.items() if "#" in shape}
    if not numbered:
        path = next(iter(groups.values()))[0]
        raise ConfigError(f"{path}: found no frame number in the name; expected frame_0001.json")
    frames = max(numbered.values(), key=len)
    strays = [path for paths in groups.values() if paths is not frames for path in paths]
    by_number = _by_number(folder, frames)
    for path in strays:
        if is_frame(path):
            raise ConfigError(_two_cameras(folder, by_number, path))
    return by_number, strays


def _by_number(folder: Path, paths: Sequence[Path]) -> dict[int, Path]:
    column = _frame_column(paths)
    numbered: dict[int, Path] = {}
    for path in paths:
        number = int(_DIGITS.findall(path.stem)[column])
        if number in numbered:
            raise ConfigError(_same_frame(folder, numbered[number], path))
        numbered[number] = path
    span = max(numbered) - min(numbered)
    if span > _MAX_SPAN_FRAMES:
        raise ConfigError(
            f"{folder}: frame numbers span {span}; expected at most {_MAX_SPAN_FRAMES}"
        )
    return dict(sorted(numbered.items()))


def _frame_column(paths: Sequence[Path]) -> int:
    """Return which of the numbers in a name is the frame's, counted from the left."""
    columns = list(zip(*(_DIGITS.findall(path.stem) for path in paths), strict=True))
    differing = [place for place, numbers in enumerate(columns) if len(set(numbers)) > 1]
    before, found, _ = paths[0].stem.partition("_keypoints")
    named = len(_DIGITS.findall(before)) - 1 if found else -1
    if named >= 0 and (named in differing or not differing):
        return named
    return differing[-1] if differing else len(columns) - 1


def _two_cameras(folder: Path, by_number: dict[int, Path], stray: Path) -> str:
    digits = _DIGITS.findall(stray.stem)
    same = by_number.get(int(digits[-1])) if digits else None
    if same is not None:
        return _same_frame(folder, same, stray)
    frame = next(iter(by_number.values()))
    return (
        f"{folder}: {frame.name} and {stray.name} are named differently; "
        "give the folder of one camera"
    )


def _same_frame(folder: Path, one: Path, other: Path) -> str:
    both = " and ".join(sorted((one.name, other.name)))
    return f"{folder}: {both} are the same frame; give the folder of one camera"
