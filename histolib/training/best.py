"""Early stopping: the best validated weights of a run, and when to look for no better ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

__all__ = ["Best"]


@dataclass
class Best:
    """What validation liked best so far; part of every checkpoint.

    Attributes:
        patience: steps without a better score after which a run ends; 0 never ends it.
        value: the best score, -inf before the first.
        step: when it was reached.
        checked: the last step that was validated.
        modules: the states of the networks at that step.
    """

    patience: int = 0
    value: float = -math.inf
    step: int = 0
    checked: int = 0
    modules: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def update(self, value: float, step: int, modules: Mapping[str, nn.Module]) -> None:
        """Keep the networks if their score, of which more is better, is the highest yet (NaN never is)."""
        self.checked = step
        if value > self.value:
            self.value, self.step = value, step
            self.modules = {
                name: {key: tensor.detach().cpu().clone() for key, tensor in module.state_dict().items()}
                for name, module in modules.items()
            }

    @property
    def exhausted(self) -> bool:
        """Whether validation has seen nothing better for too long."""
        return bool(self.modules and self.patience) and self.checked - self.step >= self.patience

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"value": self.value, "step": self.step, "checked": self.checked, "modules": self.modules}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.value, self.step, self.checked = state["value"], state["step"], state["checked"]
        self.modules = state["modules"]
