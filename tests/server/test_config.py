"""Server options: ports that follow from others, and refusals in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.server.config import ServerConfig


@pytest.mark.parametrize(
    ("options", "poses", "requests"),
    [
        ({}, 5556, 5557),
        ({"port": 7000}, 7001, 7002),
        ({"port": 0}, 0, 0),
        ({"port": 7000, "output_port": 80}, 80, 7002),
        ({"port": 0, "control_port": 81}, 0, 81),
        ({"port": 65535, "output_port": 1, "control_port": 2}, 1, 2),
    ],
)
def test_ports_that_are_not_given_follow_the_first(
    options: dict[str, Any], poses: int, requests: int
) -> None:
    config = ServerConfig(**options)
    assert (config.pose_port, config.request_port) == (poses, requests)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"port": 70000}, "port is 70000; expected 0"),
        ({"http_port": -1}, "http_port is -1"),
        ({"port": 65535}, "no next port"),
        ({"port": 65534}, "no next but one port for control"),
        ({"control_port": 65536}, "control_port is 65536"),
        ({"bind": "0.0.0.0"}, "--insecure"),
        ({"bind": "*"}, "--insecure"),
        ({"bind": "192.168.1.2"}, "can be reached from other machines"),
        ({"bind": "192.168.1.2"}, "langpose-rt keys new server"),
        ({"admin": "no one"}, "admin 'no one' is no name of a key"),
        ({"connect_timeout_s": 0.0}, "connect_timeout_s"),
        ({"keys": Path("keys"), "connect": ("tcp://rig0:5550",)}, "--connect does not go with --k"),
    ],
)
def test_a_server_option_out_of_range_is_one_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ServerConfig(**values)


@pytest.mark.parametrize(
    ("options", "exposed"),
    [
        ({}, []),
        ({"bind": "::1"}, []),
        ({"bind": "0.0.0.0", "keys": Path("keys")}, []),
        ({"bind": "0.0.0.0", "insecure": True}, ["0.0.0.0"]),
        ({"http_bind": "10.0.0.7"}, ["10.0.0.7"]),
        ({"http_bind": "10.0.0.7", "http_port": None}, []),
        ({"bind": "10.0.0.7", "insecure": True, "http_bind": "10.0.0.7"}, ["10.0.0.7"] * 2),
    ],
)
def test_every_reachable_address_without_encryption_is_named(
    options: dict[str, Any], exposed: list[str]
) -> None:
    sentences = ServerConfig(**options).exposures
    assert len(sentences) == len(exposed)
    assert all(address in sentence for address, sentence in zip(exposed, sentences, strict=True))


def test_keys_open_an_address_and_http_stays_at_home_unless_told_otherwise() -> None:
    keyed = ServerConfig(bind="0.0.0.0", keys=Path("keys"))
    assert (keyed.http_bind, keyed.exposures) == ("127.0.0.1", [])
    (http,) = ServerConfig(http_bind="0.0.0.0").exposures
    assert http == "health and metrics are open to whoever reaches 0.0.0.0"
    (open_to_all,) = ServerConfig(bind="0.0.0.0", insecure=True).exposures
    assert "nothing is encrypted" in open_to_all
    assert ServerConfig(http_bind="0.0.0.0", http_port=None).exposures == []
