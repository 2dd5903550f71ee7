"""int8 of the default weights, measured on the real clip."""

import pytest

from langpose_rt.engine.demo import demo_parity_clip
from langpose_rt.engine.onnx_export import model_folder_from_checkpoint
from langpose_rt.manifest import Manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL
from langpose_rt.runtime.torch import CHECKPOINT_NAME


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return model_folder_from_checkpoint(
        DEFAULT_MODEL / CHECKPOINT_NAME, tmp_path_factory.mktemp("int8"), demo_parity_clip(),
        precisions=("fp32", "int8"), command="test",
    )  # fmt: skip


def test_int8_is_within_2_mm_of_float32_on_the_mean(manifest: Manifest) -> None:
    assert 0.01 < manifest.products["int8"].parity.mean_mm <= 2


def test_float32_is_torch_to_a_hundredth_of_a_millimetre(manifest: Manifest) -> None:
    assert manifest.products["fp32"].parity.worst_mm <= 0.01
