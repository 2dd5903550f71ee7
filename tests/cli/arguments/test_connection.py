"""Flags of address and keys."""

import argparse
from pathlib import Path

import pytest

from langpose_rt.cli.arguments.connection import add_connection_arguments, connection_from_arguments
from langpose_rt.errors import ConfigError
from langpose_rt.security.key_files import key_pair_from_file, new_key_files


def connection(*words: object) -> object:
    parser = argparse.ArgumentParser()
    add_connection_arguments(parser, default="tcp://127.0.0.1:1", text="where it is")
    return connection_from_arguments(parser.parse_args([str(word) for word in words]))


def test_without_keys_nothing_is_encrypted() -> None:
    assert connection() == connection("--server", "tcp://127.0.0.1:1")
    assert connection().keys == {}  # type: ignore[attr-defined]


def test_the_servers_key_is_a_file_or_the_key_itself(tmp_path: Path) -> None:
    _, secret = new_key_files("rig0", tmp_path)
    public, _ = new_key_files("server", tmp_path)
    own, server = key_pair_from_file(secret), key_pair_from_file(tmp_path / "server.key_secret")
    by_file = connection("--key", secret, "--server-key", public)
    assert by_file.keys == {  # type: ignore[attr-defined]
        "server_key": server.public,
        "key_pair": (own.public, own.secret),
    }
    assert by_file == connection("--key", secret, f"--server-key={server.public}")
    assert own.secret not in repr(by_file)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--key", "a"), "--key and --server-key go together"),
        (("--server-key", "b"), "--key and --server-key go together"),
        (("--key", "/nowhere", "--server-key", "b"), "cannot read key /nowhere"),
    ],
)
def test_keys_that_cannot_be_are_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        connection(*words)


@pytest.mark.parametrize(
    ("said", "endpoint"),
    [
        ("tcp://10.0.0.4", "tcp://10.0.0.4:1"),
        ("tcp://stage", "tcp://stage:1"),
        ("tcp://[fe80::1]", "tcp://[fe80::1]:1"),
        ("tcp://10.0.0.4:7", "tcp://10.0.0.4:7"),
        ("ipc:///tmp/poses", "ipc:///tmp/poses"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_address_without_a_port_has_that_of_the_command(said: str, endpoint: str) -> None:
    assert connection("--server", said).endpoint == endpoint  # type: ignore[attr-defined]
