"""Store the latest frames of many persons in K/V rings, the sliding windows of the model.

    reference.py  state and operations in NumPy: the definition
    native.py     the same functions in C++ for the CPU backends; falls back to reference.py
    rotary.py     rotary phases of capture times

Names, parameters and shapes of reference.py and native.py are equal. The CUDA kernels
(cpp_ext/sliding_window.cu) implement the same operations with the same rules.
"""
