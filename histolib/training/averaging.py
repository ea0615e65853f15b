"""An exponential mean of a network's weights, which is steadier than any one step of it."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["average_weights"]


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, memory: float, steps_done: int) -> None:
    """Move an average towards a network by one step.

    Statistics that a network keeps (of batch norms) are averaged like its weights (Polyak and Juditsky 1992,
    doi 10.1137/0330046, in the exponential form).

    Args:
        average: changed in place; moved to the network's device.
        network: after its step.
        memory: share of the past, in [0, 1).
        steps_done: before this one; the memory is shorter at first, so that the initial weights are soon forgotten.
    """
    memory = min(memory, (1 + steps_done) / (10 + steps_done))
    own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, mean in (*average.named_parameters(), *average.named_buffers()):
        value = own[name]
        if mean.device != value.device:
            mean.data = mean.data.to(value.device)
        if mean.is_floating_point():
            mean.data.lerp_(value.to(mean.dtype), 1 - memory)
        else:
            mean.data.copy_(value)
