"""Conversion of pose messages to the formats of other programs; the commands do the sending."""
