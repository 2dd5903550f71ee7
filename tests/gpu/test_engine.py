"""Engines on a device: FP16 parity in mm, batches and profiles, failure.

On a GPU the engines are built here with every TensorRT that is installed and fits; on CPU threads
`host_engine.py` stands for TensorRT and its numbers are those of the FP16 graph.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from langpose_rt.engine.acceptance import check_parity
from langpose_rt.engine.build_config import BuildConfig
from langpose_rt.engine.engine_builder import Toolchain, build_engine_folder
from langpose_rt.engine.fp16_graph import onnx_to_fp16
from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import Engine, EngineParity, EnginePart, Manifest, read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL
from langpose_rt.runtime.cuda.backend import CudaBackend
from langpose_rt.runtime.cuda.driver_registry import open_driver
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.parity import ParityClip, demo_parity_clip, lift_clip, parity
from langpose_rt.runtime.registry import open_backend
from langpose_rt.runtime.tensorrt import EngineNetwork
from langpose_rt.runtime.tensorrt_flavor import FLAVORS, import_tensorrt
from tests.gpu.conftest import ON_CPU
from tests.gpu.host_engine import HostTensorRT

pytestmark = pytest.mark.gpu

BATCH = (1, 4)
FRAMES = 40


@dataclass
class Built:
    """A model with an engine, and what runs it."""

    trt: Any
    flavor: str
    folder: Path
    manifest: Manifest
    engine: Engine
    image: bytes

    def open(self, *, slots: int = 6, graphs: bool = True) -> CudaBackend:
        driver = open_driver()
        try:
            with driver.entered():
                network = EngineNetwork(self.trt, FLAVORS[self.flavor], self.folder, self.engine)
            return CudaBackend(
                driver, network, self.manifest, self.image, slots=slots, graphs=graphs
            )
        except BackendError:
            driver.close()
            raise


@pytest.fixture(scope="module")
def clip() -> ParityClip:
    whole = demo_parity_clip()
    return ParityClip(
        whole.name, whole.rows[:FRAMES], whole.extras[:FRAMES], whole.time_ns[:FRAMES]
    )


def on_host(folder: Path, config: BuildConfig, image: bytes) -> Built:
    manifest = read_manifest(DEFAULT_MODEL)
    parts = {}
    for name in ("encoder", "lifter"):
        data = onnx_to_fp16(onnx.load(DEFAULT_MODEL / f"{name}.onnx")).SerializeToString()
        (folder / f"{name}.engine").write_bytes(data)
        parts[name] = EnginePart(
            file=f"{name}.engine", sha256="", size_bytes=len(data), graph_sha256="", build_s=0.0,
            network_half=0.4, engine_half=None, inputs={}, outputs={}, flags=[],
        )  # fmt: skip
    engine = Engine(
        flavor="tensorrt", version="0", targets=["9.0"], gpu=ON_CPU, driver="0",
        model_sha256=manifest.sha256, optimization_level=0, profiles=config.profiles,
        made_by="test", command="test", date="2026-01-01", **parts,
    )  # fmt: skip
    return Built(HostTensorRT(config.profiles), "tensorrt", folder, manifest, engine, image)


@pytest.fixture(scope="module", params=list(FLAVORS))
def built(
    request: pytest.FixtureRequest,
    gpu: Gpu,
    image: bytes,
    clip: ParityClip,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Built]:
    folder, flavor = tmp_path_factory.mktemp("engine"), FLAVORS[request.param]
    config = BuildConfig(batch=BATCH, targets=(gpu.compute_capability,), optimization_level=1)
    if gpu.name == ON_CPU:
        if flavor.name != "tensorrt":
            pytest.skip("one stand-in is enough")
        yield on_host(folder, config, image)
        return
    try:
        trt = import_tensorrt(flavor)
        flavor.check_capability(gpu.compute_capability)
    except ConfigError as error:
        pytest.skip(str(error))
    tools = Toolchain(trt=trt, flavor=flavor, gpu=gpu)
    build_engine_folder(DEFAULT_MODEL, folder / "live", tools, config, clip, command="test")
    manifest = read_manifest(folder / "live")
    (product,) = manifest.engines.values()
    yield Built(trt, flavor.name, folder / "live", manifest, product.engine, image)


@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "enqueued"])
def test_an_engine_is_within_half_a_millimetre_of_float32(
    built: Built, clip: ParityClip, graphs: bool
) -> None:
    backend = built.open(graphs=graphs)
    assert backend.graphs == graphs
    measured = parity(backend, open_backend(DEFAULT_MODEL, "onnx"), clip)
    backend.close()
    assert measured.mean_mm > 0, "half is not float32"
    check_parity(
        EngineParity(
            clip=measured.clip, frames=measured.frames, mean_mm=measured.mean_mm,
            worst_mm=measured.worst_mm, evaluator="", reference="",
        )
    )  # fmt: skip


def test_nobodys_pose_depends_on_how_many_are_in_the_room(built: Built, clip: ParityClip) -> None:
    backend = built.open()
    clip = clip.for_backend(backend)
    alone, _ = lift_clip(backend, clip)
    people = np.arange(6, dtype=np.int32)  # a batch of four and one of two, padded
    backend.reset(people)
    together = []
    for index in range(len(clip.rows)):
        here = np.full(6, index)
        backend.encode(clip.rows[here], clip.extras[here], people, clip.time_ns[here])
        pose, _ = backend.lift(people, np.zeros(6, np.int32), np.zeros(6, np.float32))
        together.append(pose)
    backend.close()
    distance_mm = 1e3 * np.linalg.norm(np.stack(together) - alone[:, None], axis=-1)
    assert distance_mm.mean() < 0.5
    assert distance_mm.max() < 3.0


def test_an_engine_that_cannot_be_opened_says_what_tensorrt_says(
    built: Built, tmp_path: Path
) -> None:
    (tmp_path / built.engine.encoder.file).write_bytes(b"damaged")
    broken = Built(**(vars(built) | {"folder": tmp_path}))
    with pytest.raises(BackendError, match=r"TensorRT.* cannot open encoder.*: \S"):
        broken.open()


def test_an_engine_that_fails_in_a_step_is_one_sentence(built: Built, clip: ParityClip) -> None:
    if not isinstance(built.trt, HostTensorRT):
        pytest.skip("a real engine cannot be told to fail")
    backend = built.open(graphs=False)
    built.trt.engines[-2].broken = True
    clip = clip.for_backend(backend)
    with pytest.raises(BackendError, match="TensorRT failed in the encoder: the engine was told"):
        backend.encode(clip.rows[:1], clip.extras[:1], np.zeros(1, np.int32), clip.time_ns[:1])
    backend.close()


def test_every_batch_size_has_a_context_of_its_own(built: Built) -> None:
    if not isinstance(built.trt, HostTensorRT):
        pytest.skip("TensorRT does not say how many contexts it has made")
    before = built.trt.contexts
    built.open().close()
    assert built.trt.contexts - before == 3 * 4, "encoder twice and lifter twice at 1, 2 and 4"
