"""The small maps of a pose keep their names on the wire and refuse what cannot be."""

import msgspec
import pytest

from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.protocol.provenance import Drops, Latency, ModelStamp, Source, WindowFill

WIRE = {
    Source(1, 2, 3): {"epoch": 1, "seq": 2, "t": 3},
    Latency(1, 2, 3, 4, 5): {"rx": 1, "win": 2, "lift": 3, "post": 4, "tx": 5},
    ModelStamp("live"): {"id": "live", "sha256": "", "precision": "fp32", "backend": "onnx"},
    WindowFill(16, (4, 16), 7): {"frames": 16, "filled": [4, 16], "lookahead_ns": 7},
    Drops(1, 2, 3, 4): {"late": 1, "dup": 2, "gap": 3, "shed": 4},
}


@pytest.mark.parametrize("value", WIRE, ids=lambda value: type(value).__name__)
def test_names_and_numbers_are_those_on_the_wire(value: msgspec.Struct) -> None:
    raw = msgspec.msgpack.encode(value)
    assert msgspec.msgpack.decode(raw) == WIRE[value]  # type: ignore[index]
    assert msgspec.msgpack.decode(raw, type=type(value)) == value


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Source, {"epoch": -1, "seq": 0, "t": 0}),
        (Source, {"epoch": MAX_UINT + 1, "seq": 0, "t": 0}),
        (Source, {"epoch": 0, "seq": 0}),
        (WindowFill, {"frames": 16, "filled": [-1]}),
        (Drops, {"late": 1.5}),
        (ModelStamp, {}),
    ],
)
def test_what_cannot_be_is_refused(kind: type, wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, kind)


def test_a_latency_may_be_negative_where_a_clock_was_set_back() -> None:
    assert msgspec.convert({"rx": -5}, Latency).rx == -5
