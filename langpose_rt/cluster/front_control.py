"""Control requests to the front: those of a server, and `drain` of one lifter by its name."""

from typing import Protocol, runtime_checkable

from langpose_rt.protocol.control import Reply, Request
from langpose_rt.protocol.header import RejectReason, reject
from langpose_rt.server.control_api import ControlApi, Controlled


@runtime_checkable
class ControlledFront(Controlled, Protocol):
    """Operations of the front that its control API uses."""

    def drain_lifter(self, lifter: str) -> bool:
        """Begin to drain a lifter; return False if it is not known."""
        ...


class FrontControl(ControlApi):
    """Answers requests to the front, see `ControlApi`.

    Args:
        front: Front to answer for.
    """

    def __init__(self, front: ControlledFront) -> None:
        super().__init__(front)
        self._front = front

    def _granted(
        self, request: Request, envelope: list[bytes], received_ns: int, *, as_json: bool
    ) -> Reply | None:
        if request.op != "drain" or request.name is None:
            return super()._granted(request, envelope, received_ns, as_json=as_json)
        if not self._front.drain_lifter(request.name):
            detail = f"there is no lifter {request.name[:64]!r}; status lists them"
            raise reject(RejectReason.UNKNOWN_OP, detail)
        return Reply.of(request, {"lifter": request.name})
