"""What the training loop asks of a method, whatever it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from pipeline.training.batches import Row


class Learner(Protocol):
    """A module with a loss of its own."""

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and numbers for the log."""
        ...


class Task(Protocol):
    """A module to train, its examples by number, and how well it does on the dev questions."""

    module: Any  # nn.Module and Learner
    measure: str  # the key of `dev` that is selected by; higher is better
    sets: list[int]  # number of the first example of each data set
    lengths: np.ndarray  # of the examples
    others: list[np.ndarray]  # for each example the videos that can be its negatives

    def batch(self, rows: Sequence[Row]) -> Any:
        """What `module.loss` takes, on the module's device."""
        ...

    def dev(self) -> dict[str, float]:
        """Measures of the dev questions as fractions; leaves the module in training mode."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the checkpoint."""
        ...


class Step(nn.Module):
    """The loss as a forward pass, which is where accelerate puts mixed precision and several processes."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, float]]:
        return self.module.loss(batch)
