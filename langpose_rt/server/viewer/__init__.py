"""Feeds of the live viewer: poses and status, keypoints, and recordings."""
