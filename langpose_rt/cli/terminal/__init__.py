"""Log output, progress and live tables on a terminal."""
