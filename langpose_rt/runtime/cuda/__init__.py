"""Run models on an NVIDIA GPU: driver, sliding window on the device, steps and CUDA graphs.

driver.py            CUDA driver interface
driver_registry.py   opens PyCUDA (pycuda.py) or cuda.bindings (cuda_bindings.py)
graph.py             captures a stream as a CUDA graph, for either library
kernels.py           compiles sliding_window.cu for this GPU and caches the result
device_window.py     sliding window on the device: the functions of langpose_rt.window.reference
device_network.py    interface of a network that runs on a stream
memory_layout.py     layout of the arrays of a step in one block of memory
step_programs.py     steps of one batch size as work on a stream, at fixed addresses
batch_runner.py      batches of any size through step programs: padding, chunks, CUDA graphs
backend.py           all of it as a `langpose_rt.runtime.backend.Backend`
"""
