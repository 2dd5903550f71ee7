"""The network in torch, for training and export; serving never imports it."""
