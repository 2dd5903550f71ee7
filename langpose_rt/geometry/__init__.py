"""Skeletons, cameras, and the frames of reference poses live in."""
