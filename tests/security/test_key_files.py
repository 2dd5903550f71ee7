"""Key files: made once, closed to others, read back, and never a secret in a sentence."""

import logging
from pathlib import Path

import pytest
import zmq.auth

from langpose_rt.errors import ConfigError
from langpose_rt.security.key_files import (
    is_key,
    key_pair_from_file,
    new_key_files,
    public_key_from_file,
)


def test_what_is_made_is_what_zeromq_reads_and_only_its_owner_can(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "keys"
    public, secret = new_key_files("rig0", folder)
    pair = key_pair_from_file(secret)
    known = tuple(key.encode() for key in (pair.public, pair.secret))
    assert zmq.auth.load_certificate(secret) == known
    assert zmq.curve_public(known[1]) == known[0]
    assert public_key_from_file(public) == public_key_from_file(secret) == pair.public
    assert pair.secret not in public.read_text()
    assert secret.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["rig0.key", "rig0.key_secret"]
    assert pair.secret not in repr(pair)


@pytest.mark.parametrize("left", ["rig0.key", "rig0.key_secret"])
def test_nothing_is_overwritten(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("precious")
    with pytest.raises(ConfigError, match=f"{left} exists and is not overwritten"):
        new_key_files("rig0", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [left]
    assert (tmp_path / left).read_text() == "precious"


@pytest.mark.parametrize("name", ["", "a/b", "../rig", ".hidden", "r" * 65, "rig 0"])
def test_a_name_no_rig_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="key name"):
        new_key_files(name, tmp_path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write keys to .*choose another --dir"):
        new_key_files("rig0", tmp_path / "file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"public-key",
        b'public-key = "short"',
        b'public-key = "' + b"\xc3\xa9" * 20 + b'"',
        b'public-key = "' + b"~" * 40 + b'"',
    ],
)
def test_a_file_that_holds_no_key_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rig0.key"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="holds no key; make one with 'langpose-rt keys new"):
        public_key_from_file(file)
    with pytest.raises(ConfigError, match=r"cannot read key .*missing.*no such file"):
        public_key_from_file(tmp_path / "missing.key")
    with pytest.raises(ConfigError, match="cannot read key"):
        public_key_from_file(tmp_path)


def test_a_public_file_is_no_secret_one(tmp_path: Path) -> None:
    public, _ = new_key_files("rig0", tmp_path)
    with pytest.raises(ConfigError, match=r"holds no secret key; name the file .*\.key_secret"):
        key_pair_from_file(public)


def test_a_secret_that_others_can_read_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, secret = new_key_files("rig0", tmp_path)
    with caplog.at_level(logging.WARNING):
        pair = key_pair_from_file(secret)
        assert caplog.text == ""
        secret.chmod(0o640)
        key_pair_from_file(secret)
    assert f"chmod 600 {secret}" in caplog.text
    assert pair.secret not in caplog.text


def test_a_key_is_told_from_other_words() -> None:
    assert is_key(zmq.curve_keypair()[0].decode())
    for text in ("", "keys/server.key", "x" * 39, "é" * 40, "~" * 40):
        assert not is_key(text)
