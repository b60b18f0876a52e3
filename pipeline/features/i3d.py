"""I3D, RGB stream: Inception-V1 inflated to three dimensions, which makes 1024 numbers of 16 pictures.

Written from the architecture in Carreira and Zisserman, "Quo Vadis, Action Recognition?" (CVPR 2017,
figure 3); module names are those of the public checkpoint `rgb_imagenet.pt`. Padding is TensorFlow's
"SAME", which depends on the size of the input, so every layer computes it anew.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.errors import CheckpointMissing

FEATURES = 1024
CLASSES = 400  # of Kinetics, which the public weights were trained on
# Checkpoints are 50 MB; what is far larger is something else and is not read into memory.
LARGEST_FILE = 1 << 30

_BATCH_NORM_EPS = 1e-3
_COUNT = "num_batches_tracked"
# Channels of an Inception block: 1x1, 1x1 then 3x3, 1x1 then 3x3 (5x5 in the 2D paper), pool then 1x1.
_BLOCKS = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one dimension under TensorFlow's "SAME": the odd one goes behind.

    >>> same_padding(224, 7, 2), same_padding(225, 7, 2), same_padding(56, 3, 1)
    ((2, 3), (3, 3), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.bn: nn.Module = nn.BatchNorm3d(out, eps=_BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv3d
        pads = [same_padding(n, conv.kernel_size[0], conv.stride[0]) for n in x.shape[2:]]
        if any(before != after for before, after in pads):
            x = F.pad(x, [n for pair in reversed(pads) for n in pair])
            pads = [(0, 0)] * 3
        x = F.conv3d(x, conv.weight, conv.bias, conv.stride, [before for before, _ in pads])
        return F.relu(self.bn(x), inplace=True)

    def fold(self) -> None:
        """Put the normalisation into the convolution's weights: the same numbers, one pass less."""
        if isinstance(self.bn, nn.BatchNorm3d):
            self.conv3d = fuse_conv_bn_eval(self.conv3d, self.bn)
            self.bn = nn.Identity()


class MaxPool(nn.Module):
    """Maximum pooling with "SAME" padding.

    Padded values never win: what comes in has passed a ReLU, so the zeros of TensorFlow and the minus
    infinity of PyTorch give the same maximum. `ceil_mode` adds the odd row behind without copying.
    """

    def __init__(self, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.kernel, self.stride = tuple(kernel), tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        sizes = zip(x.shape[2:], self.kernel, self.stride, strict=True)
        before = [same_padding(*each)[0] for each in sizes]
        return F.max_pool3d(x, self.kernel, self.stride, before, ceil_mode=True)


class Mixed(nn.Module):
    """One Inception block: four ways through, side by side."""

    def __init__(self, channels: int, out: Sequence[int]) -> None:
        super().__init__()
        self.b0 = Unit(channels, out[0])
        self.b1a, self.b1b = Unit(channels, out[1]), Unit(out[1], out[2], 3)
        self.b2a, self.b2b = Unit(channels, out[3]), Unit(out[3], out[4], 3)
        self.b3a, self.b3b = MaxPool((3, 3, 3), (1, 1, 1)), Unit(channels, out[5])

    def forward(self, x: Tensor) -> Tensor:
        ways = self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))
        return torch.cat(ways, dim=1)


class Logits(nn.Module):
    """The classifier: a 1x1x1 convolution with a bias."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


class I3D(nn.Module):
    """The network. Its blocks run in the order in which they are listed; `width` below 1 makes a small one
    for tests, which no public checkpoint fits."""

    def __init__(self, classes: int = CLASSES, width: float = 1.0) -> None:
        super().__init__()
        wide = lambda channels: max(1, round(channels * width))  # noqa: E731
        self.blocks = _LAYERS
        self.Conv3d_1a_7x7 = Unit(3, wide(64), 7, 2)
        self.MaxPool3d_2a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(wide(64), wide(64))
        self.Conv3d_2c_3x3 = Unit(wide(64), wide(192), 3)
        self.MaxPool3d_3a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        self.MaxPool3d_4a_3x3 = MaxPool((3, 3, 3), (2, 2, 2))
        self.MaxPool3d_5a_2x2 = MaxPool((2, 2, 2), (2, 2, 2))
        channels = wide(192)
        for name, (_, out) in _BLOCKS.items():
            sizes = [wide(n) for n in out]
            self.add_module(name, Mixed(channels, sizes))
            channels = sizes[0] + sizes[2] + sizes[4] + sizes[5]
        self.features = channels
        self.logits = Logits(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) to class logits (B, classes, T'): averaged over places, not over time."""
        return self.logits(self.extract_features(x)).flatten(3).mean(3)

    def extract_features(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) RGB in -1..1 to (B, 1024, T', 1, 1), the average pool before the classifier.

        T' is ceil(T / 8) - 1, so 1 for 16 frames and 7 for 64. Pictures from 193 to 224 pixels give one
        place, as shown; larger ones give (H', W') places, smaller ones and fewer frames are averaged whole.
        """
        for name in self.blocks:
            x = getattr(self, name)(x)
        kernel = [min(n, most) for n, most in zip(x.shape[2:], (2, 7, 7), strict=True)]
        return F.avg_pool3d(x.float(), kernel, stride=1)  # in full precision: sums of 98 numbers

    def fold(self) -> I3D:
        """The same function with every batch normalisation folded into its convolution, for inference."""
        for module in self.modules():
            if isinstance(module, Unit):
                module.fold()
        return self.eval().requires_grad_(False)


_LAYERS = (
    "Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3",
    "Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3",
    "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2",
    "Mixed_5b", "Mixed_5c",
)  # fmt: skip


def load_i3d(path: str | os.PathLike[str]) -> I3D:
    """The network with the weights of a public checkpoint (`rgb_imagenet.pt`), in evaluation mode, float32.

    Files may come from strangers: nothing in them is run. CheckpointMissing when the file is not there, is
    damaged, or holds the weights of something else.
    """
    path = Path(path)
    state = _read(path)
    model = I3D(classes=_classes(state))
    wanted = model.state_dict()
    # PyTorch before 0.4, which wrote the public file, did not count batches yet; nothing depends on it.
    state |= {name: value for name, value in wanted.items() if name.endswith(_COUNT) and name not in state}
    strange = sorted(set(state) ^ set(wanted)) or [k for k in wanted if state[k].shape != wanted[k].shape]
    if strange:
        raise CheckpointMissing(
            f"“{path.name}” does not hold the weights of I3D (RGB): “{strange[0][:80]}” does not fit. "
            "Get rgb_imagenet.pt, see docs/i3d.md."
        )
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise CheckpointMissing(
            f"“{path.name}” is damaged: it holds values that are no numbers. Get it again."
        )
    model.load_state_dict(state)
    return model.eval()


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors by name; anything else is refused."""
    if not path.is_file():
        raise CheckpointMissing(f"There is no file {path}. Put rgb_imagenet.pt there, see docs/i3d.md.")
    damaged = f"“{path.name}” is damaged or no checkpoint of I3D. Get rgb_imagenet.pt again, see docs/i3d.md."
    if not 0 < path.stat().st_size <= LARGEST_FILE:
        raise CheckpointMissing(damaged)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError,
            OverflowError, MemoryError, pickle.UnpicklingError) as error:  # fmt: skip
        raise CheckpointMissing(damaged) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(map(_is_plain, state.items())):
        raise CheckpointMissing(damaged)
    return {name.removeprefix("module."): value for name, value in state.items()}


def _is_plain(item: tuple[object, object]) -> bool:
    """A name with a dense tensor of real numbers in memory."""
    name, value = item
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    return dense and (value.is_floating_point() or name.endswith(_COUNT))


def _classes(state: dict[str, Tensor]) -> int:
    """How many classes the checkpoint tells apart: the features do not depend on it."""
    bias = state.get("logits.conv3d.bias")
    return len(bias) if bias is not None and bias.dim() == 1 and 0 < len(bias) <= 100_000 else CLASSES
