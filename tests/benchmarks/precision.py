"""How far every precision is from float32 torch on this processor, in mm on the bundled clip.

    python -m tests.benchmarks.precision [--json]

To see another processor, limit this one: ATEN_CPU_CAPABILITY=avx2 (torch) and
NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL" (NumPy 2.4). ONNX Runtime has no such switch.
Prints machine, commit and command with the figures; asserts nothing.
"""

import argparse
import json

import msgspec
import onnx
import torch
from numpy._core._multiarray_umath import __cpu_features__ as numpy_features

from langpose_rt.cli.doctor.machine import processor
from langpose_rt.engine.fp16_graph import onnx_to_fp16
from langpose_rt.engine.fp16_reference import fp16_backend
from langpose_rt.manifest import read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.native import instruction_sets, open_native
from langpose_rt.runtime.parity import demo_parity_clip, parity
from langpose_rt.runtime.registry import open_backend
from tests.benchmarks.origin import origin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    reference, clip = open_backend(None, "torch", slots=1), demo_parity_clip()
    found = {name: parity(one, reference, clip) for name, one in contenders().items()}
    if arguments.json:
        print(json.dumps({name: msgspec.to_builtins(one) for name, one in found.items()}))
        return
    print(origin("python -m tests.benchmarks.precision"))
    print(f"instructions: {', '.join(processor()[1])}")
    print(f"torch uses {torch.backends.cpu.get_cpu_capability()}", end=", ")
    print(f"NumPy {'AVX-512' if numpy_features['X86_V4'] else 'at most AVX2'}")
    for name, one in found.items():
        print(f"{name:<40}{one.mean_mm:>10.4f} mm mean{one.worst_mm:>10.4f} mm worst joint")


def contenders() -> dict[str, Backend]:
    """Return what a CPU can run: the native step for each instruction set, and both graphs."""
    graphs = [
        onnx_to_fp16(onnx.load(DEFAULT_MODEL / f"{part}.onnx")) for part in ("encoder", "lifter")
    ]
    manifest = read_manifest(DEFAULT_MODEL)
    natives = {
        f"float32, native step, {name}": open_native(
            DEFAULT_MODEL, manifest, slots=1, precision="fp32", instruction_set=name
        )
        for name in instruction_sets()
    }
    return natives | {
        "float32, ONNX Runtime": open_backend(None, "onnx", slots=1),
        "FP16 graph of the engines, reference": fp16_backend(*graphs, manifest=manifest),
    }


if __name__ == "__main__":
    main()
