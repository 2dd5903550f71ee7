"""Control API: answers requests on the control socket; bytes in, bytes out, no socket, no clock.

The messages are in `langpose_rt.protocol.control`; the thread that owns the socket is in
`server.py`.
"""

import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.protocol.control import (
    OPERATIONS,
    ClockReading,
    Hello,
    LoadedCameras,
    Ports,
    Reply,
    Request,
    decode_request,
    encode_control,
    is_json,
)
from langpose_rt.protocol.header import (
    MAX_HEADER_BYTES,
    MAX_JOINTS,
    MAX_MESSAGE_BYTES,
    MAX_PARTS,
    MAX_PEOPLE,
    VERSIONS_SPOKEN,
    RejectReason,
    reject,
)
from langpose_rt.protocol.status import schema_from_skeleton

LIMITS = {
    "message_bytes": MAX_MESSAGE_BYTES,
    "header_bytes": MAX_HEADER_BYTES,
    "parts": MAX_PARTS,
    "people": MAX_PEOPLE,
    "joints": MAX_JOINTS,
}

WORK_SHARE = 0.1
"""Share of a core that answering may take, so that a flood of requests does not slow the poses."""

WORK_SAVED_S = 0.05
"""Work that may be done at once after a rest."""

CHANGES = ("reload", "cameras", "drain")
"""Operations that change the server; only allowed senders may request them."""


@runtime_checkable
class Controlled(Protocol):
    """Server operations that the control API uses."""

    epoch: int
    ports: Ports

    def snapshot(self) -> Snapshot:
        """Return the state of the server at this moment."""
        ...

    def now_ns(self) -> int:
        """Read the server's clock in unix ns."""
        ...

    def may_change(self, sender: str | None) -> bool:
        """Return True if the sender, by the name of the key or None, may change the server."""
        ...

    def reload(self, folder: Path | None, on_end: Callable[[str | None], None]) -> bool:
        """Begin to change the model; ``on_end`` receives the error, or None."""
        ...

    def load_cameras(self, file: Path) -> LoadedCameras:
        """Use another calibration file."""
        ...

    def drain(self) -> None:
        """Begin to stop."""
        ...


class ControlApi:
    """Answers requests, one at a time; called by the thread that owns the socket.

    Args:
        server: Server to answer for.
    """

    def __init__(self, server: Controlled) -> None:
        self._server = server
        self._deferred: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()

    def answer(
        self, parts: Sequence[bytes], received_ns: int, *, sender: str | None = None
    ) -> list[list[bytes]]:
        """Answer one request, addressed to its sender; return nothing if the answer comes later.

        Args:
            parts: Identity of the peer, an empty part if it is a REQ, and the request.
            received_ns: When it came, by the server's clock.
            sender: Name of the sender's key; None where there are no keys.
        """
        envelope = list(parts[:2] if parts[1:2] == [b""] else parts[:1])
        body = parts[len(envelope) :]
        raw = body[0] if body else b""
        request = None
        try:
            if len(body) != 1:
                raise reject(RejectReason.BAD_PARTS, f"got {len(body)} parts, expected one request")
            request = decode_request(raw)
            self._check_allowed(request, sender)
            reply = self._granted(request, envelope, received_ns, as_json=is_json(raw))
        except MessageError as error:
            reply = Reply.refusal(request, error.reason, error.detail)
        return [] if reply is None else [[*envelope, encode_control(reply, as_json=is_json(raw))]]

    def deferred(self, _: int = 0) -> list[list[bytes]]:
        """Return answers to earlier requests that are ready by now."""
        found = []
        while not self._deferred.empty():
            found.append(self._deferred.get())
        return found

    def _granted(
        self, request: Request, envelope: list[bytes], received_ns: int, *, as_json: bool
    ) -> Reply | None:
        server = self._server
        if request.op not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise reject(
                RejectReason.UNKNOWN_OP, f"got op {request.op[:64]!r}, expected one of {known}"
            )
        if request.op == "reload":
            self._reload(request, envelope, as_json=as_json)
            return None
        if request.op == "drain":
            if request.name is not None:
                detail = (
                    f"got name {request.name[:64]!r}; only the front of a cluster drains a part"
                )
                raise reject(RejectReason.UNKNOWN_OP, detail)
            server.drain()
            return Reply.of(request, {})
        answers: dict[str, Callable[[], object]] = {
            "hello": lambda: self._hello(request),
            "status": server.snapshot,
            "cameras": lambda: self._load_cameras(request),
            "schema": lambda: _schemas(request.name),
            "clock": lambda: _reading(request, received_ns, server.now_ns()),
        }
        return Reply.of(request, answers[request.op]())

    def _check_allowed(self, request: Request, sender: str | None) -> None:
        if sender == "":
            raise reject(
                RejectReason.REVOKED_KEY, "the key was taken out of the server's folder of keys"
            )
        if request.op not in CHANGES or self._server.may_change(sender):
            return
        signals = (
            "restart it"
            if request.op == "cameras"
            else "send the process SIGHUP (reload) or SIGTERM (drain)"
        )
        if sender is None:
            reason = "is taken only by a server that nobody else can reach; bind 127.0.0.1, or"
        else:
            reason = (
                f"is not for the key of {sender!r} but for the one that --admin names; use it, or"
            )
        raise reject(RejectReason.NOT_ALLOWED, f"{request.op} {reason} {signals}")

    def _load_cameras(self, request: Request) -> LoadedCameras:
        if request.file is None:
            raise reject(RejectReason.CAMERAS_REFUSED, "a cameras request needs file, its path")
        try:
            return self._server.load_cameras(Path(request.file))
        except ConfigError as error:
            raise reject(RejectReason.CAMERAS_REFUSED, str(error)) from None

    def _hello(self, request: Request) -> Hello:
        offered = (request.v,) if request.versions is None else request.versions
        common = set(offered) & set(VERSIONS_SPOKEN)
        if not common:
            spoken = ", ".join(map(str, VERSIONS_SPOKEN))
            detail = f"got versions {list(offered)}, spoken here: {spoken}"
            raise reject(RejectReason.UNKNOWN_VERSION, detail)
        server = self._server
        now = server.snapshot()
        return Hello(
            version=max(common),
            server=now.server,
            epoch=server.epoch,
            state=now.state,
            model=now.model,
            ports=server.ports,
            formats=tuple(sorted(SKELETONS)),
            limits=LIMITS,
            t=server.now_ns(),
        )

    def _reload(self, request: Request, envelope: list[bytes], *, as_json: bool) -> None:
        def end(error: str | None) -> None:
            if error is None:
                reply = Reply.of(request, self._server.snapshot().model)
            else:
                reply = Reply.refusal(request, RejectReason.MODEL_REFUSED.value, error)
            self._deferred.put([*envelope, encode_control(reply, as_json=as_json)])

        folder = None if request.model is None else Path(request.model)
        try:
            begun = self._server.reload(folder, end)
        except ConfigError as error:
            raise reject(RejectReason.MODEL_REFUSED, str(error)) from None
        if not begun:
            raise reject(
                RejectReason.BUSY, "another model is being opened; ask again when it is there"
            )


class DutyCycle:
    """Computes the pauses that keep answering within WORK_SHARE; times are arguments."""

    def __init__(self, now_s: float) -> None:
        self._saved_s, self._seen_s = WORK_SAVED_S, now_s

    def rest_s(self, began_s: float, ended_s: float) -> float:
        """Return the pause after work between two moments; 0 while some work is saved."""
        earned_s = WORK_SHARE * (ended_s - self._seen_s)
        self._saved_s = min(self._saved_s + earned_s, WORK_SAVED_S) - (ended_s - began_s)
        self._seen_s = ended_s
        return max(-self._saved_s / WORK_SHARE, 0.0)


def _schemas(name: str | None) -> object:
    if name is None:
        return [schema_from_skeleton(skeleton) for skeleton in SKELETONS.values()]
    if name not in SKELETONS:
        known = ", ".join(sorted(SKELETONS))
        raise reject(RejectReason.UNKNOWN_FORMAT, f"got name {name[:64]!r}, known are {known}")
    return [schema_from_skeleton(SKELETONS[name])]


def _reading(request: Request, received_ns: int, now_ns: int) -> ClockReading:
    if request.t is None:
        raise reject(RejectReason.BAD_TIME, "a clock request needs t, the client's time of sending")
    if isinstance(request.t, str):
        return ClockReading(request.t, str(received_ns), str(now_ns))
    return ClockReading(request.t, received_ns, now_ns)
