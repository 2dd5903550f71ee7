"""Capture volumes of a running pipeline: the cameras of one calibration, fused to one stream."""
