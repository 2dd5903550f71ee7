"""Capture rig: video source, 2D detector and publishing loop."""
