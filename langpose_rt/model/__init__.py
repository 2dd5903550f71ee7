"""Provide the network in torch, for training and export; the server does not import it."""
