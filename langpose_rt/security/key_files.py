"""Key files: ZeroMQ certificates, one pair for the server, every rig and every consumer.

`NAME.key` holds the public key and may be copied; `NAME.key_secret` stays on its machine. The
allow-list of keys is in `keyring.py`. This module uses no socket.
"""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import zmq.auth
from zmq.utils import z85

from langpose_rt.errors import ConfigError
from langpose_rt.protocol.header import NAME_PATTERN

PUBLIC, SECRET = ".key", ".key_secret"
KEY_BYTES = 32
_OTHERS = 0o077

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """Public and secret key, each as 40 characters of Z85; the secret is never printed."""

    public: str
    secret: str = field(repr=False)


def new_key_files(name: str, folder: Path) -> tuple[Path, Path]:
    """Create a pair of keys; existing files are never overwritten.

    Args:
        name: Name of the key; for a rig its rig name, the only one it may publish as.
        folder: Target folder; created if missing, not readable by other users.

    Returns:
        The public and the secret file.

    Raises:
        ConfigError: If the name is invalid, a key of that name exists, or it cannot be written.
    """
    check_key_name(name)
    public, secret = folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    for path in (public, secret):
        if path.exists():
            raise ConfigError(
                f"{path} exists and is not overwritten; choose another name, or remove it"
            )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".new-") as made:
            zmq.auth.create_certificates(made, name)
            _write_new(secret, (Path(made) / secret.name).read_text("utf-8"), 0o600)
            _write_new(public, (Path(made) / public.name).read_text("utf-8"), 0o644)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"cannot write keys to {folder} ({reason}); choose another --dir"
        ) from None
    return public, secret


def check_key_name(name: str) -> None:
    """Reject a name that is not a valid rig name.

    Raises:
        ConfigError: If the name is invalid.
    """
    if not NAME_PATTERN.fullmatch(name) or name.startswith("."):
        raise ConfigError(
            f"key name {name[:80]!r} is not 1 to 64 letters, digits or any of _.-, without a "
            "leading dot"
        )


def public_key_from_file(path: Path) -> str:
    """Read the public key from a certificate, either the public or the secret file.

    Raises:
        ConfigError: If the file holds no key, or cannot be read; its cause is then the OSError.
    """
    return _keys_from_file(path)[0]


def key_pair_from_file(path: Path) -> KeyPair:
    """Read the keys from a secret certificate; warn if other users of this machine can read it.

    Raises:
        ConfigError: If the file cannot be read, or holds no secret key.
    """
    public, secret = _keys_from_file(path)
    if secret is None:
        raise ConfigError(f"{path} holds no secret key; name the file that ends in {SECRET}")
    if os.name == "posix" and path.stat().st_mode & _OTHERS:
        log.warning("%s can be read by other users; run 'chmod 600 %s'", path, path)
    return KeyPair(public=public, secret=secret)


def is_key(text: str) -> bool:
    """Return True if a text is a key in Z85."""
    try:
        return len(text) == 40 and len(z85.decode(text.encode("ascii"))) == KEY_BYTES
    except (ValueError, KeyError, ArithmeticError):
        return False


def _keys_from_file(path: Path) -> tuple[str, str | None]:
    try:
        if path.exists() and not path.is_file():
            raise IsADirectoryError(0, "it is no file")  # reading a pipe would block
        public, secret = zmq.auth.load_certificate(path)
        keys = [key.decode("ascii") for key in (public, secret) if key is not None]
    except OSError as error:
        reason = (error.strerror or "there is no such file").lower()
        raise ConfigError(
            f"cannot read key {path} ({reason}); make one with 'langpose-rt keys new NAME'"
        ) from error
    except (ValueError, IndexError):
        keys = []
    if not keys or not all(map(is_key, keys)):
        raise ConfigError(f"{path} holds no key; make one with 'langpose-rt keys new NAME'")
    return keys[0], keys[1] if len(keys) > 1 else None


def _write_new(path: Path, text: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
