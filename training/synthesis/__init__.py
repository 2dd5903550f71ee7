"""From motion capture to training batches: windows, bodies, cameras, detector noise."""
