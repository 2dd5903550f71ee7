"""Evaluate trained models: benchmark clips, scores, curves and published protocols."""
