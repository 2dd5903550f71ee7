"""Files of 2D detectors: OpenPose folders, JSON of AlphaPose, MMPose and MediaPipe."""
