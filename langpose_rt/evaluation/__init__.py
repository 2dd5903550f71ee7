"""Error metrics of 3D poses, and scores of a clip."""
