"""Checkpoints: weights, config and model card in one safetensors file, which holds no code."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from langpose_rt.config import config_from_dict
from langpose_rt.errors import ModelError
from langpose_rt.model.langpose import LangPose

_KIND = "langpose-rt checkpoint 1"


def save(path: Path, model: LangPose, card: dict[str, Any], *, fp16: bool = False) -> None:
    """Write a checkpoint.

    Args:
        path: A ``.safetensors`` file; replaced atomically.
        model: Weights and config.
        card: Model card: data, licences, seed, command, validation.
        fp16: Store float16, for shipping; training keeps float32.
    """
    dtype = torch.float16 if fp16 else torch.float32
    tensors = {
        name: value.detach().cpu().to(dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    header = {"kind": _KIND, "config": json.dumps(model.config.to_dict()), "card": json.dumps(card)}
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, header)
    part.replace(path)


def load(path: Path) -> tuple[LangPose, dict[str, Any]]:
    """Load the model of a checkpoint in float32 and evaluation mode, and its card.

    Raises:
        ModelError: If the file is missing, damaged, or not a langpose-rt checkpoint.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}; train one with 'python -m training.pretrain'")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a readable safetensors file ({error})") from error
    if header.get("kind") != _KIND:
        raise ModelError(
            f"{path} is not a langpose-rt checkpoint; its kind is {header.get('kind')!r}"
        )
    model = LangPose(config_from_dict(json.loads(header["config"])))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"{path} does not fit its own config: {str(error).splitlines()[0]}"
        ) from error
    return model.eval(), json.loads(header["card"])
