"""Read public data sets, one module each."""
