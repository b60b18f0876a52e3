"""Localizers by name: each finds the spans that answer a question in the videos that retrieval found."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import CheckpointMissing
from pipeline.localize.base import Candidate, Localizer, Request
from pipeline.localize.windows import WindowsLocalizer

if TYPE_CHECKING:
    from pipeline.localize.learned import Network

__all__ = ["LOCALIZERS", "NETWORKS", "Candidate", "Localizer", "Request", "load_localizer", "network_class"]

# The trained ones: module and class. They import torch, so only when they are asked for.
NETWORKS: dict[str, tuple[str, str]] = {
    "default": ("pipeline.localize.contextspan", "ContextSpan"),
    "ccgs": ("pipeline.localize.ccgs", "CCGS"),
    "mutualsl": ("pipeline.localize.mutualsl", "MutualSL"),
    "spanbase": ("pipeline.localize.spanbase", "SpanBase"),
    "vptsl": ("pipeline.localize.vptsl", "VPTSL"),
    "vslbase": ("pipeline.localize.vslnet", "VSLBase"),
    "vslnet": ("pipeline.localize.vslnet", "VSLNet"),
    "acrm": ("pipeline.localize.acrm", "ACRM"),
}
LOCALIZERS: tuple[str, ...] = ("windows", *NETWORKS)


def load_localizer(
    name: str = "windows",
    checkpoint: Path | str = "",
    checkpoints: Path = Path("checkpoints"),
    decode: str = "",
) -> Localizer:
    """The localizer of this name; an unknown name lists the known ones.

    A trained one is read from `checkpoint` (folder or hub name), by default from `checkpoints/NAME`;
    CheckpointMissing says how to get it. `decode` takes the place of the checkpoint's own (argmax or
    expected_iou).
    """
    if name == WindowsLocalizer.name:
        return WindowsLocalizer()
    network = network_class(name)
    folder = checkpoint or checkpoints / name
    if not checkpoint and not (Path(folder) / "config.json").exists():
        raise CheckpointMissing(
            f"There is no trained {name} in '{folder}'. Train one with "
            f"`python -m pipeline train --method {name} --data NAME:DIR --out {folder}`."
        )
    from pipeline.localize.learned import LearnedLocalizer

    return LearnedLocalizer.load(network, folder, decode)


def network_class(name: str) -> type[Network]:
    """The network of this name; an unknown name lists the known ones."""
    if name not in NETWORKS:
        raise ValueError(f"no localizer '{name}'; known: {', '.join(LOCALIZERS)}")
    module, cls = NETWORKS[name]
    return getattr(import_module(module), cls)
