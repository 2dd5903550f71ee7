"""Check of a folder of keys, by names and permissions; no key is opened."""

import os
from pathlib import Path

from langpose_rt.cli.doctor.check import Check

SERVER_SECRET, PUBLIC, SECRET = "server.key_secret", ".key", ".key_secret"
_OTHERS = 0o077


def check_keys(folder: Path) -> list[Check]:
    """Check the server's secret key, the accepted public keys and the permissions of secrets.

    Args:
        folder: Folder of ``langpose-rt serve --keys``.
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
    clients = ", ".join(name for name in names if name != "server")
    if not clients:
        found, advice = "no client is accepted", "langpose-rt keys new NAME, and put NAME.key there"
        return [Check(name="keys", verdict="warn", found=found, advice=advice)]
    found = f"whole, readable by their owner only; accepts: {clients}"
    return [Check(name="keys", verdict="ok", found=found)]


def _is_open(file: Path) -> bool:
    return bool(file.stat().st_mode & _OTHERS)
