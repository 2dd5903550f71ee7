"""Names the HTTP side answers to."""

import pytest

from langpose_rt.server.http_host import is_ours


@pytest.mark.parametrize(
    "host",
    [None, "localhost", "localhost:9464", "127.0.0.1:9464", "192.168.1.7", "[::1]:9464", "studio",
     "langpose:9464", "studio.example.org:9464"],
)  # fmt: skip
def test_addresses_names_of_the_house_and_the_bound_one_are_ours(host: str | None) -> None:
    assert is_ours(host, "studio.example.org")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "1.2.3", "evil.example."],
)
def test_a_name_with_a_dot_is_somebody_elses(host: str) -> None:
    assert not is_ours(host, "127.0.0.1")
