"""Readers of other people's data sets, one module each."""
