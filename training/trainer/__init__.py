"""Run training: loop, losses, optimiser, configuration and command line."""
