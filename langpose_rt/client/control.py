"""Asks a server: who it is, how it is, what time it has; changes its model; ends it.

The messages are specified in `control_message.py`.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zmq

from langpose_rt.client.socket import Connection
from langpose_rt.errors import LangPoseError, MessageError
from langpose_rt.protocol.control import (
    ClockReading,
    Hello,
    Reply,
    Request,
    decode_reply,
    encode_control,
)
from langpose_rt.protocol.header import VERSIONS_SPOKEN, time_from_wire
from langpose_rt.protocol.provenance import ModelStamp
from langpose_rt.protocol.status import SchemaMessage

RELOAD_TIMEOUT_S = 120.0
"""Opening a model, on a GPU above all, takes its time."""


class ClockOffset(NamedTuple):
    """What to add to this machine's unix time to have the server's, and how wrong that may be.

    The uncertainty is half the round trip: delays that differ between the ways are within it.
    """

    offset_ns: int
    uncertainty_ns: int


class ControlClient(Connection):
    """Asks the control socket of a server.

        with ControlClient("tcp://127.0.0.1:5557") as control:
            print(control.hello().model, control.clock())

    Args:
        endpoint: Where the server takes control requests.
        timeout_s: How long an answer may take.
        server_key, key_pair: As of `RigPublisher`.

    Raises:
        ConfigError: If one of these cannot be.
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
        """Agree on a protocol version, and hear what the server is.

        Raises:
            LangPoseError: If it does not answer, or speaks no version that this package speaks.
        """
        hello: Hello = self._ask(Hello, "hello", versions=VERSIONS_SPOKEN)
        return hello

    def status(self) -> dict[str, Any]:
        """What the server's status page shows.

        Raises:
            LangPoseError: If it does not answer.
        """
        status: dict[str, Any] = self._ask(dict[str, Any], "status")
        return status

    def schema(self, name: str | None = None) -> list[SchemaMessage]:
        """One keypoint format, or all that the server knows.

        Raises:
            LangPoseError: If it does not answer, or there is no such format.
        """
        schemas: list[SchemaMessage] = self._ask(list[SchemaMessage], "schema", name=name)
        return schemas

    def clock(self, probes: int = 8) -> ClockOffset:
        """Compare this machine's unix clock with the server's; the best of some probes.

        Raises:
            LangPoseError: If it does not answer.
        """
        return min((self._probe() for _ in range(probes)), key=lambda found: found.uncertainty_ns)

    def reload(self, model: Path | None = None) -> ModelStamp:
        """Change the model, and wait until the new one answers.

        Args:
            model: Folder on the server's machine; None reads the one it was started with anew.

        Raises:
            LangPoseError: If the new model is refused, in the server's words, and the old one
                stays; or if there is no answer.
        """
        folder = None if model is None else str(model)
        timeout_s = max(self._timeout_s, RELOAD_TIMEOUT_S)
        stamp: ModelStamp = self._ask(ModelStamp, "reload", timeout_s=timeout_s, model=folder)
        return stamp

    def drain(self) -> None:
        """Make the server say goodbye, answer what waits, and end.

        Raises:
            LangPoseError: If it does not answer, or does not take this from here.
        """
        self._ask(dict[str, Any], "drain")

    def _probe(self) -> ClockOffset:
        sent_ns = time.time_ns()
        reading: ClockReading = self._ask(ClockReading, "clock", t=sent_ns)
        back_ns = time.time_ns()
        rx_ns, tx_ns = time_from_wire(reading.t_rx), time_from_wire(reading.t_tx)
        offset_ns = ((rx_ns - sent_ns) + (tx_ns - back_ns)) // 2
        return ClockOffset(offset_ns, max(back_ns - sent_ns - (tx_ns - rx_ns), 0) // 2 + 1)

    def _ask(self, kind: Any, op: str, *, timeout_s: float | None = None, **keys: Any) -> Any:
        """Send a request, and wait for its answer, which msgspec makes one of this kind."""
        timeout_s = timeout_s or self._timeout_s
        deadline_s = time.monotonic() + timeout_s
        self._arrived()  # late answers to questions that were given up
        self._id += 1
        request = Request.of(op, id=self._id, **keys)
        try:
            self._socket.send(encode_control(request), zmq.NOBLOCK)
            while True:
                for parts in self._arrived():
                    if (reply := decode_reply(parts[-1])).id == self._id:
                        return self._granted(reply, kind)
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
    def _granted(reply: Reply, kind: Any) -> Any:
        if not reply.ok:
            raise LangPoseError(f"the server refuses {reply.op or 'this'}: {reply.detail}")
        return msgspec.convert(reply.data, kind)
