"""One training loop for every network, with checkpoints that survive a lost session."""
