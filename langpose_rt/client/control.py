"""Control client: query a server's identity, status and clock; reload its model; drain it.

The messages are specified in `langpose_rt.protocol.control`.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zmq

from langpose_rt.client.socket import ClientSocket
from langpose_rt.errors import LangPoseError, MessageError
from langpose_rt.protocol.control import (
    ClockReading,
    Hello,
    LoadedCameras,
    Reply,
    Request,
    decode_reply,
    encode_control,
)
from langpose_rt.protocol.header import VERSIONS_SPOKEN, time_from_wire
from langpose_rt.protocol.poses import ModelStamp
from langpose_rt.protocol.status import SchemaMessage

RELOAD_TIMEOUT_S = 120.0
"""Least timeout of a reload: opening a model is slow, on a GPU above all."""


class ClockOffset(NamedTuple):
    """Offset from this machine's unix time to the server's, and its uncertainty.

    The uncertainty is half the round trip, which bounds the effect of asymmetric delays.
    """

    offset_ns: int
    uncertainty_ns: int


class ControlClient(ClientSocket):
    """Sends requests to the control socket of a server.

        with ControlClient("tcp://127.0.0.1:5557") as control:
            print(control.hello().model, control.clock())

    Args:
        endpoint: Control endpoint of the server.
        timeout_s: Time to wait for a reply.
        server_key, key_pair: As of `RigPublisher`.

    Raises:
        ConfigError: If an argument is invalid.
    """

    def __init__(
        self,
        endpoint: str = "tcp://127.0.0.1:5557",
        *,
        timeout_s: float = 5.0,
        server_key: str | None = None,
        key_pair: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(zmq.DEALER, endpoint, server_key, key_pair)
        self._endpoint, self._timeout_s, self._id = endpoint, timeout_s, 0

    def hello(self) -> Hello:
        """Agree on a protocol version and return the server's description.

        Raises:
            LangPoseError: If it does not reply, or shares no protocol version with this package.
        """
        hello: Hello = self._request(Hello, "hello", versions=VERSIONS_SPOKEN)
        return hello

    def status(self) -> dict[str, Any]:
        """Return the content of the server's status page.

        Raises:
            LangPoseError: If it does not reply.
        """
        status: dict[str, Any] = self._request(dict[str, Any], "status")
        return status

    def schema(self, name: str | None = None) -> list[SchemaMessage]:
        """Return one keypoint format, or all that the server supports.

        Raises:
            LangPoseError: If it does not reply, or there is no such format.
        """
        schemas: list[SchemaMessage] = self._request(list[SchemaMessage], "schema", name=name)
        return schemas

    def clock(self, probes: int = 8) -> ClockOffset:
        """Measure the offset to the server's unix clock; the best of several probes.

        Raises:
            LangPoseError: If it does not reply.
        """
        return min((self._probe() for _ in range(probes)), key=lambda found: found.uncertainty_ns)

    def reload(self, model: Path | None = None) -> ModelStamp:
        """Replace the model and wait until the new one is active.

        Args:
            model: Folder on the server's machine; None reloads the one it was started with.

        Raises:
            LangPoseError: If the new model is rejected (with the server's reason; the old one
                stays active), or if there is no reply.
        """
        folder = None if model is None else str(model)
        timeout_s = max(self._timeout_s, RELOAD_TIMEOUT_S)
        stamp: ModelStamp = self._request(ModelStamp, "reload", timeout_s=timeout_s, model=folder)
        return stamp

    def load_cameras(self, file: Path) -> LoadedCameras:
        """Replace the calibration of a capture volume; everybody in it keeps the id.

        Args:
            file: Calibration file on the server's machine.

        Raises:
            LangPoseError: If it is rejected (with the server's reason; the old one stays), or if
                there is no reply.
        """
        loaded: LoadedCameras = self._request(LoadedCameras, "cameras", file=str(file))
        return loaded

    def drain(self, lifter: str | None = None) -> None:
        """Make the server lift the queued frames, announce its end, and stop.

        Args:
            lifter: Of a cluster only this lifter, whose streams the others take over first.

        Raises:
            LangPoseError: If it does not reply, or does not accept this request from this address.
        """
        self._request(dict[str, Any], "drain", name=lifter)

    def _probe(self) -> ClockOffset:
        sent_ns = time.time_ns()
        reading: ClockReading = self._request(ClockReading, "clock", t=sent_ns)
        back_ns = time.time_ns()
        rx_ns, tx_ns = time_from_wire(reading.t_rx), time_from_wire(reading.t_tx)
        offset_ns = ((rx_ns - sent_ns) + (tx_ns - back_ns)) // 2
        return ClockOffset(offset_ns, max(back_ns - sent_ns - (tx_ns - rx_ns), 0) // 2 + 1)

    def _request(self, kind: Any, op: str, *, timeout_s: float | None = None, **keys: Any) -> Any:
        """Send a request, wait for its reply and convert the reply's data to a type."""
        timeout_s = timeout_s or self._timeout_s
        deadline_s = time.monotonic() + timeout_s
        self._receive_available()  # drop late replies to requests that timed out
        self._id += 1
        request = Request.of(op, id=self._id, **keys)
        try:
            self._socket.send(encode_control(request), zmq.NOBLOCK)
            while True:
                for parts in self._receive_available():
                    if (reply := decode_reply(parts[-1])).id == self._id:
                        return self._result(reply, kind)
                if not self._wait(deadline_s):
                    break
        except (MessageError, msgspec.ValidationError) as error:
            raise LangPoseError(f"{self._endpoint} answers what is not ctl/1: {error}") from None
        except zmq.Again:
            pass
        raise LangPoseError(
            f"no answer to {op} from {self._endpoint} within {timeout_s:g} s; "
            "is a server running there, and is this its control port (two above --port)?"
        )

    @staticmethod
    def _result(reply: Reply, kind: Any) -> Any:
        if not reply.ok:
            raise LangPoseError(f"the server refuses {reply.op or 'this'}: {reply.detail}")
        return msgspec.convert(reply.data, kind)
