"""Check of a model folder: files, parity and licence."""

from pathlib import Path

from langpose_rt.cli.doctor.check import Check
from langpose_rt.manifest import Manifest, read_manifest


def check_model(folder: Path) -> list[Check]:
    """Check the manifest, the hash of every file, and the card.

    Args:
        folder: Model folder.

    Raises:
        ModelError: If a file is missing or damaged.
    """
    manifest = read_manifest(folder)
    product = manifest.products.get("fp32")
    if product is None:
        found = f"{manifest.name} has no float32 graph"
        advice = "export it again: langpose-rt export CHECKPOINT --out FOLDER"
        return [Check(name="model", verdict="fail", found=found, advice=advice), _card(manifest)]
    parity = product.parity
    found = (
        f"{manifest.name} {manifest.sha256[:12]} of {manifest.date}, fp32: whole; "
        f"{parity.mean_mm:.4f} mm from float32 torch on the mean, {parity.worst_mm:.4f} at worst "
        f"({parity.frames} frames of {parity.clip})"
    )
    return [Check(name="model", verdict="ok", found=found), _card(manifest)]


def _card(manifest: Manifest) -> Check:
    licence, data = manifest.card.get("licence"), manifest.card.get("data")
    learnt = ", ".join(data) if isinstance(data, dict) else "not stated"
    found = f"licence: {licence or 'not stated'}"
    if learnt not in str(licence):
        found += f"; trained on: {learnt}"
    if licence:
        return Check(name="weights", verdict="ok", found=found)
    advice = "ask who trained them; card.licence of the checkpoint says it to 'langpose-rt export'"
    return Check(name="weights", verdict="warn", found=found, advice=advice)
