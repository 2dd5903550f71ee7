"""The live viewer in a real browser, on a real server.

LANGPOSE_SCREENSHOTS names a folder to keep pictures in.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.benchmark.playback import publisher_of_clip
from langpose_rt.client.address import Connection
from tests.end_to_end.test_commands import started


@contextmanager
def serving(http_port: int = 0) -> Iterator[Any]:
    ports = ("--port", "0", "--http-port", http_port, "--json", "--max-wait-ms", "10000")
    with started("serve", *ports) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())


@contextmanager
def crowded(port: int, persons: int, rate_hz: float) -> Iterator[None]:
    """A rig that sees so many people until the block ends."""
    over = threading.Event()
    crowd = Crowd(persons, rate_hz=rate_hz, first_ns=time.time_ns())

    def publish() -> None:
        where = Connection(endpoint=f"tcp://127.0.0.1:{port}")
        with publisher_of_clip(crowd.clip, where, "rig0", "cam0") as publisher:
            publisher.wait_for_server(20.0)
            frame = 0
            while not over.wait(1 / rate_hz):
                publisher.publish(crowd.keypoints(frame), list(range(persons)), time.time_ns())
                frame += 1

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def drawn(page: Any, persons: int) -> None:
    page.wait_for_function(f"() => document.body.dataset.skeletons == '{persons}'")
    page.wait_for_function(
        f"() => document.querySelectorAll('#labels .person').length == {persons}"
    )


def shows(page: Any, selector: str, *texts: str) -> None:
    """Wait until an element contains one of the texts: it may be a status message later."""
    page.wait_for_function(
        "([where, texts]) => texts.some("
        "(text) => document.querySelector(where).textContent.includes(text))",
        arg=[selector, list(texts)],
    )


def keep_picture(page: Any, name: str) -> None:
    if folder := os.environ.get("LANGPOSE_SCREENSHOTS"):
        page.wait_for_timeout(4000)
        page.screenshot(path=Path(folder) / f"{name}.jpg", type="jpeg", quality=85)


@pytest.mark.parametrize(("persons", "rate_hz"), [(1, 60.0), (20, 10.0)])
def test_everybody_is_drawn_with_an_id_and_the_latency_lives(
    page: Any, persons: int, rate_hz: float
) -> None:
    with serving() as said, crowded(said["port"], persons, rate_hz):
        page.goto(f"http://127.0.0.1:{said['http_port']}/")
        drawn(page, persons)
        shows(page, "#state", "ready", "degraded")
        shows(page, "#streams", "rig0/cam0")
        assert page.text_content("#persons") != "–"
        first = page.text_content("#streams")
        page.wait_for_function(
            "was => document.querySelector('#streams').textContent != was", arg=first
        )
        page.click("#twod")
        page.wait_for_selector(f"#pictures figure[data-people='{persons}']")
        keep_picture(page, f"viewer_{persons}")
        assert page.complaints == []


def test_a_page_says_that_the_server_went_and_finds_the_next_one(page: Any) -> None:
    with serving() as said:
        page.goto(f"http://127.0.0.1:{said['http_port']}/")
        shows(page, "#state", "ready")
    shows(page, "#banner", "cannot be reached")
    with serving(said["http_port"]) as again, crowded(again["port"], 1, 30.0):
        drawn(page, 1)
        assert "cannot be reached" not in page.text_content("#banner")
        page.wait_for_selector("#banner", state="hidden")  # once the server says that it is ready


def test_nobody_is_drawn_while_the_server_cannot_be_reached(page: Any) -> None:
    with serving() as said, crowded(said["port"], 2, 30.0):
        page.goto(f"http://127.0.0.1:{said['http_port']}/")
        drawn(page, 2)
    shows(page, "#banner", "cannot be reached")
    drawn(page, 0)
    assert page.is_visible("#banner")
    assert page.text_content("#state") == "unreachable"
