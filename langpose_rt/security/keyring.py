"""Who is let in, and as whom: the allow-list, ZeroMQ's authentication protocol, and pinned names.

A folder of key files is the allow-list, and a key may publish only as the rig it is named after.
Everything here is bytes in and bytes out; the sockets are in `doorkeeper.py`.

Source: ZAP 1.0, https://rfc.zeromq.org/spec/27/; CURVE, https://rfc.zeromq.org/spec/26/.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from zmq.utils import z85

from langpose_rt.errors import ConfigError
from langpose_rt.security.key_files import (
    KEY_BYTES,
    PUBLIC,
    SECRET,
    KeyPair,
    check_key_name,
    key_pair_from_file,
    public_key_from_file,
)

SERVER = "server"
"""Name of the server's own pair in its folder of keys; no rig's."""

_TRY_AGAIN = b"300"
"""A client that is told 400 never comes back, even when its key has been added since."""

_OTHERS_WRITE = 0o022

log = logging.getLogger(__name__)

_Signature = frozenset[tuple[str, int, int]]


class Keyring:
    """The server's own keys and the public keys of those who may come in.

    Args:
        folder: Holds `server.key_secret`, and `NAME.key` for every rig and consumer.

    Attributes:
        own: The server's pair.

    Raises:
        ConfigError: If the server's pair is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        secret = folder / f"{SERVER}{SECRET}"
        if not secret.is_file():
            raise ConfigError(
                f"there is no {secret}; make it with 'langpose-rt keys new {SERVER} --dir {folder}'"
            )
        self.own: KeyPair = key_pair_from_file(secret)
        if os.name == "posix" and folder.stat().st_mode & _OTHERS_WRITE:
            log.warning("others can put keys into %s; run 'chmod go-w %s'", folder, folder)
        self._folder = folder
        self._signature: _Signature = frozenset()
        self._names: dict[str, str] = {}
        self.refresh()
        if not self._names:
            log.warning("%s holds no public key of a rig or consumer: nobody can come in", folder)

    @property
    def names(self) -> list[str]:
        """Everybody who may come in."""
        return sorted(self._names.values())

    @property
    def public_keys(self) -> dict[str, str]:
        """Their keys by name."""
        return {name: key for key, name in sorted(self._names.items())}

    def name_of(self, key: str) -> str:
        """The name a public key is pinned to; empty if it is not, or no longer, allowed."""
        return self._names.get(key, "")

    def refresh(self) -> None:
        """Read the folder again if it has changed; a file that is no key keeps nobody else out."""
        signature = self._look()
        if signature == self._signature:
            return
        self._signature = signature
        names: dict[str, str] = {}
        for file, _, _ in sorted(signature):
            name = file.removesuffix(PUBLIC)
            try:
                check_key_name(name)
                key = public_key_from_file(self._folder / file)
            except ConfigError as error:
                log.warning("left out: %s", error)
                continue
            if key in names or key == self.own.public:
                other = names.get(key, SERVER)
                log.warning(
                    "left out: %s is the same key as %s; every name needs its own", name, other
                )
                continue
            names[key] = name
        self._names = names

    def _look(self) -> _Signature:
        """Name, time and size of every public key file but the server's."""
        try:
            files = [p for p in self._folder.iterdir() if p.name.endswith(PUBLIC)]
        except OSError:  # gone, or changing at this moment: whoever is not found stays out
            return frozenset()
        return frozenset(_traces(file) for file in files if file.name != f"{SERVER}{PUBLIC}")


def _traces(file: Path) -> tuple[str, int, int]:
    """Name, time and size of a file; of a link that leads nowhere, the name alone."""
    try:
        stat = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, stat.st_mtime_ns, stat.st_size


def zap_reply(request: Sequence[bytes], keyring: Keyring) -> tuple[list[bytes], str]:
    """Answer one question of ZeroMQ: may this peer come in?

    Args:
        request: Version, request id, domain, address, identity, mechanism and the peer's key.
        keyring: Who may.

    Returns:
        The reply, whose user id is the peer's public key; and why it was refused, or nothing.
    """
    version, request_id, _, address, _, mechanism, *credentials = request
    refusal, user = "", b""
    key = credentials[0] if len(credentials) == 1 else b""
    if mechanism != b"CURVE" or len(key) != KEY_BYTES:
        refusal = "expected a CURVE key"
    else:
        user = bytes(z85.encode(key))
        if not keyring.name_of(user.decode()):
            refusal = (
                f"{address.decode('latin-1')[:64]} came with public key {user.decode()}, which is "
                "not in the server's folder of keys"
            )
    if refusal:
        return [version, request_id, _TRY_AGAIN, b"not let in", b"", b""], refusal
    return [version, request_id, b"200", b"OK", user, b""], ""
