"""An engine is refused if its types, tensors or poses are not what they must be."""

import json

import pytest

from langpose_rt.engine.acceptance import (
    check_fp16_share,
    check_io,
    check_parity,
    fp16_share_of_engine,
)
from langpose_rt.errors import BuildError
from langpose_rt.manifest import EngineParity
from langpose_rt.runtime.tensors import Tensor


def parity_of(mean_mm: float, worst_mm: float) -> EngineParity:
    return EngineParity(
        clip="clip", frames=9, mean_mm=mean_mm, worst_mm=worst_mm, evaluator="the engine on X",
        reference="float32 torch",
    )  # fmt: skip


def information(**types: str) -> str:
    """As the inspector of an engine with detailed verbosity writes it."""
    outputs = [[{"Name": name, "Format/Datatype": kind}] for name, kind in types.items()]
    layers = [{"Name": f"layer {index}", "Outputs": own} for index, own in enumerate(outputs)]
    return json.dumps({"Layers": layers, "I/O Tensors": []})


def test_an_engine_is_counted_without_its_inputs_and_outputs() -> None:
    half, full = "Row major linear FP16 format", "Row major linear FP32"
    said = information(a=half, b="Half", c=full, d="Int32", pose=full)
    assert fp16_share_of_engine(said, {"pose"}) == pytest.approx(2 / 3)
    assert fp16_share_of_engine(information(a=full, pose=half), {"pose"}) == 0


def test_an_inspector_that_names_nothing_within_proves_nothing() -> None:
    assert fp16_share_of_engine(information(pose="Half"), {"pose"}) is None
    assert fp16_share_of_engine(json.dumps({"Layers": ["conv", "relu"]}), set()) is None
    check_fp16_share("encoder", None, "engine")


def test_a_silently_float32_engine_is_refused() -> None:
    check_fp16_share("encoder", 0.4, "network")
    with pytest.raises(BuildError, match="the encoder is not half: 2% of the outputs in its eng"):
        check_fp16_share("encoder", 0.02, "engine")


def test_tensors_must_be_those_a_backend_expects() -> None:
    expected = {"rows": Tensor((17, 3)), "ring": Tensor((4,), "float16")}
    found = {"rows": "float32[batch,17,3]", "ring": "float16[batch,4]"}
    check_io("encoder", found, expected)
    for wrong, sentence in (
        (found | {"ring": "float32[batch,4]"}, r"'ring' as float32\[batch,4\], expected float16"),
        (found | {"more": "float32[batch]"}, r"'more' as float32\[batch\], expected nothing"),
        ({"rows": found["rows"]}, "'ring' as nothing, expected float16"),
    ):
        with pytest.raises(BuildError, match=sentence):
            check_io("encoder", wrong, expected)


def test_poses_must_be_within_the_limits() -> None:
    check_parity(parity_of(0.5, 3.0))
    for mean_mm, worst_mm in ((0.51, 1.0), (0.1, 3.1), (float("nan"), 1.0)):
        with pytest.raises(BuildError, match=r"expected at most 0\.5 and 3 mm; nothing was writ"):
            check_parity(parity_of(mean_mm, worst_mm))
