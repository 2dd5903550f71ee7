"""Listeners of a feed, and what is kept for them."""

from contextlib import ExitStack

import pytest

from langpose_rt.server.viewer import listeners
from langpose_rt.server.viewer.listeners import Listeners, NewestMessages


def test_one_too_many_is_refused_until_another_leaves() -> None:
    pages = Listeners(2)
    with ExitStack() as slots:
        assert [slots.enter_context(pages.slot()) for _ in range(3)] == [True, True, False]
        assert pages.count == 2
    assert pages.count == 0
    with pages.slot() as free:
        assert free


def test_the_newest_message_of_every_topic_is_kept_while_anybody_listens() -> None:
    kept = NewestMessages(b"kp2d/", 2)
    kept.offer([b"kp2d/a/", b"1"])
    assert kept.all() == {}
    with kept.slot():
        for topic, number in ((b"kp2d/a/", b"1"), (b"kp2d/b/", b"2"), (b"kp2d/a/", b"3")):
            kept.offer([topic, number])
        kept.offer([b"hb/srv/", b"4"])
        assert kept.all() == {b"kp2d/b/": [b"kp2d/b/", b"2"], b"kp2d/a/": [b"kp2d/a/", b"3"]}
        with kept.slot():
            pass
        assert len(kept.all()) == 2, "one of two has left"
    assert kept.all() == {}


def test_of_too_many_topics_the_one_heard_longest_ago_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MOST_TOPICS", 2)
    kept = NewestMessages(b"", 1)
    with kept.slot():
        for topic in (b"a", b"b", b"a", b"c"):
            kept.offer([topic])
        assert set(kept.all()) == {b"a", b"c"}
