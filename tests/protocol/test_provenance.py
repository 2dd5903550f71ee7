"""The small maps of a pose message's header, in the names they have on the wire."""

import msgspec

from langpose_rt.protocol.provenance import Drops


def test_the_four_old_kinds_of_loss_are_always_sent_and_failed_only_where_it_is_not_0() -> None:
    four = {"late": 0, "dup": 0, "gap": 2, "shed": 0}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Drops(gap=2))) == four
    assert msgspec.to_builtins(Drops(gap=2, failed=3)) == four | {"failed": 3}


def test_a_map_without_a_kind_of_loss_says_that_nothing_was_lost_so() -> None:
    assert msgspec.convert({"gap": 2}, Drops) == Drops(gap=2)
