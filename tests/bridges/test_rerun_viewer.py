"""Rerun viewer process: a running one is used, a failed start is one error."""

import socket

import pytest

from langpose_rt.bridges.rerun_viewer import RerunViewer
from langpose_rt.errors import LangPoseError


def test_a_viewer_that_listens_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        viewer = RerunViewer(port)
        viewer.check()
        assert viewer.url == f"rerun+http://127.0.0.1:{port}/proxy"


def test_a_viewer_that_cannot_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(LangPoseError, match=r"cannot start \(.+\); write a file with --save"):
        RerunViewer(port)
