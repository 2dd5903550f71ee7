"""The files of the viewer: all there, nothing from elsewhere, nothing else reachable."""

import re

from langpose_rt.server.viewer_page import VIEWER, viewer_file


def test_the_page_names_only_files_that_are_served() -> None:
    found = viewer_file("/")
    assert found is not None
    html = found[1].decode()
    names = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert {"/viewer.css", "/viewer.js"} <= set(names)
    assert all(viewer_file(name) for name in names if name != "data:,")
    assert "http" not in html + (VIEWER / "viewer.js").read_text()


def test_no_other_file_can_be_asked_for() -> None:
    assert viewer_file("/../live/manifest.json") is None
    assert viewer_file("/LICENSE.three") is None
