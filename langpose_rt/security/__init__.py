"""Manage CURVE keys, key files and the allow-list of clients."""
