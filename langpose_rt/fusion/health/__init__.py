"""Health of a capture volume: cameras that moved, never fitted or sleep; how many views agree."""
