"""Plausibility checks of clocks, keypoints, formats, people and cameras.

Pure functions over arrays, the same for a clip and for a live stream. Each returns a Finding, or
None for plausible numbers. The caller decides what follows: impossible numbers are refused, odd
ones are used and reported once.
"""
