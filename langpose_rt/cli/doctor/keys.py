"""Whether a folder of keys is in order: by names and permissions; no key is ever opened."""

import os
from pathlib import Path

from langpose_rt.cli.doctor.check import Check

SERVER_SECRET, PUBLIC, SECRET = "server.key_secret", ".key", ".key_secret"
_OTHERS = 0o077


def check_keys(folder: Path) -> list[Check]:
    """The server's own secret key, whom the public keys let in, and who else can read secrets.

    Args:
        folder: As given to ``langpose-rt serve --keys``.
    """
    make = f"langpose-rt keys new server --dir {folder}"
    if not folder.is_dir():
        found = f"there is no folder {folder}"
        return [Check(name="keys", verdict="fail", found=found, advice=make)]
    files = sorted(folder.iterdir())
    if SERVER_SECRET not in (file.name for file in files):
        found = f"{folder} holds no secret key of the server"
        return [Check(name="keys", verdict="fail", found=found, advice=make)]
    secrets = [file for file in files if file.name.endswith(SECRET)]
    if open_ones := [file for file in secrets if os.name == "posix" and _is_open(file)]:
        found = f"other users can read {', '.join(file.name for file in open_ones)}"
        advice = f"chmod 600 {' '.join(map(str, open_ones))}"
        return [Check(name="keys", verdict="fail", found=found, advice=advice)]
    names = [file.name.removesuffix(PUBLIC) for file in files if file.name.endswith(PUBLIC)]
    let_in = ", ".join(name for name in names if name != "server")
    if not let_in:
        found, advice = "nobody can come in", "langpose-rt keys new NAME, and put NAME.key there"
        return [Check(name="keys", verdict="warn", found=found, advice=advice)]
    found = f"whole, readable by their owner only; lets in: {let_in}"
    return [Check(name="keys", verdict="ok", found=found)]


def _is_open(file: Path) -> bool:
    return bool(file.stat().st_mode & _OTHERS)
