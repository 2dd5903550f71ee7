"""Calibration of several cameras from a walking person."""
