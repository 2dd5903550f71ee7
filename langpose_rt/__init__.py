"""langpose-rt: live 2D keypoints in, 3D human poses out."""

__version__ = "0.1.0"
