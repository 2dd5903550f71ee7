"""A rig of our own: a camera or video and a 2D detector."""
