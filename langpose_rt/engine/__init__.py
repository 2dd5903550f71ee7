"""From a checkpoint to what runs: export, quantisation, and the proof that they still agree."""
