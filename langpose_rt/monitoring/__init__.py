"""Counters, snapshots, events and fault reports of a server."""
