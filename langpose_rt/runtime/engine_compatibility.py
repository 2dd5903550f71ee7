"""Does an engine fit this machine? Asked before anything is loaded; TensorRT itself may crash.

For whoever opens an engine::

    machine = Machine(flavor="tensorrt", version=trt.__version__, gpu=probe())
    engine = engine_matching(folder, manifest, machine)
"""

from dataclasses import dataclass
from pathlib import Path

from langpose_rt.errors import ModelError
from langpose_rt.manifest import Engine, Manifest, check_file
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.tensorrt_flavor import FLAVORS


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What an engine must fit.

    Attributes:
        flavor: Which TensorRT runs it, one of FLAVORS.
        version: Of that TensorRT.
        gpu: The GPU that runs it.
    """

    flavor: str
    version: str
    gpu: Gpu


def engine_matching(folder: Path, manifest: Manifest, machine: Machine) -> Engine:
    """The engine of a model folder that this machine can run, its files checked.

    Args:
        folder: Of the model.
        manifest: Of that folder.
        machine: What it must fit.

    Raises:
        ModelError: If there is none, naming what it was built for and what was found, or if a file
            is not the one the manifest names.
    """
    repair = f"build it with 'langpose-rt build-engine --model {folder} --out {folder.parent}'"
    refusals = []
    for name, product in sorted(manifest.engines.items()):
        engine = product.engine
        if engine.flavor != machine.flavor:
            continue
        wrong = mismatches(engine, manifest, machine)
        if wrong:
            refusals.append(f"engine {name} was built for {'; '.join(wrong)}")
            continue
        for part in (engine.encoder, engine.lifter):
            check_file(folder, part.file, part.sha256, repair=repair)
        return engine
    if not refusals:
        title = FLAVORS[machine.flavor].title
        raise ModelError(f"{folder} has no {title} engine; {repair}")
    raise ModelError(f"{', and '.join(refusals)}; {repair}")


def mismatches(engine: Engine, manifest: Manifest, machine: Machine) -> list[str]:
    """Everything in which an engine does not fit, each as what it was built for and what was found.

    Args:
        engine: As recorded.
        manifest: Of the model that is to run.
        machine: What is to run it.
    """
    title, gpu = FLAVORS[engine.flavor].title, machine.gpu
    wrong = []
    if engine.version != machine.version:
        wrong.append(f"{title} {engine.version}, found {machine.version}")
    if gpu.compute_capability not in engine.targets:
        wrong.append(
            f"compute capability {' and '.join(engine.targets)}, found {gpu.compute_capability}"
        )
    if FLAVORS[engine.flavor].tied_to_gpu:
        if engine.gpu != gpu.name:
            wrong.append(f"the GPU {engine.gpu}, found {gpu.name}")
        if engine.driver != gpu.driver:
            wrong.append(f"driver {engine.driver}, found {gpu.driver}")
    if engine.model_sha256 != manifest.sha256:
        wrong.append(f"model {engine.model_sha256[:12]}, found {manifest.sha256[:12]}")
    return wrong
