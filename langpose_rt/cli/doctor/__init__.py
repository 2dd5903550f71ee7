"""Checks of `langpose-rt doctor`."""
