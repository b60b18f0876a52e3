"""Picture features: one row for each second of a video, made by I3D while the next pictures are decoded."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.features import frames
from pipeline.features.weights import name_of
from pipeline.probe import Media

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

GRANT_SECONDS = 30  # of a GPU that is lent for one batch at a time; a batch takes far less
_AHEAD = 3  # batches decoded before they are asked for
_STRETCH = 30  # seconds that one of several decoders takes; each holds at most so many in memory
_MOST_DECODERS = 6


class PictureNetwork(Protocol):
    """Turns windows of pictures into rows. To add one: give it a name that changes when its rows do."""

    name: str
    dim: int
    batch: int  # windows at a time
    decoders: int  # at work on different parts of a video, so that the network does not wait for pictures

    def features(self, windows: np.ndarray) -> np.ndarray:
        """(n, 16, 224, 224, 3) uint8 RGB to (n, dim) float32."""
        ...


class I3DPictures:
    """I3D with the weights of one file, in the precision that the processor is fast in.

    float16 on a GPU and bfloat16 on processors that compute with it, else float32. The rows then differ
    from those of float32 by less than 1 % of the largest value, see docs/i3d.md.
    """

    def __init__(self, path: Path, device: str = "", precision: str = "") -> None:
        import torch

        from pipeline.features.i3d import FEATURES, load_i3d

        self.name, self.dim = name_of(path), FEATURES
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.precision: torch.dtype = getattr(torch, precision or fast_precision(self.device))
        gpu = self.device.startswith("cuda")
        self.batch = 32 if gpu else 4
        # A GPU is faster than one decoder; a processor has its cores busy with the network anyway.
        self.decoders = max(1, min(_MOST_DECODERS, (os.cpu_count() or 1) // 3)) if gpu else 1
        self._model = load_i3d(path).fold().to(self.device, self.precision)
        self._model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._lock = threading.Lock()
        self._granted = _granted(self._rows)

    def features(self, windows: np.ndarray) -> np.ndarray:
        with self._lock:
            return self._granted(windows)

    def _rows(self, windows: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(windows).to(self.device)
            # What comes in has its channels last, which is the order the convolutions are fastest in.
            x = x.permute(0, 4, 1, 2, 3).to(torch.float32).div_(127.5).sub_(1).to(self.precision)
            return self._model.extract_features(x).flatten(1).float().cpu().numpy()


def fast_precision(device: str) -> str:
    """The name of the torch type to compute in."""
    import torch

    if device.startswith("cuda"):
        return "float16"
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    return "bfloat16" if device == "cpu" and supported() else "float32"


def _granted(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """On a ZeroGPU Space a GPU is lent for one call at a time; elsewhere the function itself.

    Only whoever starts the process may import `spaces`, which has to come before torch.
    """
    spaces: Any = sys.modules.get("spaces")
    return spaces.GPU(duration=GRANT_SECONDS)(function) if spaces else function


def extract(
    path: str | os.PathLike[str],
    media: Media,
    network: PictureNetwork,
    first: int = 0,
    last: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Generator[np.ndarray, None, None]:
    """Rows for the seconds `first` to `last` (exclusive; None: all), a few (n, dim) float32 at a time.

    The next batches are decoded while the network computes. A second in which nothing moves, as the one
    before, gets the row of that one. UnreadableMedia where nothing can be decoded.
    """
    before = np.zeros((1, network.dim), np.float32)
    until = frames.seconds_in(media.duration) if last is None else last
    ended = threading.Event()
    stop = lambda: ended.is_set() or cancelled()  # noqa: E731
    stretches = _windows(path, media, first, until, stop, network.decoders)
    with (
        frames.ahead(_batches(stretches, network.batch), _AHEAD) as batches,
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(ended.set)  # else the decoder goes on to its next picture, which may be far
        for moving, windows in batches:
            rows = network.features(windows) if len(windows) else before[:0]
            # Second i has the row of the last window up to it that moves, if need be of the batch before.
            rows = np.concatenate([before, rows])[np.cumsum(moving)]
            before = rows[-1:]
            yield rows


def _windows(
    path: str | os.PathLike[str],
    media: Media,
    first: int,
    last: int,
    cancelled: Callable[[], bool],
    decoders: int,
) -> Iterator[frames.Window]:
    """`frames.windows`, with several decoders at work ahead of what is asked for."""
    if decoders == 1:
        yield from frames.windows(path, media, first, last, cancelled)
        return
    begins = iter(range(first, last, _STRETCH))

    def start() -> None:
        for begin in itertools.islice(begins, 1):
            source = frames.windows(path, media, begin, min(last, begin + _STRETCH), cancelled)
            at_work.append(open_ones.enter_context(frames.ahead(source, _STRETCH)))

    with contextlib.ExitStack() as open_ones:
        at_work: deque[Iterator[frames.Window]] = deque()
        for _ in range(decoders):
            start()
        while at_work:
            yield from at_work.popleft()
            start()


def _batches(windows: Iterator[frames.Window], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(which seconds have a window of their own (n,) bool, these windows (m, 16, 224, 224, 3))."""
    moving: list[bool] = []
    held: list[np.ndarray] = []
    shape = (0, frames.RATE, frames.SIDE, frames.SIDE, 3)
    for _, window in windows:
        moving.append(window is not None)
        held += [window] if window is not None else []
        if len(held) == size or len(moving) == 60:
            yield np.array(moving), np.stack(held) if held else np.zeros(shape, np.uint8)
            moving, held = [], []
    if moving:
        yield np.array(moving), np.stack(held) if held else np.zeros(shape, np.uint8)
