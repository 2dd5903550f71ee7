"""Client sockets: publish keypoints, subscribe to poses, send control requests."""
