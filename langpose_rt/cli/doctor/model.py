"""Whether a model is whole, and what may be done with it."""

from pathlib import Path

from langpose_rt.cli.doctor.check import Check
from langpose_rt.manifest import Manifest, read_manifest


def check_model(folder: Path, precision: str) -> list[Check]:
    """The manifest, the hash of every file, and the card.

    Args:
        folder: Of the model.
        precision: As asked for; engines (``fp16``) are matched to the machine when they are opened,
            so for them, and for ``auto``, it is float32 that must be whole.

    Raises:
        ModelError: If a file is missing or damaged.
    """
    manifest = read_manifest(folder)
    precision = "fp32" if precision in {"auto", "fp16"} else precision
    product = manifest.products.get(precision)
    if product is None:
        found = f"{manifest.name} has no {precision}, only {', '.join(sorted(manifest.products))}"
        advice = f"langpose-rt export CHECKPOINT --precision fp32,{precision} --out FOLDER"
        return [Check(name="model", verdict="fail", found=found, advice=advice), _card(manifest)]
    parity = product.parity
    found = (
        f"{manifest.name} {manifest.sha256[:12]} of {manifest.date}, {precision}: whole; "
        f"{parity.mean_mm:.4f} mm from float32 torch on the mean, {parity.worst_mm:.4f} at worst "
        f"({parity.frames} frames of {parity.clip})"
    )
    return [Check(name="model", verdict="ok", found=found), _card(manifest)]


def _card(manifest: Manifest) -> Check:
    licence, data = manifest.card.get("licence"), manifest.card.get("data")
    learnt = ", ".join(data) if isinstance(data, dict) else "not stated"
    found = f"licence: {licence or 'not stated'}; trained on: {learnt}"
    if licence:
        return Check(name="weights", verdict="ok", found=found)
    advice = "ask who trained them; card.licence of the checkpoint says it to 'langpose-rt export'"
    return Check(name="weights", verdict="warn", found=found, advice=advice)
