"""CURVE keys, their files, and who may connect."""
