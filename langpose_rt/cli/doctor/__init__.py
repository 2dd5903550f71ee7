"""The checks of `langpose-rt doctor`."""
