"""Skeletons, keypoint formats, cameras and the person frame."""
