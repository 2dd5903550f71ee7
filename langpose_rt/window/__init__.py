"""The sliding window: the latest frames of many desynchronised persons, in rings that never move.

    reference.py  the state and what every operation means, in NumPy: the definition
    host.py       the same functions in C++, for the CPU backends; falls back to the definition

Names, parameters and shapes of the two are equal, so that one can stand in for the other. The CUDA
kernels (cpp_ext/sliding_window.cu) are a third form of the same operations, with the same rules.
"""
