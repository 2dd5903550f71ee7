"""Export a checkpoint to a model folder: ONNX encoder and lifter, hashes, and parity in mm.

Weights are stored as FP16 and computed in float32: ONNX Runtime casts them once, on loading. The
exported checkpoint is rounded the same way, so torch and ONNX use the same weights.
"""

import contextlib
import datetime
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from onnx import numpy_helper

import langpose_rt
from langpose_rt.config import (
    ENCODER_INPUTS,
    ENCODER_OUTPUTS,
    LIFTER_INPUTS,
    LIFTER_OUTPUTS,
    RayRefinement,
)
from langpose_rt.errors import ConfigError
from langpose_rt.manifest import (
    MANIFEST_NAME,
    MANIFEST_VERSION,
    Manifest,
    Product,
    file_sha256,
    write_manifest,
)
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import LangPose, with_flip_averaging
from langpose_rt.model.step_graphs import EncoderStep, LifterStep, example_inputs
from langpose_rt.runtime.onnx import OnnxNetwork
from langpose_rt.runtime.parity import ParityClip, parity
from langpose_rt.runtime.ring_backend import RingBackend
from langpose_rt.runtime.torch import CHECKPOINT_NAME, TorchNetwork

OPSET = 20  # the first with GELU as one node
_MIN_FP16_SIZE = 64
_FILES = (CHECKPOINT_NAME, "encoder.onnx", "lifter.onnx")


def model_folder_from_checkpoint(
    path: Path,
    folder: Path,
    clip: ParityClip,
    *,
    command: str,
    mirrored: bool | None = None,
) -> Manifest:
    """Export a checkpoint and measure the parity of the result on a clip.

    Args:
        path: Checkpoint.
        folder: Target folder; created if missing, files of an earlier export are replaced.
        clip: Real keypoints the parity is measured on.
        command: Command line, written into the manifest.
        mirrored: Flip averaging on or off; None keeps the checkpoint's setting.

    Returns:
        The written manifest.

    Raises:
        ModelError: If the checkpoint cannot be read.
        ConfigError: If the model keeps no ring and cannot be served.
    """
    model, card = checkpoint.load(path)
    if not model.config.causal or model.config.window < 1:
        raise ConfigError(
            f"model {model.config.name!r} keeps no ring; only causal models are exported"
        )
    if mirrored is not None:
        model = with_flip_averaging(model, mirrored=mirrored)
    _check_target(path, folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        built = Path(scratch)
        manifest = _built(model, card, built, clip, command=command)
        _install(built, folder, manifest)
    return manifest


def _check_target(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}; choose another") from None
    target = folder / CHECKPOINT_NAME
    if target.exists() and target.samefile(path):
        raise ConfigError(f"exporting into {folder} would overwrite {path}; choose another --out")


def _install(built: Path, folder: Path, manifest: Manifest) -> None:
    """Move finished files into place; the manifest is removed first and written last."""
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for name in manifest.files:
        (built / name).replace(folder / name)
        (folder / name).chmod(0o644)
    write_manifest(folder, manifest)


def _built(
    model: LangPose,
    card: dict[str, Any],
    folder: Path,
    clip: ParityClip,
    *,
    command: str,
) -> Manifest:
    checkpoint.save(folder / CHECKPOINT_NAME, model, card, fp16=True)
    model, _ = checkpoint.load(folder / CHECKPOINT_NAME)
    _write_graphs(model, folder)
    files = {name: file_sha256(folder / name) for name in _FILES}
    manifest = Manifest(
        version=MANIFEST_VERSION,
        name=model.config.name,
        made_by=f"langpose-rt {langpose_rt.__version__}",
        command=command,
        date=datetime.date.today().isoformat(),
        config=model.config.to_dict(),
        card=card,
        files=files,
        products={},
        opset=OPSET,
        ray_refinement=RayRefinement() if model.config.input == "anchored" else None,
    )
    product = _product(folder, manifest, clip, model)
    return msgspec.structs.replace(manifest, products={"fp32": product})


def _product(folder: Path, manifest: Manifest, clip: ParityClip, model: LangPose) -> Product:
    network = OnnxNetwork(folder / "encoder.onnx", folder / "lifter.onnx", threads=1)
    reference = RingBackend(TorchNetwork(model), manifest, slots=1)
    measured = parity(RingBackend(network, manifest, slots=1), reference, clip)
    return Product(encoder="encoder.onnx", lifter="lifter.onnx", parity=measured)


def _write_graphs(model: LangPose, folder: Path) -> None:
    encoder_inputs, lifter_inputs = example_inputs(model, batch=2)
    encoder = onnx_from_module(EncoderStep(model), encoder_inputs, ENCODER_INPUTS, ENCODER_OUTPUTS)
    lifter = onnx_from_module(LifterStep(model), lifter_inputs, LIFTER_INPUTS, LIFTER_OUTPUTS)
    for graph, name in ((encoder, "encoder.onnx"), (lifter, "lifter.onnx")):
        _store_weights_fp16(graph)
        onnx.save(graph, folder / name)


@contextlib.contextmanager
def _exporter_silenced() -> Iterator[None]:
    """Silence the log and warnings of the exporter; errors are still raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def onnx_from_module(
    module: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    input_names: tuple[str, ...],
    output_names: tuple[str, ...],
) -> onnx.ModelProto:
    """Export a module to an ONNX graph with a dynamic batch and no paths of this machine.

    Args:
        module: Module to export.
        inputs: Example inputs with a batch of two.
        input_names: Names of the inputs, in order.
        output_names: Names of the outputs, in order.
    """
    batch = torch.export.Dim("batch", min=1, max=4096)
    with _exporter_silenced():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            input_names=input_names,
            output_names=output_names,
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    del graph.graph.value_info[:]
    for node in graph.graph.node:  # the exporter stores source file paths here
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(graph)
    return graph


def _store_weights_fp16(model: onnx.ModelProto) -> None:
    """Replace large float32 weights by float16 ones and a cast, in place."""
    casts = []
    for tensor in model.graph.initializer:
        large = int(np.prod(tensor.dims)) >= _MIN_FP16_SIZE
        if tensor.data_type != onnx.TensorProto.FLOAT or not large:
            continue
        name, stored = tensor.name, tensor.name + ".half"
        rounded = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(rounded, stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
