"""A rig of our own: pictures from a camera or a file, and a detector that finds people in them."""
