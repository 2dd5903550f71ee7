"""langpose-rt: live 2D keypoints in, 3D human poses out."""

import os

__version__ = "0.1.0"

# ONNX Runtime's wheels report to Microsoft by default and keep an identifier of the machine on
# disk; it reads this once, when it is imported. Who wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
