"""One training loop for every network, with checkpoints that survive an interrupted run."""

from .loop import fit

__all__ = ["fit"]
