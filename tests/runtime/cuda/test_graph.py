"""A CUDA graph: recorded once, launched as one, and a stream that is left as it was."""

import pytest

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda import graph as module
from langpose_rt.runtime.cuda.device_network import CapturedWork
from langpose_rt.runtime.cuda.graph import Graph
from tests.runtime.cuda.fake_bindings import UNKNOWN, FakeBindings

STREAM = 7


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeBindings:
    bindings = pytest.importorskip("cuda.bindings")
    from langpose_rt.runtime.cuda import cuda_bindings

    fake = FakeBindings()
    monkeypatch.setattr(bindings, "driver", fake)
    monkeypatch.setattr(cuda_bindings, "cuda", fake)
    return fake


def test_work_is_recorded_between_begin_and_end_and_not_run_again(cuda: FakeBindings) -> None:
    graph = Graph(lambda: cuda.calls.append(("work",)), STREAM)
    assert isinstance(graph, CapturedWork)
    assert cuda.names == [
        "cuStreamBeginCapture", "work", "cuStreamEndCapture", "cuGraphInstantiate",
        "cuGraphDestroy",
    ]  # fmt: skip
    assert cuda.calls[0] == ("cuStreamBeginCapture", STREAM, "thread local")
    recorded = cuda.calls[3][1]
    assert cuda.calls[4] == ("cuGraphDestroy", recorded)


def test_launches_go_to_the_stream_it_was_recorded_on(cuda: FakeBindings) -> None:
    graph = Graph(lambda: None, STREAM)
    cuda.calls.clear()
    graph.launch()
    graph.launch()
    graph.close()
    (name, executable, stream), again, closed = cuda.calls
    assert (name, stream) == ("cuGraphLaunch", STREAM)
    assert again == ("cuGraphLaunch", executable, STREAM)
    assert closed == ("cuGraphExecDestroy", executable)


def test_work_that_fails_ends_the_recording_and_is_heard(cuda: FakeBindings) -> None:
    def work() -> None:
        raise KeyError("of the network")

    with pytest.raises(KeyError, match="of the network"):
        Graph(work, STREAM)
    assert cuda.names == ["cuStreamBeginCapture", "cuStreamEndCapture"]


@pytest.mark.parametrize(
    ("function", "words", "asked"),
    [
        ("cuStreamBeginCapture", "beginning a graph", ["cuStreamBeginCapture"]),
        (
            "cuStreamEndCapture", "recording a graph",
            ["cuStreamBeginCapture", "work", "cuStreamEndCapture"],
        ),
        (
            "cuGraphInstantiate", "making a graph",
            ["cuStreamBeginCapture", "work", "cuStreamEndCapture", "cuGraphInstantiate",
             "cuGraphDestroy"],
        ),
    ],
)  # fmt: skip
def test_a_driver_that_refuses_says_where_and_nothing_is_left_over(
    cuda: FakeBindings, function: str, words: str, asked: list[str]
) -> None:
    cuda.failing[function] = UNKNOWN
    with pytest.raises(BackendError, match=f"CUDA failed at {words}: error 999"):
        Graph(lambda: cuda.calls.append(("work",)), STREAM)
    assert cuda.names == asked


def test_a_launch_that_fails_is_one_sentence(cuda: FakeBindings) -> None:
    graph = Graph(lambda: None, STREAM)
    cuda.failing["cuGraphLaunch"] = UNKNOWN
    with pytest.raises(BackendError, match="CUDA failed at launching a graph"):
        graph.launch()


def test_without_the_bindings_it_says_what_is_missing_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(BackendError, match=r"^cuda-bindings is not installed$"):
        Graph(lambda: pytest.fail("it ran"), STREAM)
