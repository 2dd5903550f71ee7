"""From a checkpoint to what runs: ONNX export, quantisation, and the proof that they still agree."""
