"""TensorRT flavors: TensorRT and TensorRT-RTX, and all differences between them.

Code that builds or runs engines takes the imported module as an argument and reads every difference
from its `Flavor`, so it does not depend on which flavor it has.
"""

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from langpose_rt.errors import ConfigError
from langpose_rt.runtime.gpu_info import Gpu


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """Properties of one TensorRT variant.

    Attributes:
        name: ``tensorrt`` or ``rtx``.
        title: Product name, for messages.
        module: Python module to import.
        extra: Extra of this package that installs it.
        oldest: Oldest supported version.
        capabilities: Compute capabilities it builds for; None is any from 7.5 on.
        builds_anywhere: True if it builds for GPUs that are not in this machine, which must then be
            named; it does not time kernels, so it has no timing cache.
        tied_to_gpu: True if an engine runs only with the GPU model and driver it was built on.
    """

    name: str
    title: str
    module: str
    extra: str
    oldest: tuple[int, int]
    capabilities: tuple[str, ...] | None
    builds_anywhere: bool
    tied_to_gpu: bool

    def check_capability(self, capability: str) -> None:
        """Reject a compute capability it cannot build for.

        Raises:
            ConfigError: With the supported capabilities and the next step.
        """
        if self.capabilities is None:
            known = "7.5 or newer"
            fits = _version(capability) >= _OLDEST_CAPABILITY
        else:
            known = ", ".join(self.capabilities)
            fits = capability in self.capabilities
        if not fits:
            hint = "; try --flavor tensorrt" if self.capabilities is not None else ""
            raise ConfigError(
                f"{self.title} has no engines for compute capability {capability}, "
                f"only for {known}{hint}"
            )


FLAVORS = {
    flavor.name: flavor
    for flavor in (
        Flavor(
            name="tensorrt", title="TensorRT", module="tensorrt", extra="gpu", oldest=(10, 12),
            capabilities=None, builds_anywhere=False, tied_to_gpu=True,
        ),
        Flavor(
            name="rtx", title="TensorRT-RTX", module="tensorrt_rtx", extra="rtx", oldest=(1, 7),
            capabilities=("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"), builds_anywhere=True,
            tied_to_gpu=False,
        ),
    )
}  # fmt: skip
_OLDEST_CAPABILITY = (7, 5)


def select_flavor(name: str, gpu: Gpu | None) -> Flavor:
    """Return the flavor of a name.

    Args:
        name: ``auto`` or one of FLAVORS. ``auto`` is TensorRT if it is installed and there is a
            GPU, else TensorRT-RTX.
        gpu: GPU of this machine, if any.

    Raises:
        ConfigError: If the flavor is unknown or not installed.
    """
    if name == "auto":
        name = "tensorrt" if gpu is not None and find_spec("tensorrt") is not None else "rtx"
        if find_spec(FLAVORS[name].module) is None:
            raise ConfigError(
                'neither TensorRT nor TensorRT-RTX is installed; pip install ".[gpu]" or ".[rtx]"'
            )
    if name not in FLAVORS:
        raise ConfigError(f"unknown flavor {name!r}; expected auto, {', '.join(FLAVORS)}")
    flavor = FLAVORS[name]
    if find_spec(flavor.module) is None:
        raise ConfigError(f'{flavor.title} is not installed; pip install ".[{flavor.extra}]"')
    return flavor


def import_tensorrt(flavor: Flavor) -> Any:
    """Import the module of a flavor.

    Call `langpose_rt.runtime.gpu_info.probe` before constructing objects of it.

    Raises:
        ConfigError: If it cannot be imported or is too old.
    """
    try:
        module = importlib.import_module(flavor.module)
    except (ImportError, OSError) as error:
        raise ConfigError(f"{flavor.title} cannot be imported: {error}") from None
    if _version(module.__version__) < flavor.oldest:
        raise ConfigError(
            f"{flavor.title} {module.__version__} is too old; "
            f"expected {'.'.join(map(str, flavor.oldest))} or newer"
        )
    return module


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
