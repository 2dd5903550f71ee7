"""An address is a value, and never shows its keys."""

import dataclasses

import pytest

from langpose_rt.client.address import Connection

ENDPOINT = "tcp://127.0.0.1:5555"


def test_without_keys_nothing_is_passed_on_to_the_clients() -> None:
    assert Connection(endpoint=ENDPOINT).keys == {}


def test_two_addresses_are_equal_by_endpoint_and_keys() -> None:
    keys = {"server_key": "public"}
    assert Connection(endpoint=ENDPOINT) == Connection(endpoint=ENDPOINT)
    assert Connection(endpoint=ENDPOINT, keys=keys) != Connection(endpoint=ENDPOINT)
    assert Connection(endpoint=ENDPOINT, keys=keys) == Connection(endpoint=ENDPOINT, keys=keys)


def test_keys_of_one_address_are_not_those_of_another() -> None:
    one, other = Connection(endpoint=ENDPOINT), Connection(endpoint=ENDPOINT)
    one.keys["server_key"] = "public"
    assert other.keys == {}


def test_no_key_is_printed_in_a_log() -> None:
    secret = Connection(endpoint=ENDPOINT, keys={"key_pair": ("public", "secret")})
    assert "secret" not in repr(secret)
    assert ENDPOINT in repr(secret)


def test_an_address_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Connection(endpoint=ENDPOINT).endpoint = "tcp://127.0.0.1:1"  # type: ignore[misc]
