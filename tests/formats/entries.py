"""Entries of a recording, for tests."""

import random

from langpose_rt.formats.recording import Entry

FACTS = {"version": "1", "pipeline": "{}"}


def entries(count: int, size: int = 40) -> list[Entry]:
    return [
        Entry(
            ("received", "published", "journal")[n % 3],  # type: ignore[arg-type]
            f"kp2d/rig{n % 4}/cam0/",
            [b"topic", random.Random(n).randbytes(size), b""],
            1_000 + n,
            500 + n,
        )
        for n in range(count)
    ]
