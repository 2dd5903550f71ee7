"""Which names the HTTP side answers to.

A web page from elsewhere may let its own name point at this machine (DNS rebinding), and would then
read what the viewer reads. Its name has a dot and is none of ours.
"""

import ipaddress

OPEN_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Answered under any name: probes and Prometheus come by what their network calls us."""


def is_ours(host: str | None, bound_to: str) -> bool:
    """Whether a Host header names this server: an address, a name without a dot, or none at all.

    Args:
        host: The header, with or without a port; browsers always send it.
        bound_to: The address or name the server listens at.
    """
    if host is None:
        return True
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name == bound_to or "." not in name.rstrip("."):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
