"""Every network on a device, and every recording, satisfies its protocol."""

import importlib
import inspect

import pytest

from langpose_rt.runtime.cuda.device_network import CapturedWork, DeviceNetwork
from langpose_rt.runtime.cuda.graph import Graph
from tests.gpu.host_network import HostNetwork
from tests.runtime.cuda.host_driver import HostDriver
from tests.runtime.cuda.host_sum import Replay, SumNetwork

NETWORKS = {
    "torch": ("langpose_rt.runtime.torch_cuda", "TorchCudaNetwork"),
    "TensorRT": ("langpose_rt.runtime.tensorrt", "EngineNetwork"),
}


def parameters(owner: type, method: str) -> list[str]:
    return list(inspect.signature(getattr(owner, method)).parameters)


@pytest.mark.parametrize("library", [*NETWORKS, "host", "sums"])
def test_every_network_takes_what_the_protocol_gives(library: str) -> None:
    own: dict[str, type] = {"host": HostNetwork, "sums": SumNetwork}
    if library in NETWORKS:
        module, name = NETWORKS[library]
        own[library] = getattr(importlib.import_module(module), name)
    for method in ("bind", "capture", "close"):
        assert parameters(own[library], method) == parameters(DeviceNetwork, method)


@pytest.mark.parametrize("recording", [Graph, Replay])
def test_every_recording_is_launched_and_closed(recording: type) -> None:
    for method in ("launch", "close"):
        assert parameters(recording, method) == parameters(CapturedWork, method)


def test_a_network_without_its_sizes_is_none() -> None:
    network = SumNetwork(HostDriver())
    assert isinstance(network, DeviceNetwork)
    assert isinstance(Replay(lambda: None), CapturedWork)
    del network.sizes
    assert not isinstance(network, DeviceNetwork)
