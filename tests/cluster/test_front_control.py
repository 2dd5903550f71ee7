"""Requests to the front: one lifter is drained by its name, the rest is as with a server."""

from typing import Any

import pytest

from langpose_rt.cluster.front_control import FrontControl
from langpose_rt.protocol.control import Request, decode_reply, encode_control


class Recorder:
    """A front that notes what is asked of it."""

    def __init__(self) -> None:
        self.drained: list[str | None] = []

    def may_change(self, sender: str | None) -> bool:
        return sender in (None, "admin")

    def drain(self) -> None:
        self.drained.append(None)

    def drain_lifter(self, lifter: str) -> bool:
        self.drained.append(lifter)
        return lifter == "lifter-0"


def ask(front: Any, sender: str | None = None, **keys: Any) -> Any:
    control = FrontControl.__new__(FrontControl)
    control._server = control._front = front
    request = encode_control(Request.of("drain", id=1, **keys))
    ((_, reply),) = control.answer([b"peer", request], 0, sender=sender)
    return decode_reply(reply)


def test_a_name_drains_one_lifter_and_none_the_whole_cluster() -> None:
    front = Recorder()
    assert ask(front, name="lifter-0").data == {"lifter": "lifter-0"}
    assert ask(front).ok
    assert front.drained == ["lifter-0", None]


def test_a_lifter_that_is_not_there_is_named() -> None:
    reply = ask(Recorder(), name="nobody")
    assert not reply.ok
    assert "no lifter 'nobody'" in reply.detail


@pytest.mark.parametrize("name", [None, "lifter-0"])
def test_only_the_admin_drains(name: str | None) -> None:
    front = Recorder()
    assert ask(front, "rig0", name=name).err == "not_allowed"
    assert front.drained == []
