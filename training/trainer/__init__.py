"""The training loop, its losses, its configuration and its command line."""
