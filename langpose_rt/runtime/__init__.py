"""Run models on a backend: `open_backend` selects one; each imports its library late."""
