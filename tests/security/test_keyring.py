"""Who is let in, and as whom; no socket."""

import contextlib
import errno
import logging
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from zmq.utils import z85

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.protocol.header import check_sender
from langpose_rt.security.key_files import new_key_files, public_key_from_file
from langpose_rt.security.keyring import Keyring, zap_reply


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("server", "rig0", "viewer"):
        new_key_files(name, tmp_path)
    return tmp_path


def key_of(folder: Path, name: str) -> str:
    return public_key_from_file(folder / f"{name}.key")


def question(key: str, mechanism: bytes = b"CURVE") -> list[bytes]:
    credentials = [z85.decode(key.encode())] if key else []
    return [b"1.0", b"7", b"langpose", b"10.0.0.2", b"", mechanism, *credentials]


def test_a_key_is_pinned_to_the_name_of_its_file(folder: Path) -> None:
    keyring = Keyring(folder)
    assert keyring.names == ["rig0", "viewer"]
    assert keyring.name_of(key_of(folder, "rig0")) == "rig0"
    assert keyring.name_of(key_of(folder, "server")) == "", "the server is no rig"
    assert keyring.name_of("no key at all") == ""


def test_who_is_added_may_come_in_and_who_is_taken_out_may_not(folder: Path) -> None:
    keyring, key = Keyring(folder), key_of(folder, "rig0")
    (folder / "rig0.key").unlink()
    assert keyring.name_of(key) == "rig0", "not read again yet"
    keyring.refresh()
    assert keyring.name_of(key) == ""
    new_key_files("rig7", folder)
    keyring.refresh()
    assert keyring.names == ["rig7", "viewer"]


def test_a_key_that_is_replaced_under_its_name_is_not_allowed_any_more(folder: Path) -> None:
    keyring, old = Keyring(folder), key_of(folder, "rig0")
    for file in folder.glob("rig0.*"):
        file.unlink()
    new_key_files("rig0", folder)
    keyring.refresh()
    assert keyring.name_of(old) == ""
    assert keyring.name_of(key_of(folder, "rig0")) == "rig0"


def test_a_folder_that_has_gone_lets_nobody_in(folder: Path) -> None:
    keyring = Keyring(folder)
    folder.rename(folder.with_name("away"))
    keyring.refresh()
    assert keyring.names == []


def test_known_keys_stay_known_while_descriptors_have_run_out(folder: Path) -> None:
    keyring, rig0 = Keyring(folder), key_of(folder, "rig0")
    new_key_files("rig1", folder)
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = []
    try:
        highest = max(int(path.name) for path in Path("/dev/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, kept[1]))
        with contextlib.suppress(OSError):
            while used.append(os.dup(0)) is None:
                pass
        keyring.refresh()
        assert keyring.name_of(rig0) == "rig0", "the folder cannot be listed"
        os.close(used.pop())
        keyring.refresh()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)
        for descriptor in used:
            os.close(descriptor)
    keyring.refresh()
    assert keyring.names == ["rig0", "rig1", "viewer"]


def test_a_known_key_whose_file_cannot_be_read_stays_known_until_it_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring, rig0 = Keyring(folder), key_of(folder, "rig0")
    file, load = folder / "rig0.key", zmq.auth.load_certificate

    def fail(path: Path) -> Any:
        if path == file:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return load(path)

    monkeypatch.setattr(zmq.auth, "load_certificate", fail)
    os.utime(file, (1, 1))
    keyring.refresh()
    assert keyring.name_of(rig0) == "rig0"
    monkeypatch.undo()
    file.write_text("no key at all")
    keyring.refresh()
    assert keyring.names == ["viewer"], "a file that holds no key revokes the one before"


def test_files_that_are_no_keys_keep_nobody_else_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "broken.key").write_text("no key")
    (folder / "a b.key").write_bytes((folder / "rig0.key").read_bytes())
    (folder / "twin.key").write_bytes((folder / "rig0.key").read_bytes())
    (folder / "me.key").write_bytes((folder / "server.key").read_bytes())
    (folder / "nowhere.key").symlink_to(folder / "gone")
    (folder / "folder.key").mkdir()
    os.mkfifo(folder / "pipe.key")
    (folder / os.fsdecode(b"\xff\n.key")).write_bytes((folder / "rig0.key").read_bytes())
    with caplog.at_level(logging.WARNING):
        keyring = Keyring(folder)
        keyring.refresh()
    assert keyring.names == ["rig0", "viewer"]
    assert caplog.text.count("left out") == 8, "each is told once"
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert "twin is the same key as rig0" in caplog.text


def test_a_linked_key_is_a_key(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    public, _ = new_key_files("rig5", folder / "elsewhere")
    (folder / "rig7.key").symlink_to(public)
    keyring = Keyring(folder)
    assert keyring.name_of(public_key_from_file(public)) == "rig7", "the link's name counts"
    public.unlink()
    keyring.refresh()
    assert keyring.names == ["rig0", "viewer"]


def test_a_folder_that_others_can_write_is_warned_about(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.chmod(0o700)
    with caplog.at_level(logging.WARNING):
        Keyring(folder)
        assert caplog.text == ""
        folder.chmod(0o770)
        Keyring(folder)
    assert f"chmod go-w {folder}" in caplog.text


def test_a_server_without_keys_of_its_own_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"server\.key_secret; make it with 'langpose-rt keys new"
    ):
        Keyring(tmp_path)


def test_a_server_that_lets_nobody_in_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new_key_files("server", tmp_path)
    with caplog.at_level(logging.WARNING):
        Keyring(tmp_path)
    assert "nobody can come in" in caplog.text


def test_a_known_key_is_let_in_and_its_messages_carry_it(folder: Path) -> None:
    key = key_of(folder, "rig0")
    reply, refusal = zap_reply(question(key), Keyring(folder))
    assert reply == [b"1.0", b"7", b"200", b"OK", key.encode(), b""]
    assert refusal == ""


def test_an_unknown_key_is_refused_with_where_it_came_from(folder: Path) -> None:
    stranger = zmq.curve_keypair()[0].decode()
    reply, refusal = zap_reply(question(stranger), Keyring(folder))
    assert reply == [b"1.0", b"7", b"300", b"not let in", b"", b""]
    assert refusal == (
        f"10.0.0.2 came with public key {stranger}, which is not in the server's folder of keys"
    )


@pytest.mark.parametrize("mechanism", [b"NULL", b"PLAIN", b"CURVE"])
def test_who_brings_no_key_is_refused(folder: Path, mechanism: bytes) -> None:
    reply, refusal = zap_reply(question("", mechanism), Keyring(folder))
    assert reply[2] == b"300"
    assert refusal == "expected a CURVE key"


@pytest.mark.parametrize(
    ("topic", "name", "reason"),
    [
        (b"kp2d/rig1/cam0/", "rig0", "spoofed_rig"),
        (b"kp2d/rig01/cam0/", "rig0", "spoofed_rig"),
        (b"kp2d/rig/cam0/", "rig0", "spoofed_rig"),
        (b"pose3d/rig0/cam0/", "rig0", "bad_topic"),
        (b"", "rig0", "bad_topic"),
        (b"kp2d/rig0/cam0/", "", "revoked_key"),
    ],
)
def test_a_key_publishes_as_nobody_else(topic: bytes, name: str, reason: str) -> None:
    check_sender(b"kp2d/rig0/cam0/", "rig0")
    with pytest.raises(MessageError) as caught:
        check_sender(topic, name)
    assert caught.value.reason == reason
