"""One training loop for every network, with checkpoints that survive an interrupted run."""

from .checkpoint import load_checkpoint
from .loop import fit, read_log

__all__ = ["fit", "load_checkpoint", "read_log"]
