"""Load generation and performance measurement."""
