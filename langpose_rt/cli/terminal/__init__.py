"""Log lines, progress and live tables on a terminal."""
