"""Backends on an NVIDIA GPU: the driver, the window on the device, and the steps that run on both.

driver.py    what is asked of the CUDA driver, and who answers: PyCUDA or cuda.bindings
bindings.py, pycuda.py   the two answers; graph.py captures a stream for both
kernels.py   sliding_window.cu compiled for this GPU, once
window.py    the sliding window on the device: the functions of langpose_rt.window.reference
layout.py    where the arrays of a step lie in one block of memory
programs.py  the steps of one batch size as work on a stream, at fixed addresses
stepper.py   any number of people through programs: padding, chunks, graphs, fallback
backend.py   all of it as a `langpose_rt.runtime.backend.Backend`
"""
