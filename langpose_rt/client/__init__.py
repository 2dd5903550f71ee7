"""Provide client sockets: publish keypoints, subscribe to poses, send control requests."""
