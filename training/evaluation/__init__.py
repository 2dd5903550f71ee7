"""Benchmark clips, scores and curves of trained models."""
