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
                keypoints = crowd.keypoints(frame)
                if persons > 1:  # apart, so that the picture shows everybody
                    keypoints[..., 0] += 75.0 * (crowd._ids[:, None] - persons / 2)
                publisher.publish(keypoints, list(range(persons)), time.time_ns())
                frame += 1

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def drawn(page: Any, persons: int) -> None:
    page.wait_for_function(f"() => document.body.dataset.skeletons == '{persons}'")
    page.wait_for_function(
        f"() => document.querySelectorAll('#labels .person').length == {persons}"
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
        page.wait_for_function("() => document.querySelector('#persons').textContent != '–'")
        assert page.text_content("#state") in ("ready", "degraded")
        assert "rig0/cam0" in page.text_content("#streams")
        first = page.text_content("#streams")
        page.wait_for_function(
            "was => document.querySelector('#streams').textContent != was", arg=first
        )
        keep_picture(page, f"viewer_{persons}")
        assert page.complaints == []


def test_a_page_says_that_the_server_went_and_finds_the_next_one(page: Any) -> None:
    with serving() as said:
        page.goto(f"http://127.0.0.1:{said['http_port']}/")
        page.wait_for_function("() => document.querySelector('#state').textContent == 'ready'")
    page.wait_for_selector("#banner:not([hidden])")
    assert "cannot be reached" in page.text_content("#banner")
    with serving(said["http_port"]) as again, crowded(again["port"], 1, 30.0):
        drawn(page, 1)
        assert page.is_hidden("#banner")
