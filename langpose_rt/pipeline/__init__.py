"""From keypoint messages to pose messages: bytes and times in, bytes out; no sockets."""
