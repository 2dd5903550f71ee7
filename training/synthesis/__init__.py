"""Made from motion: bodies, cameras and detections that a network learns from."""
