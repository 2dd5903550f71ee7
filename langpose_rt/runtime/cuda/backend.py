"""GPU backend: window and network on the device; uploads joint inputs, downloads poses."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import Manifest
from langpose_rt.runtime.cuda.batch_runner import BatchRunner
from langpose_rt.runtime.cuda.device_network import DeviceNetwork
from langpose_rt.runtime.cuda.device_window import DeviceWindow
from langpose_rt.runtime.cuda.driver import Driver
from langpose_rt.runtime.cuda.driver_registry import open_driver
from langpose_rt.runtime.cuda.kernels import SIGNATURES, window_kernels
from langpose_rt.runtime.cuda.step_programs import ENCODE, ENCODE_AND_LIFT, LIFT, DeviceContext


class CudaBackend:
    """Implements `langpose_rt.runtime.backend.Backend` on the GPU.

    For a caller that lifts the latest frame right after every `encode`, both run in one launch: the
    poses are computed with the embeddings and kept for the `lift` that follows. The last `lift`
    decides whether the next `encode` does so.

    Args:
        driver: Driver; owned by the backend and closed with it.
        network: Network; owned by the backend and closed with it.
        manifest: Manifest of the model.
        image: Kernels of `langpose_rt.runtime.cuda.kernels`, compiled for this GPU.
        slots: Number of slots, one per person.
        graphs: Capture steps as CUDA graphs.

    Raises:
        ConfigError: If the model keeps no ring.
        BackendError: If the device reports an error.
    """

    def __init__(
        self,
        driver: Driver,
        network: DeviceNetwork,
        manifest: Manifest,
        image: bytes,
        *,
        slots: int,
        graphs: bool = True,
    ) -> None:
        config = manifest.model_config
        if not config.causal or config.window < 1:
            raise ConfigError(
                f"model {manifest.name!r} keeps no ring (causal {config.causal}, "
                f"window {config.window}); serve a causal model"
            )
        self.name, self.precision, self.manifest = network.name, network.precision, manifest
        self.slots, self.frames = slots, config.window
        self._driver, self._network = driver, network
        self._fill = np.zeros(slots, np.int32)
        with driver.entered():
            kernels = driver.kernels(image, SIGNATURES)
            self.window = DeviceWindow(driver, kernels, config, slots, stored=network.stored)
            self._stream = driver.stream()
            self._slots = driver.pinned_memory(4 * slots).view(np.int32)
            self._slots_address = driver.device_memory(4 * slots)
            context = DeviceContext(
                driver=driver, stream=self._stream, window=self.window, network=network,
                config=config,
            )  # fmt: skip
            self._runner = BatchRunner(context, graphs=graphs)
        self._lifts_latest = True
        self._latest: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def graphs(self) -> bool:
        """True if steps are launched as CUDA graphs."""
        return self._runner.graphs

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch extra"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """See `langpose_rt.runtime.backend.Backend.encode`."""
        self._check_slots(slots)
        if np.unique(slots).size != slots.size:
            raise ValueError("a slot is given twice in one step; a step holds one frame per person")
        inputs = {"slots": slots, "time_ns": time_ns, "rows": rows, "extras": extras}
        self._latest = None
        with self._driver.entered():
            outputs = self._runner.run(ENCODE_AND_LIFT if self._lifts_latest else ENCODE, inputs)
        self._fill[slots] = np.minimum(self._fill[slots] + 1, self.frames)
        if self._lifts_latest:
            self._latest = slots.copy(), outputs["pose"], outputs["sigma"]
        return outputs["embedding"]

    def lift(
        self,
        slots: Int[np.ndarray, " batch"],
        frames_back: Int[np.ndarray, " batch"],
        lag_s: Float[np.ndarray, " batch"],
    ) -> tuple[Float[np.ndarray, "batch 17 3"], Float[np.ndarray, "batch 17"]]:
        """See `langpose_rt.runtime.backend.Backend.lift`."""
        self._check_slots(slots)
        missing = (frames_back < 0) | (frames_back >= self._fill[slots])
        if missing.any():
            slot, back = slots[missing][0], frames_back[missing][0]
            raise IndexError(f"slot {slot} does not hold the frame {back} back")
        self._lifts_latest = not (frames_back.any() or lag_s.any())
        if self._lifts_latest and self._latest is not None:
            lifted_slots, pose, sigma = self._latest
            if np.array_equal(lifted_slots, slots):
                return pose.copy(), sigma.copy()
        inputs = {"slots": slots, "frames_back": frames_back, "lag_s": lag_s}
        with self._driver.entered():
            outputs = self._runner.run(LIFT, inputs)
        return outputs["pose"], outputs["sigma"]

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """See `langpose_rt.runtime.backend.Backend.reset`."""
        self._check_slots(slots)
        self._latest = None
        distinct = np.unique(slots)
        if not distinct.size:
            return
        driver, stream = self._driver, self._stream
        with driver.entered():
            pinned = self._slots[: distinct.size]
            pinned[:] = distinct
            driver.upload(self._slots_address, pinned, stream)
            self.window.reset(stream, distinct.size, self._slots_address)
            driver.synchronize(stream)
        self._fill[distinct] = 0

    def close(self) -> None:
        """See `langpose_rt.runtime.backend.Backend.close`."""
        try:
            with self._driver.entered():
                self._runner.close()
                self._network.close()
        except BackendError:
            return  # already closed, or the device has failed and cannot free anything
        finally:
            self._driver.close()

    def _check_slots(self, slots: np.ndarray) -> None:
        outside = slots[(slots < 0) | (slots >= self.slots)]
        if outside.size:
            raise IndexError(f"slot {outside[0]} is outside the window of {self.slots} slots")


def cuda_backend(
    network_from: Callable[[Driver], DeviceNetwork],
    manifest: Manifest,
    capability: str,
    *,
    slots: int,
    graphs: bool = True,
) -> CudaBackend:
    """Open a backend with its own driver and kernels.

    Args:
        network_from: Opens the network, in the context of the driver.
        manifest: Manifest of the model.
        capability: Compute capability of the GPU, such as ``8.9``.
        slots: Number of slots, one per person.
        graphs: Capture steps as CUDA graphs.

    Raises:
        ConfigError: If the machine lacks a driver library or a compiler, or the model keeps no
            ring.
        BackendError: If the device reports an error.
    """
    image = window_kernels(capability)
    driver = open_driver()
    try:
        with driver.entered():
            network = network_from(driver)
        return CudaBackend(driver, network, manifest, image, slots=slots, graphs=graphs)
    except BaseException:
        driver.close()
        raise
