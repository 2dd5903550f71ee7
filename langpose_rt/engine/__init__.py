"""Export a checkpoint to ONNX, build TensorRT engines, and validate both against float32."""
