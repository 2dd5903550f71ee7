"""Check of a running server: heartbeat, state and clock offset."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from langpose_rt.cli.doctor.check import Check
from langpose_rt.client.address import Connection
from langpose_rt.errors import ConfigError, LangPoseError

NS_PER_MS = 1_000_000
_HEARD_S = 3.0
_POLL_S = 0.02
_LARGE_SKEW_MS = 50.0


def check_server(connection: Connection) -> list[Check]:
    """Check the heartbeat of a server and the offset of its clock.

    Args:
        connection: Keypoint address of the server; poses and control are the next two ports.
    """
    from langpose_rt.client.subscriber import PoseSubscriber

    endpoint = endpoint_after(connection.endpoint, 1)
    until_s = time.monotonic() + _HEARD_S
    with PoseSubscriber(endpoint, **connection.keys) as subscriber:
        while (beat := subscriber.heartbeat) is None and time.monotonic() < until_s:
            subscriber.receive(_POLL_S)
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
        return [Check(name="server", verdict="ok", found=found), *_ask(connection)]
    advice = "its log says why"
    alive = Check(name="server", verdict="warn", found=found, advice=advice)
    return [alive, *_ask(connection)]


def _ask(connection: Connection) -> list[Check]:
    """Check what only the control socket answers: the clock, and streams with odd numbers."""
    from langpose_rt.client.control import ControlClient

    endpoint = endpoint_after(connection.endpoint, 2)
    try:
        with ControlClient(endpoint, timeout_s=_HEARD_S, **connection.keys) as control:
            offset_ns, uncertainty_ns = control.clock()
            streams = control.status()["streams"]
    except LangPoseError as error:
        advice = "poses do not need it; open the port in the firewall to control from here"
        return [Check(name="skew", verdict="warn", found=str(error), advice=advice)]
    return [skew_check(offset_ns / NS_PER_MS, uncertainty_ns / NS_PER_MS), *stream_checks(streams)]


def stream_checks(streams: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Return a warning for every finding of the server about a stream.

    Args:
        streams: Entries of `streams` in the server's status.
    """
    return [
        Check(
            name="stream",
            verdict="warn",
            found=f"{stream['rig']}/{stream['camera']}: {sentence}",
            advice=f"correct what the rig sends ({reason})",
        )
        for stream in streams
        for reason, sentence in stream.get("suspects", {}).items()
    ]


def skew_check(skew_ms: float, uncertainty_ms: float) -> Check:
    """Return the verdict on a clock offset."""
    side = "ahead of" if skew_ms > 0 else "behind"
    found = (
        f"the server's clock is {abs(skew_ms):.1f} ms {side} this one (to {uncertainty_ms:.1f} ms)"
    )
    if abs(skew_ms) <= _LARGE_SKEW_MS:
        return Check(name="skew", verdict="ok", found=found)
    advice = (
        "poses stay right, times between machines do not: timedatectl set-ntp true on both, or PTP"
    )
    return Check(name="skew", verdict="warn", found=found, advice=advice)


def endpoint_after(endpoint: str, ports: int) -> str:
    """Return the endpoint of poses (1) or control requests (2) for one of keypoints.

    Raises:
        ConfigError: If it has no port, or no port is left after it.
    """
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65533:
        raise ConfigError(f"--server is {endpoint}; expected a port, as in tcp://127.0.0.1:5555")
    return f"{host}:{int(port) + ports}"
