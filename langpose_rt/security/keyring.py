"""Allow-list of CURVE keys with pinned names, and the replies of ZeroMQ's authentication protocol.

A folder of key files is the allow-list, and a key may publish only as the rig it is named after.
This module maps bytes to bytes; the sockets are in `langpose_rt.server.zap`.

Source: ZAP 1.0, https://rfc.zeromq.org/spec/27/; CURVE, https://rfc.zeromq.org/spec/26/.
"""

import errno
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
"""Reserved name of the server's own key pair."""

_TEMPORARY_ERROR = b"300"
"""ZAP status of a rejection; after 400 a client never reconnects, even if its key is added."""

_OTHERS_WRITE = 0o022
_GONE = (None, 0, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)

log = logging.getLogger(__name__)

_Signature = frozenset[tuple[str, int, int]]


class Keyring:
    """The server's own keys and the public keys of the clients that may connect.

    Args:
        folder: Holds `server.key_secret`, and `NAME.key` for every rig and consumer.

    Attributes:
        own: Key pair of the server.

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
        """Names of the clients that may connect."""
        return sorted(self._names.values())

    @property
    def public_keys(self) -> dict[str, str]:
        """Public keys of the clients by name."""
        return {name: key for key, name in sorted(self._names.items())}

    def name_of(self, key: str) -> str:
        """Return the name a public key is pinned to; empty if the key is not allowed."""
        return self._names.get(key, "")

    def refresh(self) -> None:
        """Read the folder again if it has changed; invalid files are skipped with a warning.

        A file that is there and cannot be read, such as for want of descriptors, keeps the key it
        had, and is read again at the next call. So does the whole folder.
        """
        signature = self._scan()
        if signature is None or signature == self._signature:
            return
        known = {name: key for key, name in self._names.items()}
        unread: set[tuple[str, int, int]] = set()
        names: dict[str, str] = {}
        for state in sorted(signature):
            file, name = state[0], state[0].removesuffix(PUBLIC)
            try:
                check_key_name(name)
                key = public_key_from_file(self._folder / file)
            except ConfigError as error:
                if name not in known or not _may_be_read_later(error.__cause__):
                    log.warning("left out: %s", error)
                    continue
                key = known[name]
                unread.add(state)
            if key in names or key == self.own.public:
                other = names.get(key, SERVER)
                log.warning(
                    "left out: %s is the same key as %s; every name needs its own", name, other
                )
                continue
            names[key] = name
        self._names, self._signature = names, signature - unread

    def _scan(self) -> _Signature | None:
        """Return name, time and size of every public key file except the server's.

        Nothing is in a folder that is gone; None if it cannot be read at this moment.
        """
        try:
            files = [p for p in self._folder.iterdir() if p.name.endswith(PUBLIC)]
        except OSError as error:
            return None if _may_be_read_later(error) else frozenset()
        return frozenset(_file_state(file) for file in files if file.name != f"{SERVER}{PUBLIC}")


def _may_be_read_later(error: BaseException | None) -> bool:
    """Return True for a failure of the machine; False if a file is gone or holds no key."""
    return isinstance(error, OSError) and error.errno not in _GONE


def _file_state(file: Path) -> tuple[str, int, int]:
    """Return name, time and size of a file; time and size are 0 for a dangling link."""
    try:
        stat = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, stat.st_mtime_ns, stat.st_size


def zap_reply(request: Sequence[bytes], keyring: Keyring) -> tuple[list[bytes], str]:
    """Build the reply to a ZAP request: accept or reject a peer.

    Args:
        request: Version, request id, domain, address, identity, mechanism and the peer's key.
        keyring: Keys of the clients that may connect.

    Returns:
        The reply, whose user id is the peer's public key; and the reason of a rejection, or "".
    """
    version, request_id, _, address, _, mechanism, *credentials = request
    reason, user = "", b""
    key = credentials[0] if len(credentials) == 1 else b""
    if mechanism != b"CURVE" or len(key) != KEY_BYTES:
        reason = "expected a CURVE key"
    else:
        user = bytes(z85.encode(key))
        if not keyring.name_of(user.decode()):
            reason = (
                f"{address.decode('latin-1')[:64]} came with public key {user.decode()}, which is "
                "not in the server's folder of keys"
            )
    if reason:
        return [version, request_id, _TEMPORARY_ERROR, b"not let in", b"", b""], reason
    return [version, request_id, b"200", b"OK", user, b""], ""
