"""Checked reading of arrays from untrusted npz files.

The meaning of the arrays is in `clip_npz.py` and `lifted_npz.py`. Nothing is unpickled.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from zipfile import ZipInfo

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.lib.npyio import NpzFile

from langpose_rt.errors import ConfigError
from langpose_rt.formats.bounded_file import check_regular

MAX_ARRAY_BYTES = 1 << 30
"""An array of a clip is smaller: an hour of four people with 136 keypoints takes 700 MB."""


class Archive:
    """An npz file open for reading; a context manager.

    Shapes are written as in the documentation: "F,17,3" is any number of frames, 17 and 3.

    Raises:
        ConfigError: If the file cannot be read or is no npz file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_regular(path)
        try:
            self._file = path.open("rb")
            self._arrays = self._open()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None

    def _open(self) -> NpzFile:
        try:
            loaded = np.load(self._file, allow_pickle=False)
        except Exception:  # noqa: BLE001 - zipfile, zlib and numpy raise many types on damage
            self._file.close()
            raise ConfigError(
                f"{self.path} is damaged or no npz file; write it with numpy.savez"
            ) from None
        if not isinstance(loaded, NpzFile):
            self._file.close()
            raise ConfigError(
                f"{self.path} is a single array; expected named arrays in an npz file"
            )
        return loaded

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._arrays.close()
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._arrays.files

    def wrong(self, found: str, expected: str) -> ConfigError:
        """Return the error that names the file, what was found and what was expected."""
        return ConfigError(f"{self.path}: found {found}; expected {expected}")

    def numbers(self, key: str, *shapes: str) -> Float[np.ndarray, "..."]:
        """Return numbers of one of those shapes, as float64; they may be NaN or infinite.

        Raises:
            ConfigError: If the key is missing, or no numbers, or of another shape.
        """
        array = self._array(key, shapes)
        if array.dtype.kind not in "fiu":
            raise self.wrong(f'"{key}" of type {array.dtype}', "numbers")
        with np.errstate(over="ignore"):
            return array.astype(np.float64)

    def number(self, key: str) -> float:
        """Return one finite number.

        Raises:
            ConfigError: If the key is missing, or is something else.
        """
        value = float(self.numbers(key, "", "1").reshape(()))
        if not np.isfinite(value):
            raise self.wrong(f'"{key}" is {value}', "a finite number")
        return value

    def direction(self, key: str) -> Float[np.ndarray, "3"]:
        """Return a direction at length 1, stored at about that length.

        Raises:
            ConfigError: If the key is missing, or is something else.
        """
        vector = self.numbers(key, "3")
        length = float(np.linalg.norm(vector))
        if not 0.5 < length < 20:
            raise self.wrong(f'"{key}" of length {length:g}', "a direction of length 1")
        return vector / length

    def integers(self, key: str, *shapes: str) -> Int[np.ndarray, "..."]:
        """Return integers, or floats without a fraction, of one of those shapes, as int64.

        Raises:
            ConfigError: If the key is missing, or no integers, or of another shape.
        """
        array = self._array(key, shapes)
        if array.dtype.kind == "f":
            return self._whole(key, array)
        if array.dtype.kind not in "iu" or np.any(array > np.iinfo(np.int64).max):
            raise self.wrong(f'"{key}" of type {array.dtype}', "integers of at most 64 bits")
        return array.astype(np.int64)

    def _check_size(self, key: str) -> None:
        """Refuse an array that unpacks to more than memory should hold, before it is unpacked."""
        names = (key, f"{key}.npy")
        sizes = [item.file_size for item in _entries(self._arrays) if item.filename in names]
        if sum(sizes) > MAX_ARRAY_BYTES:
            raise ConfigError(f'{self.path}: found "{key}" of {_limit_named(sum(sizes))}')

    def _whole(self, key: str, array: np.ndarray) -> Int[np.ndarray, "..."]:
        with np.errstate(over="ignore"):  # of a wider float; infinity is no whole number
            numbers = array.astype(np.float64)
        whole = np.isfinite(numbers) & (numbers == np.rint(numbers)) & (abs(numbers) < 2.0**63)
        if not whole.all():
            raise self.wrong(f'"{key}" with fractions', "whole numbers")
        return numbers.astype(np.int64)

    def flags(self, key: str, *shapes: str) -> Bool[np.ndarray, "..."]:
        """Return booleans, stored as true and false or 1 and 0, of one of those shapes.

        Raises:
            ConfigError: If the key is missing, or is something else.
        """
        array = self._array(key, shapes)
        if array.dtype.kind not in "biu" or not np.isin(array, (0, 1)).all():
            raise self.wrong(f'"{key}" of type {array.dtype}', "true and false")
        return array.astype(bool)

    def text(self, key: str) -> str:
        """Return one string.

        Raises:
            ConfigError: If the key is missing, or is something else.
        """
        array = self._array(key, ("", "1"))
        if array.dtype.kind not in "US":
            raise self.wrong(f'"{key}" of type {array.dtype}', "text")
        word = array.reshape(()).item()
        return word.decode("ascii", "replace") if isinstance(word, bytes) else str(word)

    def words(self, key: str) -> tuple[str, ...]:
        """Return a list of strings.

        Raises:
            ConfigError: If the key is missing, or is something else.
        """
        array = self._array(key, ("N",))
        if array.dtype.kind != "U":
            raise self.wrong(f'"{key}" of type {array.dtype}', "text")
        return tuple(array.tolist())

    def _array(self, key: str, shapes: tuple[str, ...]) -> np.ndarray:
        if key not in self:
            raise self.wrong(f'no "{key}"', f'"{key}" of shape {_shapes_named(shapes)}')
        self._check_size(key)
        try:
            array = np.asarray(self._arrays[key])
        except Exception:  # noqa: BLE001 - any damage of the archive
            raise ConfigError(f'{self.path} is damaged: "{key}" cannot be read') from None
        if not any(_matches(array.shape, shape) for shape in shapes):
            raise self.wrong(f'"{key}" of shape {array.shape}', f"shape {_shapes_named(shapes)}")
        return array


def _entries(arrays: NpzFile) -> list[ZipInfo]:
    return [] if arrays.zip is None else arrays.zip.infolist()


def _limit_named(found: int) -> str:
    return f"{found >> 20} MB unpacked; expected at most {MAX_ARRAY_BYTES >> 20} MB"


def arrays_to_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays, compressed; an existing file is replaced atomically.

    Raises:
        ConfigError: If the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _matches(shape: tuple[int, ...], wanted: str) -> bool:
    sizes = wanted.split(",") if wanted else []
    return len(sizes) == len(shape) and all(
        not size.isdigit() or int(size) == found for size, found in zip(sizes, shape, strict=True)
    )


def _shapes_named(shapes: tuple[str, ...]) -> str:
    return " or ".join(f"({shape})" for shape in shapes)
