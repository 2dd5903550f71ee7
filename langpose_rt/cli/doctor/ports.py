"""Check of the default ports: free, or the kind of program that uses them."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

from langpose_rt.cli.doctor.check import Check

LOCAL = "127.0.0.1"
_ANSWER_S = 2.0
_MOST_BYTES = 1 << 20


def check_ports(ports: list[int], http_port: int) -> list[Check]:
    """Check the default ports of a server.

    Args:
        ports: ZeroMQ ports.
        http_port: Port of health and metrics.
    """
    taken = [port for port in [*ports, http_port] if not is_free(port)]
    if not taken:
        words = ", ".join(map(str, [*ports, http_port]))
        return [Check(name="ports", verdict="ok", found=f"{words} are free on {LOCAL}")]
    status = status_of_server(http_port) if http_port in taken else None
    if status is not None:
        found = f"a langpose-rt server answers here: {status['server']!r}, {status['state']}"
        advice = "a second one needs ports of its own: langpose-rt serve --port 0 --http-port 0"
        return [Check(name="ports", verdict="ok", found=f"{found} ({advice})")]
    words = " and ".join(f"{port} ({_listener_kind(port)})" for port in taken)
    first = taken[0]
    advice = (
        f"see who it is: ss -ltnp 'sport = :{first}'; or choose others: "
        "langpose-rt serve --port 0 --http-port 0"
    )
    found = f"taken by another program: {words}"
    return [Check(name="ports", verdict="warn", found=found, advice=advice)]


def is_free(port: int) -> bool:
    """Return True if a server could listen on a port of this machine."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as ZeroMQ does
        try:
            one.bind((LOCAL, port))
        except OSError:
            return False
    return True


def status_of_server(http_port: int) -> dict[str, Any] | None:
    """Return the status page of a langpose-rt server on this machine; None if there is none."""
    try:
        url = f"http://{LOCAL}:{http_port}/status"
        with urllib.request.urlopen(url, timeout=_ANSWER_S) as reply:
            status = json.loads(reply.read(_MOST_BYTES))
    except (OSError, ValueError, urllib.error.URLError):
        return None
    whole = isinstance(status, dict) and {"server", "state", "model"} <= status.keys()
    return status if whole else None


def _listener_kind(port: int) -> str:
    """Return the kind of program that listens, by its first bytes."""
    try:
        with socket.create_connection((LOCAL, port), _ANSWER_S) as one:
            one.settimeout(_ANSWER_S / 4)
            first = one.recv(64)
    except OSError:
        return "it says nothing"
    if first[:1] == b"\xff":  # the signature of ZMTP
        return "it speaks ZeroMQ"
    return "it speaks another protocol"
