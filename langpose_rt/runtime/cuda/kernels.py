"""Compile sliding_window.cu for this GPU with nvcc or NVRTC, and cache the result."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import langpose_rt
from langpose_rt.errors import ConfigError

SOURCE, HEADER = "sliding_window.cu", "sliding_window.cuh"

SIGNATURES = {
    **{f"window_push_{kind}": "PPPPPPPPPPPiiii" for kind in ("float", "half")},
    **{f"window_reset_{kind}": "PPPPPPPiiii" for kind in ("float", "half")},
    **{f"window_look_{kind}": "PPPPPPPPPPPPiiiiq" for kind in ("float", "half")},
    "window_feature_at": "PPPPPPii",
}
"""Name of every kernel to the signature of its arguments; the letters are those of `Kernel`."""

_LONGEST_COMPILE_S = 300


def window_kernels(capability: str, cache: Path | None = None) -> bytes:
    """Return the kernels as a cubin, from the cache if they are there.

    Args:
        capability: Compute capability of the GPU, such as ``8.9``.
        cache: Folder of compiled kernels; None is the user's cache.

    Raises:
        ConfigError: If there is no compiler, or it cannot compile the source.
    """
    folder = source_folder()
    name, version, compile_kernels = _compiler()
    architecture = "sm_" + capability.replace(".", "")
    key = hashlib.sha256(version.encode())
    for file in (SOURCE, HEADER):
        key.update((folder / file).read_bytes())
    cache = cache or _user_cache()
    path = cache / f"window-{architecture}-{name}-{key.hexdigest()[:16]}.cubin"
    with contextlib.suppress(OSError):
        return path.read_bytes()
    image = compile_kernels(folder, architecture)
    with contextlib.suppress(OSError):  # without a writable cache every start compiles again
        _write_atomically(path, image)
    return image


def source_folder() -> Path:
    """Return the folder of the CUDA sources: in the installed package, else in the checkout.

    Raises:
        ConfigError: If the sources are missing.
    """
    package = Path(langpose_rt.__file__).parent
    for folder in (package / "window" / "cuda", package.parent / "cpp_ext"):
        if (folder / SOURCE).is_file():
            return folder
    raise ConfigError(f"{SOURCE} is missing from this installation; install langpose-rt again")


Compile = Callable[[Path, str], bytes]


def _compiler() -> tuple[str, str, Compile]:
    """Return name, version and function of the installed compiler."""
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        done = subprocess.run(  # noqa: S603 - the compiler on the user's own PATH
            [nvcc, "--version"], capture_output=True, text=True, check=False
        )

        def by_nvcc(folder: Path, architecture: str) -> bytes:
            return cubin_from_nvcc(nvcc, folder, architecture)

        return "nvcc", done.stdout, by_nvcc
    version = nvrtc_version()
    if version is None:
        raise ConfigError(
            "the GPU kernels need a compiler once, and neither nvcc nor NVRTC is here; "
            "pip install cuda-bindings nvidia-cuda-nvrtc, or choose --backend onnx"
        )
    return "nvrtc", version, cubin_from_nvrtc


def cubin_from_nvcc(nvcc: str, folder: Path, architecture: str) -> bytes:
    """Compile with nvcc of the CUDA toolkit.

    Raises:
        ConfigError: With the first line of nvcc's output, or if it takes too long.
    """
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "window.cubin"
        command = [nvcc, "-cubin", f"-arch={architecture}", "-o", str(out), str(folder / SOURCE)]
        try:
            done = subprocess.run(  # noqa: S603 - as above
                command, capture_output=True, text=True, check=False, timeout=_LONGEST_COMPILE_S
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(
                f"nvcc took longer than {_LONGEST_COMPILE_S:g} s to compile {SOURCE} for "
                f"{architecture}; start again when the machine is idle, or choose --backend onnx"
            ) from None
        if done.returncode:
            raise ConfigError(
                f"nvcc cannot compile {SOURCE} for {architecture}: {_first_line(done)}"
            )
        return out.read_bytes()


def cubin_from_nvrtc(folder: Path, architecture: str) -> bytes:
    """Compile with NVRTC, which needs no toolkit.

    Raises:
        ConfigError: With the first line of NVRTC's log, or the status of the call that failed.
    """
    from cuda.bindings import nvrtc

    def checked(returned: tuple[Any, ...], program: Any = None) -> Any:
        status, *values = returned
        if int(status):
            reason = _log_of(nvrtc, program) or str(status)
            raise ConfigError(f"NVRTC cannot compile {SOURCE} for {architecture}: {reason}")
        return values[0] if values else None

    source, header = ((folder / name).read_bytes() for name in (SOURCE, HEADER))
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17"]
    program = checked(
        nvrtc.nvrtcCreateProgram(source, SOURCE.encode(), 1, [header], [HEADER.encode()])
    )
    try:
        checked(nvrtc.nvrtcCompileProgram(program, len(options), options), program)
        image = bytes(checked(nvrtc.nvrtcGetCUBINSize(program)))
        checked(nvrtc.nvrtcGetCUBIN(program, image))
        return image
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _log_of(nvrtc: Any, program: Any) -> str:
    """Return the first line of a compilation's log; empty without a program or a log."""
    if program is None:
        return ""
    status, size = nvrtc.nvrtcGetProgramLogSize(program)
    if int(status):
        return ""
    log = bytes(size)
    nvrtc.nvrtcGetProgramLog(program, log)
    return log.decode(errors="replace").strip("\0 \n").partition("\n")[0]


def nvrtc_version() -> str | None:
    """Return the version of NVRTC; None if it or its bindings are missing."""
    if find_spec("cuda") is None:
        return None
    try:
        from cuda.bindings import nvrtc

        _, major, minor = nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError, OSError):  # the bindings are there, the library is not
        return None
    return f"{major}.{minor}"


def _first_line(done: "subprocess.CompletedProcess[str]") -> str:
    return next(iter((done.stderr + done.stdout).strip().splitlines()), f"exit {done.returncode}")


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "langpose-rt"


def _write_atomically(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
        part.write(data)
    Path(part.name).replace(path)
