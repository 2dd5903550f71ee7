"""Whether a running server is heard from here, how it does, and how far its clock is from ours."""

import time

from langpose_rt.cli.checks.check import Check
from langpose_rt.cli.connection import Connection
from langpose_rt.errors import ConfigError

_HEARD_S = 3.0
_LARGE_SKEW_MS = 50.0


def check_server(connection: Connection) -> list[Check]:
    """A server that is running: its heartbeat, and the clock in it.

    Args:
        connection: Where it takes keypoints; poses come from the next port.
    """
    from langpose_rt.streaming.client import PoseSubscriber

    endpoint = pose_endpoint(connection.endpoint)
    until_s = time.monotonic() + _HEARD_S
    with PoseSubscriber(endpoint, **connection.keys) as subscriber:
        while (beat := subscriber.heartbeat) is None and time.monotonic() < until_s:
            subscriber.receive(0.02)
        skew_ms = 0.0 if beat is None else (beat.t_ns - time.time_ns()) / 1e6
    if beat is None:
        advice = (
            "is it running, with --bind 0.0.0.0 on another machine, is the port open in its "
            "firewall, does it want keys? There: langpose-rt doctor"
        )
        found = f"nothing is heard from {endpoint} within {_HEARD_S:g} s"
        return [Check(name="server", verdict="fail", found=found, advice=advice)]
    model = f", model {beat.model.id} {beat.model.precision}" if beat.model else ""
    found = (
        f"{beat.server!r} is {beat.state}: {beat.streams} cameras, {beat.persons} people, "
        f"{beat.fps:.0f} poses/s, p99 {beat.p99_ms:.1f} ms{model}"
    )
    if beat.state == "ready":
        return [Check(name="server", verdict="ok", found=found), skew_check(skew_ms)]
    advice = "its log says why"
    return [Check(name="server", verdict="warn", found=found, advice=advice), skew_check(skew_ms)]


def skew_check(skew_ms: float) -> Check:
    """What a difference between two clocks means."""
    found = f"the server's clock is {abs(skew_ms):.0f} ms {'ahead' if skew_ms > 0 else 'behind'}"
    found += ", one way through the network included"
    if abs(skew_ms) <= _LARGE_SKEW_MS:
        return Check(name="skew", verdict="ok", found=found)
    advice = (
        "poses stay right, times between machines do not: timedatectl set-ntp true on both, or PTP"
    )
    return Check(name="skew", verdict="warn", found=found, advice=advice)


def pose_endpoint(endpoint: str) -> str:
    """Where poses come from, by where keypoints go: the next port.

    Raises:
        ConfigError: If there is no port in it.
    """
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65535:
        raise ConfigError(f"--server is {endpoint}; expected a port, as in tcp://127.0.0.1:5555")
    return f"{host}:{int(port) + 1}"
