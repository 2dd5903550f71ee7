"""Options of the server refuse what cannot be, in one sentence, before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.server.config import LOOPBACK, ServerConfig


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"port": 70000}, "port is 70000; expected 0"),
        ({"http_port": -1}, "http_port is -1"),
        ({"port": 65535}, "no next port"),
        ({"port": 65534}, "no next but one port for control"),
        ({"control_port": 65536}, "control_port is 65536"),
        ({"output_port": -5}, "output_port is -5"),
        ({"connect_timeout_s": 0.05}, "connect_timeout_s is 0.05; expected 0.1 to 3600"),
        ({"connect_timeout_s": float("nan")}, "connect_timeout_s is nan"),
        ({"admin": ""}, "admin '' is no name of a key"),
        ({"admin": "a" * 65}, "1 to 64 letters, digits"),
        ({"bind": "0.0.0.0"}, "--insecure"),
        ({"bind": "*"}, "--insecure"),
        ({"bind": "192.168.1.2"}, "can be reached from other machines"),
        ({"bind": "192.168.1.2"}, "langpose-rt keys new server"),
        ({"admin": "no one"}, "admin 'no one' is no name of a key"),
        ({"keys": Path("keys"), "connect": ("tcp://rig0:5550",)}, "--connect does not go with --k"),
    ],
)
def test_a_server_option_out_of_range_is_one_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        ServerConfig(**values)
    assert "\n" not in str(caught.value)


def test_poses_go_out_at_the_next_port_unless_told_otherwise() -> None:
    assert ServerConfig(port=7000).pose_port == 7001
    assert ServerConfig(port=0).pose_port == 0
    assert ServerConfig(port=65535, output_port=80, control_port=81).pose_port == 80
    assert ServerConfig(bind="0.0.0.0", insecure=True).is_loopback is False


def test_requests_come_in_at_the_port_after_the_next_unless_told_otherwise() -> None:
    assert ServerConfig(port=7000).request_port == 7002
    assert ServerConfig(port=0).request_port == 0
    assert ServerConfig(port=65534, control_port=80).request_port == 80


def test_keys_open_an_address_and_http_stays_at_home_unless_told_otherwise() -> None:
    keyed = ServerConfig(bind="0.0.0.0", keys=Path("keys"))
    assert (keyed.http_bind, keyed.exposures) == ("127.0.0.1", [])
    (http,) = ServerConfig(http_bind="0.0.0.0").exposures
    assert http == "health and metrics are open to whoever reaches 0.0.0.0"
    (open_to_all,) = ServerConfig(bind="0.0.0.0", insecure=True).exposures
    assert "nothing is encrypted" in open_to_all
    assert ServerConfig(http_bind="0.0.0.0", http_port=None).exposures == []


@pytest.mark.parametrize("bind", LOOPBACK)
def test_this_machine_needs_no_keys(bind: str) -> None:
    config = ServerConfig(bind=bind)
    assert config.is_loopback
    assert config.exposures == []


def test_by_default_only_this_machine_reaches_the_server_and_the_ports_follow_each_other() -> None:
    config = ServerConfig()
    assert (config.port, config.pose_port, config.request_port) == (5555, 5556, 5557)
    assert config.exposures == []
    assert config.pipeline == PipelineConfig()


def test_an_answer_about_a_wrong_name_is_short_however_long_the_name() -> None:
    with pytest.raises(ConfigError) as caught:
        ServerConfig(admin="x y" * 10_000)
    assert len(str(caught.value)) < 200


def test_a_port_may_be_named_where_the_next_one_would_not_exist() -> None:
    config = ServerConfig(port=65535, output_port=65534, control_port=65533)
    assert (config.pose_port, config.request_port) == (65534, 65533)
