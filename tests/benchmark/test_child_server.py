"""A server in a child process: endpoints, shutdown and start errors."""

import subprocess
from pathlib import Path

import pytest

import langpose_rt
from langpose_rt.benchmark.child_server import child_server, own_command, resident_mb
from langpose_rt.errors import ConfigError


@pytest.mark.skipif(not Path("/proc").exists(), reason="no /proc on this system")
def test_a_child_says_where_it_listens_and_ends_with_the_block(model: Path) -> None:
    with child_server(["--model", str(model)]) as server:
        assert server.announcement["model"] == "small"
        assert server.announcement["licence"] == "none needed"
        assert server.keypoint_endpoint == f"tcp://127.0.0.1:{server.announcement['port']}"
        assert server.pose_endpoint == f"tcp://127.0.0.1:{server.announcement['output_port']}"
        assert (server.resident_mb() or 0) > 10
    assert resident_mb(server.pid) is None


def test_a_child_runs_this_package_also_in_a_folder_that_holds_another(tmp_path: Path) -> None:
    (tmp_path / "langpose_rt").mkdir()
    (tmp_path / "langpose_rt" / "__init__.py").write_text("raise SystemExit('another one')\n")
    done = subprocess.run(
        [*own_command(), "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert langpose_rt.__version__ in done.stdout


def test_what_a_child_refuses_is_refused_in_its_own_words() -> None:
    with (
        pytest.raises(ConfigError, match=r"^no model at /nowhere: expected a folder"),
        child_server(["--model", "/nowhere"]),
    ):
        pass


def test_this_process_has_a_size_and_no_process_has_none() -> None:
    assert resident_mb(1 << 30) is None
