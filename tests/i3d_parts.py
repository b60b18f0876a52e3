"""Weights for I3D from a seed, and a second, plain I3D to compare the first one with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.features.i3d import I3D

EPS = 1e-3
MIXED = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")


def seeded_weights(shapes: Mapping[str, Sequence[int]], seed: int = 7) -> dict[str, Tensor]:
    """Random weights in the order of `shapes`, as the README of the parity files draws them."""
    dice = torch.Generator().manual_seed(seed)
    return {name: _drawn(name, list(shape), dice) for name, shape in shapes.items()}


def _drawn(name: str, shape: list[int], dice: torch.Generator) -> Tensor:
    if name.endswith("conv3d.weight"):
        return torch.randn(shape, generator=dice) * math.sqrt(2 / math.prod(shape[1:]))
    if name.endswith(("bn.weight", "bn.running_var")):
        return 0.5 + torch.rand(shape, generator=dice)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    return torch.randn(shape, generator=dice) * 0.1


def shapes_of(model: I3D) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def write_weights(path: Path, width: float = 1.0, seed: int = 7) -> Path:
    """A checkpoint of the public form with random weights; narrow ones are for comparing only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(seeded_weights(shapes_of(I3D(width=width)), seed), path)
    return path


def plain_features(state: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """What I3D's average pool gives, and each block's output, written out once more without modules.

    Every layer is padded with zeros in so many words; nothing is shared with the code under test.
    """
    seen: dict[str, Tensor] = {}

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv3d.weight"]
        x = F.conv3d(_padded(x, [weight.shape[2]] * 3, [stride] * 3), weight, stride=stride)
        mean, variance, scale, shift = (
            state[f"{name}.bn.{part}"].reshape(1, -1, 1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return torch.clamp((x - mean) / torch.sqrt(variance + EPS) * scale + shift, min=0)

    def pool(x: Tensor, kernel: list[int], stride: list[int]) -> Tensor:
        return F.max_pool3d(_padded(x, kernel, stride), kernel, stride)

    def mixed(x: Tensor, name: str) -> Tensor:
        ways = [unit(x, f"{name}.b0")]
        ways += [unit(unit(x, f"{name}.b{n}a"), f"{name}.b{n}b") for n in (1, 2)]
        ways += [unit(pool(x, [3, 3, 3], [1, 1, 1]), f"{name}.b3b")]
        return torch.cat(ways, 1)

    def keep(name: str, x: Tensor) -> Tensor:
        seen[name] = x
        return x

    x = keep("Conv3d_1a_7x7", unit(x, "Conv3d_1a_7x7", 2))
    x = keep("MaxPool3d_2a_3x3", pool(x, [1, 3, 3], [1, 2, 2]))
    x = keep("Conv3d_2b_1x1", unit(x, "Conv3d_2b_1x1"))
    x = keep("Conv3d_2c_3x3", unit(x, "Conv3d_2c_3x3"))
    x = keep("MaxPool3d_3a_3x3", pool(x, [1, 3, 3], [1, 2, 2]))
    for block in MIXED:
        if block == "4b":
            x = keep("MaxPool3d_4a_3x3", pool(x, [3, 3, 3], [2, 2, 2]))
        if block == "5b":
            x = keep("MaxPool3d_5a_2x2", pool(x, [2, 2, 2], [2, 2, 2]))
        x = keep(f"Mixed_{block}", mixed(x, f"Mixed_{block}"))
    kernel = [min(size, most) for size, most in zip(x.shape[2:], (2, 7, 7), strict=True)]
    return F.avg_pool3d(x, kernel, 1), seen


def _padded(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """TensorFlow's SAME, by its documentation: from what is left over when the stride divides the size."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max(k - s, 0) if size % s == 0 else max(k - size % s, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads)


def slow_convolution(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """(C, T, H, W) convolved with (O, C, k, k, k), "SAME", by the definition and one number at a time."""
    k = weight.shape[-1]
    sizes = [-(-n // stride) for n in x.shape[1:]]
    before = [max((m - 1) * stride + k - n, 0) // 2 for m, n in zip(sizes, x.shape[1:], strict=True)]
    out = np.zeros((len(weight), *sizes))
    for at in itertools.product(*map(range, sizes)):
        for tap in itertools.product(range(k), repeat=3):
            place = [a * stride + t - b for a, t, b in zip(at, tap, before, strict=True)]
            if all(0 <= p < n for p, n in zip(place, x.shape[1:], strict=True)):
                out[:, *at] += weight[:, :, *tap] @ x[:, *place]
    return out
