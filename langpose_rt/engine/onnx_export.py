"""A checkpoint becomes a model folder: ONNX encoder and lifter, hashes, and parity in mm.

Weights are stored in half precision and computed in float32: ONNX Runtime widens them once, on
loading. The shipped checkpoint is rounded the same way, so torch and ONNX run the same numbers.
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
from langpose_rt.config import ModelConfig, RayRefinement
from langpose_rt.engine.parity import ParityClip, parity
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
from langpose_rt.model.langpose import LangPose, sided
from langpose_rt.model.step_graphs import (
    ENCODER_INPUTS,
    ENCODER_OUTPUTS,
    LIFTER_INPUTS,
    LIFTER_OUTPUTS,
    EncoderStep,
    LifterStep,
    example_inputs,
)
from langpose_rt.runtime.onnx import OnnxNetwork
from langpose_rt.runtime.ring_backend import RingBackend
from langpose_rt.runtime.torch import CHECKPOINT_NAME, TorchNetwork

OPSET = 20  # the first with GELU as one node
_SMALLEST_STORED_HALF = 64
_FILES = (CHECKPOINT_NAME, "encoder.onnx", "lifter.onnx")


def model_folder_from_checkpoint(
    path: Path,
    folder: Path,
    clip: ParityClip,
    *,
    precisions: tuple[str, ...],
    command: str,
    mirrored: bool | None = None,
) -> Manifest:
    """Export a checkpoint and prove the result on a clip.

    Args:
        path: Checkpoint.
        folder: Made if missing; files of an earlier export are replaced.
        clip: Real keypoints the parity is measured on.
        precisions: ``fp32`` and, if wanted, ``int8``.
        command: Written into the manifest.
        mirrored: Whether it answers with the mirror image; None: as the checkpoint says.

    Returns:
        The manifest, already written.

    Raises:
        ModelError: If the checkpoint cannot be read.
        ConfigError: If the model keeps no ring, and so cannot be served.
    """
    model, card = checkpoint.load(path)
    if not model.config.causal or model.config.window < 1:
        raise ConfigError(
            f"model {model.config.name!r} keeps no ring; only causal models are exported"
        )
    if mirrored is not None:
        model = sided(model, mirrored=mirrored)
    _check_target(path, folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        built = Path(scratch)
        manifest = _built(model, card, built, clip, precisions=precisions, command=command)
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
    """Move finished files into place; until the new manifest is written there is no model there."""
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    for name in (*_FILES, "encoder.int8.onnx"):
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
    precisions: tuple[str, ...],
    command: str,
) -> Manifest:
    checkpoint.save(folder / CHECKPOINT_NAME, model, card, half=True)
    model, _ = checkpoint.load(folder / CHECKPOINT_NAME)
    names = _write_graphs(model, folder, int8="int8" in precisions)
    files = {name: file_sha256(folder / name) for name in (CHECKPOINT_NAME, *names)}
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
    products = {name: _product(name, folder, manifest, clip, model) for name in precisions}
    return msgspec.structs.replace(manifest, products=products)


def _product(
    precision: str, folder: Path, manifest: Manifest, clip: ParityClip, model: LangPose
) -> Product:
    encoder = "encoder.onnx" if precision == "fp32" else "encoder.int8.onnx"
    network = OnnxNetwork(folder / encoder, folder / "lifter.onnx", precision=precision, threads=1)
    reference = RingBackend(TorchNetwork(model), manifest, slots=1)
    measured = parity(RingBackend(network, manifest, slots=1), reference, clip)
    return Product(encoder=encoder, lifter="lifter.onnx", parity=measured)


def _write_graphs(model: LangPose, folder: Path, *, int8: bool) -> list[str]:
    encoder_inputs, lifter_inputs = example_inputs(model, batch=2)
    encoder = onnx_from_module(EncoderStep(model), encoder_inputs, ENCODER_INPUTS, ENCODER_OUTPUTS)
    lifter = onnx_from_module(LifterStep(model), lifter_inputs, LIFTER_INPUTS, LIFTER_OUTPUTS)
    names = ["encoder.onnx", "lifter.onnx"]
    if int8:
        _write_int8(encoder, model.config, folder / "encoder.int8.onnx")
        names.append("encoder.int8.onnx")
    for graph, name in ((encoder, "encoder.onnx"), (lifter, "lifter.onnx")):
        _store_weights_fp16(graph)
        onnx.save(graph, folder / name)
    return names


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Silence what exporter and quantiser say about their own passes; errors are raised anyway."""
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
    """The ONNX graph of a module, any batch, with nothing of this machine in it.

    Args:
        module: What is exported.
        inputs: Example inputs with a batch of two.
        input_names: In order.
        output_names: In order.
    """
    batch = torch.export.Dim("batch", min=1, max=4096)
    with _without_chatter():
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
    for node in graph.graph.node:  # the exporter leaves file paths of this machine in here
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(graph)
    return graph


def _store_weights_fp16(model: onnx.ModelProto) -> None:
    """Replace large float32 weights by float16 ones and a cast, in place."""
    casts = []
    for tensor in model.graph.initializer:
        large = int(np.prod(tensor.dims)) >= _SMALLEST_STORED_HALF
        if tensor.data_type != onnx.TensorProto.FLOAT or not large:
            continue
        name, stored = tensor.name, tensor.name + ".half"
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _write_int8(encoder: onnx.ModelProto, config: ModelConfig, path: Path) -> None:
    """Dynamic int8 of the layers' MLPs.

    Attention and both ends of the encoder stay float32: their errors enter the ring, and with them
    in int8 the default model is three times as far off for no time saved.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as scratch, _without_chatter():
        source = Path(scratch) / "encoder.onnx"
        onnx.save(encoder, source)
        quantize_dynamic(
            source, path, weight_type=QuantType.QInt8, per_channel=True,
            op_types_to_quantize=["MatMul"], nodes_to_quantize=_mlp_products(encoder, config),
        )  # fmt: skip


def _mlp_products(encoder: onnx.ModelProto, config: ModelConfig) -> list[str]:
    """Names of the weight products of the layers' MLPs, known by their shape."""
    wide, hidden = config.width, config.width * config.mlp_ratio
    shapes = {tensor.name: tuple(tensor.dims) for tensor in encoder.graph.initializer}
    return [
        node.name
        for node in encoder.graph.node
        if node.op_type == "MatMul"
        and {shapes.get(name) for name in node.input} & {(wide, hidden), (hidden, wide)}
    ]
