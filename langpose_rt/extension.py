"""The optional C++ extension: used only if it was built from the sources beside the package.

In a checkout the sources may have changed since it was built; its functions would then be missing,
or worse, take other arguments. setup.py runs this file for `sources_digest`: standard library only.
"""

import hashlib
import importlib
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "cpp_ext"
"""Where the sources are in a checkout; an installed package has none."""

NOT_BUILT = "the C++ extension was not built"
OTHER_SOURCES = "the C++ extension was built from other sources"


def sources_digest(folder: Path) -> str:
    """Return a digest of all C++ sources of a folder."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.*pp"), *folder.glob("*.cuh")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def why_no_extension() -> str:
    """Return why the extension cannot be used, or an empty string where it can."""
    try:
        found = importlib.import_module("langpose_rt._native")
    except ImportError:
        return NOT_BUILT
    if SOURCES.is_dir() and getattr(found, "SOURCES", "") != sources_digest(SOURCES):
        return OTHER_SOURCES
    return ""
