"""A `Backend` whose window and network are on the GPU: frames go up, poses come down."""

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
    """See `langpose_rt.runtime.backend.Backend`.

    A caller who asks for the newest frame right after every `encode` gets both from one launch: the
    poses are computed with the embeddings and kept for the `lift` that follows. Whether a caller
    does that is learned from what was asked last.

    Args:
        driver: Owned from now on, and closed with the backend.
        network: Likewise.
        manifest: Of the model.
        image: The kernels of `langpose_rt.runtime.cuda.kernels`, compiled for this GPU.
        slots: Persons to remember.
        graphs: Whether steps are recorded as CUDA graphs.

    Raises:
        ConfigError: If the model keeps no ring.
        BackendError: If the device refuses.
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
            place = DeviceContext(
                driver=driver, stream=self._stream, window=self.window, network=network,
                config=config,
            )  # fmt: skip
            self._stepper = BatchRunner(place, graphs=graphs)
        self._lifts_newest = True
        self._newest: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def graphs(self) -> bool:
        """Whether steps are launched as CUDA graphs."""
        return self._stepper.graphs

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch 7"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """See `langpose_rt.runtime.backend.Backend.encode`."""
        self._check_slots(slots)
        if np.unique(slots).size != slots.size:
            raise ValueError("a slot is given twice in one step; a step holds one frame per person")
        given = {"slots": slots, "time_ns": time_ns, "rows": rows, "extras": extras}
        self._newest = None
        with self._driver.entered():
            answer = self._stepper.run(ENCODE_AND_LIFT if self._lifts_newest else ENCODE, given)
        self._fill[slots] = np.minimum(self._fill[slots] + 1, self.frames)
        if self._lifts_newest:
            self._newest = slots.copy(), answer["pose"], answer["sigma"]
        return answer["embedding"]

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
        self._lifts_newest = not (frames_back.any() or lag_s.any())
        if self._lifts_newest and self._newest is not None:
            known, pose, sigma = self._newest
            if np.array_equal(known, slots):
                return pose.copy(), sigma.copy()
        given = {"slots": slots, "frames_back": frames_back, "lag_s": lag_s}
        with self._driver.entered():
            answer = self._stepper.run(LIFT, given)
        return answer["pose"], answer["sigma"]

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """See `langpose_rt.runtime.backend.Backend.reset`."""
        self._check_slots(slots)
        self._newest = None
        different = np.unique(slots)
        if not different.size:
            return
        driver, stream = self._driver, self._stream
        with driver.entered():
            given = self._slots[: different.size]
            given[:] = different
            driver.upload(self._slots_address, given, stream)
            self.window.reset(stream, different.size, self._slots_address)
            driver.synchronize(stream)
        self._fill[different] = 0

    def close(self) -> None:
        """See `langpose_rt.runtime.backend.Backend.close`."""
        try:
            with self._driver.entered():
                self._stepper.close()
                self._network.close()
        except BackendError:
            return  # closed before, or a device that has failed and keeps what it has
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
    """A backend with a driver and kernels of its own.

    Args:
        network_from: Opens the network, in the context of the driver.
        manifest: Of the model.
        capability: Of the GPU, as ``8.9``.
        slots: Persons to remember.
        graphs: Whether steps are recorded as CUDA graphs.

    Raises:
        ConfigError: If the machine lacks a driver library or a compiler, or the model does not fit.
        BackendError: If the device refuses.
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
