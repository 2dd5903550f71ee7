"""Engine compatibility: select the engine of a model folder that fits this machine.

Checked before an engine is loaded, because TensorRT may crash on one that does not fit::

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
    """Properties of a machine that an engine must match.

    Attributes:
        flavor: TensorRT flavor, one of FLAVORS.
        version: Version of that TensorRT.
        gpu: GPU that runs the engine.
    """

    flavor: str
    version: str
    gpu: Gpu


def engine_matching(folder: Path, manifest: Manifest, machine: Machine) -> Engine:
    """Return the engine of a model folder that this machine can run, after checking its files.

    Args:
        folder: Model folder.
        manifest: Manifest of that folder.
        machine: Machine the engine must match.

    Raises:
        ModelError: If no engine matches, with every mismatch, or if a file's hash differs from the
            manifest.
    """
    repair = f"build it with 'langpose-rt build-engine --model {folder} --out {folder.parent}'"
    rejections = []
    for name, product in sorted(manifest.engines.items()):
        engine = product.engine
        if engine.flavor != machine.flavor:
            continue
        found = mismatches(engine, manifest, machine)
        if found:
            rejections.append(f"engine {name} was built for {'; '.join(found)}")
            continue
        for part in (engine.encoder, engine.lifter):
            check_file(folder, part.file, part.sha256, repair=repair)
        return engine
    if not rejections:
        title = FLAVORS[machine.flavor].title
        raise ModelError(f"{folder} has no {title} engine; {repair}")
    raise ModelError(f"{', and '.join(rejections)}; {repair}")


def mismatches(engine: Engine, manifest: Manifest, machine: Machine) -> list[str]:
    """List the mismatches of an engine, each as built-for value and found value.

    Args:
        engine: Engine record of a manifest.
        manifest: Manifest of the model to run.
        machine: Machine to run it on.
    """
    title, gpu = FLAVORS[engine.flavor].title, machine.gpu
    found = []
    if engine.version != machine.version:
        found.append(f"{title} {engine.version}, found {machine.version}")
    if gpu.compute_capability not in engine.targets:
        found.append(
            f"compute capability {' and '.join(engine.targets)}, found {gpu.compute_capability}"
        )
    if FLAVORS[engine.flavor].tied_to_gpu:
        if engine.gpu != gpu.name:
            found.append(f"the GPU {engine.gpu}, found {gpu.name}")
        if engine.driver != gpu.driver:
            found.append(f"driver {engine.driver}, found {gpu.driver}")
    if engine.model_sha256 != manifest.sha256:
        found.append(f"model {engine.model_sha256[:12]}, found {manifest.sha256[:12]}")
    return found
