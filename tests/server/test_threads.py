"""Threads with a socket each: how they end, and what one that fails does to the others."""

import threading

from langpose_rt.server.threads import ServingThreads

WAIT_S = 20.0


class Door:
    """Something to close."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_what_a_thread_owns_is_closed_when_its_loop_ends_and_that_is_told() -> None:
    threads, door, go = ServingThreads(lambda: 0.0), Door(), threading.Event()

    def loop(socket: Door) -> None:
        assert go.wait(WAIT_S)
        assert not socket.closed.is_set()

    threads.start("one", loop, door)
    assert threads.alive()
    assert not threads.ended["one"].is_set()
    go.set()
    threads.join()
    assert door.closed.is_set()
    assert threads.ended["one"].is_set()
    assert not threads.ended["two"].is_set()
    assert threads.failure is None
    assert not threads.stopping.is_set()


def test_a_thread_that_fails_stops_the_others_and_is_remembered() -> None:
    threads, doors = ServingThreads(lambda: 0.0), [Door(), Door()]

    def wait(_: Door) -> None:
        assert threads.stopping.wait(WAIT_S)

    def fail(_: Door) -> None:
        raise ZeroDivisionError("a fault")

    threads.start("one", wait, doors[0])
    threads.start("two", fail, doors[1])
    threads.join()
    assert isinstance(threads.failure, ZeroDivisionError)
    assert all(door.closed.is_set() for door in doors)
    assert all(event.is_set() for event in threads.ended.values())


def test_a_loop_that_does_not_turn_is_not_alive() -> None:
    now_s = [0.0]
    threads, door = ServingThreads(lambda: now_s[0]), Door()
    threads.start("one", lambda _: None, door)
    threads.join()
    now_s[0] = 4.9
    assert threads.alive()
    now_s[0] = 5.1
    assert not threads.alive()
    threads.turned("one")
    assert threads.alive()
