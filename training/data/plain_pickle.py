"""Safe reader of pickles that hold only numbers, text and containers.

Public data sets are often pickles, or npz files with a pickle inside. Unpickling can run code, so
only the types such a file needs are allowed.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from langpose_rt.errors import ConfigError

_ALLOWED = {
    ("builtins", "dict"), ("builtins", "list"), ("builtins", "tuple"), ("builtins", "set"),
    ("collections", "OrderedDict"), ("collections", "defaultdict"), ("_codecs", "encode"),
    ("numpy", "ndarray"), ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"),
}  # fmt: skip


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not data")
        return super().find_class(module, name)


def read_pickle(path: Path, expected: str) -> Any:
    """Read the content of a pickle file.

    Args:
        path: Path of the file.
        expected: Expected content, for the error.

    Raises:
        ConfigError: If it is missing, damaged, or holds other types.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises many exception types
        raise _wrong(path, error, expected) from error


def read_npz_object(path: Path, key: str, expected: str) -> Any:
    """Read the Python object stored under a key of an npz file (``np.savez(path, key=object)``).

    Raises:
        ConfigError: As `read_pickle`, or if there is no such key.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            stored = io.BytesIO(archive.read(f"{key}.npy"))
        version = np.lib.format.read_magic(stored)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(stored)
        if dtype != np.dtype(object):
            raise TypeError(f"{key!r} holds {dtype}, not objects")
        array = _PlainUnpickler(stored, encoding="latin1").load()
    except Exception as error:  # as above
        raise _wrong(path, error, expected) from error
    return array.reshape(shape).item() if shape == () else array


def _wrong(path: Path, error: Exception, expected: str) -> ConfigError:
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ConfigError(f"cannot read {path}: {why}; expected {expected}")
