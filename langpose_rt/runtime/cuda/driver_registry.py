"""Open the CUDA driver through PyCUDA if it is installed, else through cuda.bindings."""

from importlib.util import find_spec

from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.runtime.cuda.driver import Driver

DRIVERS = ("pycuda", "bindings")


def open_driver(name: str = "auto") -> Driver:
    """Open the driver through one of the two libraries.

    Args:
        name: One of DRIVERS; ``auto`` selects the first that is installed.

    Raises:
        ConfigError: If the library is not installed, or finds no GPU.
    """
    modules = {"pycuda": "pycuda", "bindings": "cuda.bindings"}
    installed = [driver for driver in DRIVERS if _is_installed(modules[driver])]
    chosen = next(iter(installed), None) if name == "auto" else name
    if chosen not in installed:
        wanted = "neither PyCUDA nor cuda-bindings is" if name == "auto" else f"{name} is not"
        raise ConfigError(
            f"{wanted} installed; pip install cuda-bindings, or choose --backend onnx"
        )
    try:
        if chosen == "pycuda":
            from langpose_rt.runtime.cuda.pycuda import PyCudaDriver

            return PyCudaDriver()
        from langpose_rt.runtime.cuda.cuda_bindings import BindingsDriver

        return BindingsDriver()
    except ImportError as error:  # PyCUDA links against the driver
        raise ConfigError(f"{chosen} cannot be imported: {error}") from None
    except BackendError as error:
        raise ConfigError(f"the GPU cannot be used: {error}") from None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False
