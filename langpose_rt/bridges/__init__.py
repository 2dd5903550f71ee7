"""Poses in the words of other programs: what is said, not how it is sent."""
