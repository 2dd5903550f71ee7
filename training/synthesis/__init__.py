"""Synthesise training batches from motion capture: windows, bodies, cameras, detector noise."""
