"""One training loop for every network, with checkpoints that survive a lost session."""

from .averaging import average_weights
from .checkpoint import load_checkpoint, save_checkpoint
from .loop import CHECKPOINT, Task, fit, read_log
from .weights import load_weights, save_weights

__all__ = [
    "CHECKPOINT",
    "Task",
    "average_weights",
    "fit",
    "load_checkpoint",
    "load_weights",
    "read_log",
    "save_checkpoint",
    "save_weights",
]
