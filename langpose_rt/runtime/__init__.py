"""Backends: what runs a model. `open_backend` picks one; each imports its library late."""
