"""Control API: requests in, answers out, no socket."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.protocol.control import (
    LoadedCameras,
    Ports,
    Reply,
    Request,
    decode_reply,
    encode_control,
)
from langpose_rt.server.control_api import WORK_SAVED_S, WORK_SHARE, ControlApi, DutyCycle
from tests.fakes import FakeBackend
from tests.protocol.samples import CAPTURED_NS


class Watched:
    """A server as the api sees it, that remembers what it was told."""

    def __init__(self) -> None:
        self.epoch, self.ports = 11, Ports(1, 2, 3, 4)
        self.drained = self.busy = False
        self.admins: tuple[str | None, ...] = (None,)
        self.reloads: list[tuple[Path | None, Callable[[str | None], None]]] = []
        self.calibrations: list[Path] = []
        self._pipeline = Pipeline(FakeBackend())

    def snapshot(self) -> Snapshot:
        return self._pipeline.snapshot(0)

    def now_ns(self) -> int:
        return CAPTURED_NS + 100

    def may_change(self, sender: str | None) -> bool:
        return sender in self.admins

    def reload(self, folder: Path | None, on_end: Callable[[str | None], None]) -> bool:
        if self.busy:
            return False
        self.reloads.append((folder, on_end))
        return True

    def load_cameras(self, file: Path) -> LoadedCameras:
        if file.name == "broken.toml":
            raise ConfigError(f"{file} has no camera")
        self.calibrations.append(file)
        return LoadedCameras(volume=file.stem, cameras=("left", "right"), notes=("in metres",))

    def drain(self) -> None:
        self.drained = True


@pytest.fixture
def server() -> Watched:
    return Watched()


@pytest.fixture
def api(server: Watched) -> ControlApi:
    return ControlApi(server)


def ask(api: ControlApi, op: str, *, sender: str | None = None, **keys: Any) -> Reply:
    """The one answer to a request from a DEALER."""
    parts = [b"peer", encode_control(Request.of(op, **keys))]
    ((peer, raw),) = api.answer(parts, CAPTURED_NS, sender=sender)
    assert peer == b"peer"
    return decode_reply(raw)


@pytest.mark.parametrize("between", [[], [b""]])
@pytest.mark.parametrize("as_json", [False, True])
def test_the_answer_is_framed_and_encoded_as_the_request(
    api: ControlApi, between: list[bytes], as_json: bool
) -> None:
    raw = encode_control(Request.of("status", id=5), as_json=as_json)
    ((*envelope, answer),) = api.answer([b"\0peer", *between, raw], 0)
    assert envelope == [b"\0peer", *between]
    assert (answer[:1] == b"{") is as_json
    reply = decode_reply(answer)
    assert (reply.ok, reply.op, reply.id) == (True, "status", 5)
    assert reply.data["server"] == "langpose"


def test_hello_agrees_on_the_highest_version_both_speak(api: ControlApi) -> None:
    reply = ask(api, "hello", versions=(1, 7))
    assert reply.data["version"] == 1
    assert reply.data["epoch"] == 11
    assert reply.data["ports"] == {"keypoints": 1, "poses": 2, "control": 3, "http": 4}
    assert reply.data["model"]["id"] == "fake"
    assert "coco17" in reply.data["formats"]
    assert reply.data["limits"]["people"] == 64


def test_a_client_of_another_version_hears_which_are_spoken(api: ControlApi) -> None:
    header = {"p": "lprt", "v": 9, "s": "ctl/1", "op": "hello"}
    ((_, raw),) = api.answer([b"peer", msgspec.msgpack.encode(header)], 0)
    reply = decode_reply(raw)
    assert (reply.ok, reply.err, reply.versions) == (False, "unknown_version", (1,))


def test_a_schema_is_given_by_name_or_all_of_them(api: ControlApi) -> None:
    (schema,) = ask(api, "schema", name="coco17").data
    assert schema["joints"][0] == "nose"
    assert {schema["name"] for schema in ask(api, "schema").data} == set(SKELETONS)
    assert ask(api, "schema", name="octopus8").err == "unknown_format"


def test_a_clock_probe_gets_both_times_in_the_form_it_sent_its_own(api: ControlApi) -> None:
    assert ask(api, "clock", t=5).data == {"t": 5, "t_rx": CAPTURED_NS, "t_tx": CAPTURED_NS + 100}
    text = {"t": "5", "t_rx": str(CAPTURED_NS), "t_tx": str(CAPTURED_NS + 100)}
    assert ask(api, "clock", t="5").data == text
    assert ask(api, "clock").err == "bad_time"


def test_a_drain_is_answered(api: ControlApi, server: Watched) -> None:
    assert ask(api, "drain").ok
    assert server.drained


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("wrong", [None, "it is no model"])
def test_a_reload_is_answered_when_it_has_ended(
    api: ControlApi, server: Watched, wrong: str | None, as_json: bool
) -> None:
    raw = encode_control(Request.of("reload", id=8, model="/models/new"), as_json=as_json)
    assert api.answer([b"peer", b"", raw], 0) == []
    ((folder, end),) = server.reloads
    assert folder == Path("/models/new")
    assert api.deferred() == []
    end(wrong)
    ((peer, empty, answer),) = api.deferred()
    assert (peer, empty, answer[:1] == b"{") == (b"peer", b"", as_json)
    reply = decode_reply(answer)
    assert (reply.op, reply.id, reply.ok) == ("reload", 8, wrong is None)
    if wrong is None:
        assert reply.data["id"] == "fake"
    else:
        assert (reply.err, reply.detail) == ("model_refused", wrong)
    assert api.deferred() == []


def test_a_second_reload_is_refused_while_one_is_under_way(
    api: ControlApi, server: Watched
) -> None:
    server.busy = True
    assert ask(api, "reload").err == "busy"


@pytest.mark.parametrize("op", ["reload", "drain"])
def test_a_server_that_others_reach_is_not_changed_from_there(
    api: ControlApi, server: Watched, op: str
) -> None:
    server.admins = ()
    assert ask(api, op).err == "not_allowed"
    assert (server.reloads, server.drained) == ([], False)
    assert ask(api, "status").ok


@pytest.mark.parametrize("op", ["reload", "drain"])
def test_with_keys_only_one_may_change_the_server_and_all_may_ask(
    api: ControlApi, server: Watched, op: str
) -> None:
    server.admins = ("admin",)
    refused = ask(api, op, sender="viewer")
    assert refused.err == "not_allowed"
    assert "not for the key of 'viewer' but for the one that --admin names" in refused.detail
    assert (server.reloads, server.drained) == ([], False)
    assert all(ask(api, asked, sender="viewer").ok for asked in ("hello", "status", "schema"))
    parts = [b"peer", encode_control(Request.of(op))]
    api.answer(parts, CAPTURED_NS, sender="admin")
    assert (len(server.reloads), server.drained) == ((1, False) if op == "reload" else (0, True))


def test_another_calibration_is_loaded_and_answered_with_what_is_in_it(
    api: ControlApi, server: Watched
) -> None:
    reply = ask(api, "cameras", file="/rigs/studio.toml")
    assert server.calibrations == [Path("/rigs/studio.toml")]
    assert (reply.ok, reply.data["volume"]) == (True, "studio")
    assert list(reply.data["cameras"]) == ["left", "right"]
    assert list(reply.data["notes"]) == ["in metres"]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [({}, "needs file, its path"), ({"file": "/rigs/broken.toml"}, "broken.toml has no camera")],
)
def test_a_calibration_that_cannot_be_used_is_refused_with_the_reason(
    api: ControlApi, server: Watched, keys: dict[str, str], sentence: str
) -> None:
    refused = ask(api, "cameras", **keys)
    assert (refused.ok, refused.err) == (False, "cameras_refused")
    assert sentence in refused.detail
    assert server.calibrations == []


def test_another_calibration_from_another_machine_asks_for_a_restart(
    api: ControlApi, server: Watched
) -> None:
    server.admins = ()
    refused = ask(api, "cameras", file="/rigs/studio.toml")
    assert refused.err == "not_allowed"
    assert refused.detail.endswith("restart it")
    assert server.calibrations == []


@pytest.mark.parametrize("op", ["hello", "status", "schema", "reload", "drain", "cameras"])
def test_a_key_that_was_taken_out_is_answered_nothing_more(api: ControlApi, op: str) -> None:
    refused = ask(api, op, sender="")
    assert (refused.ok, refused.err, refused.data) == (False, "revoked_key", None)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b"peer"], "bad_parts"),
        ([b"peer", b""], "bad_parts"),
        ([b"peer", b"", b"", b""], "bad_parts"),
        ([b"peer", b"", b""], "bad_header"),
        ([b"peer", b"x" * 100_000], "header_too_large"),
        ([b"peer", encode_control(Request.of("dance"))], "unknown_op"),
    ],
)
def test_what_is_no_request_is_answered_with_the_reason(
    api: ControlApi, parts: list[bytes], reason: str
) -> None:
    ((peer, *_, raw),) = api.answer(parts, 0)
    assert peer == b"peer"
    assert decode_reply(raw).err == reason


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4))
def test_no_parts_raise_anything(parts: list[bytes]) -> None:
    for answer in ControlApi(Watched()).answer(parts, 0):
        assert decode_reply(answer[-1]).ok is False


def test_who_asks_without_end_gets_a_tenth_of_the_time() -> None:
    allowance, now_s, worked_s = DutyCycle(0.0), 0.0, 0.0
    while now_s < 60.0:
        began_s, now_s = now_s, now_s + 0.01
        worked_s += 0.01
        now_s += allowance.rest_s(began_s, now_s)
    assert worked_s <= 60.0 * WORK_SHARE + 2 * WORK_SAVED_S
    assert worked_s >= 0.9 * 60.0 * WORK_SHARE, "it is not starved either"


def test_who_asks_now_and_then_never_waits() -> None:
    allowance = DutyCycle(0.0)
    assert all(allowance.rest_s(float(s), s + 0.001) == 0 for s in range(100))
