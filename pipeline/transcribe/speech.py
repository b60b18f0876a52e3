"""Where in the audio somebody speaks: float32 mono 16 kHz in, stretches in seconds out.

What is not speech never reaches a recogniser, which would invent words for it.
"""

from __future__ import annotations

import io

import numpy as np

RATE = 16_000
FRAME = 480  # samples: 30 ms
SILENCE = 0.001  # root mean square of the loudest frames of what is no recording of anything

Stretch = tuple[float, float]


def pcm(audio: np.ndarray) -> bytes:
    """16-bit little-endian samples, as PocketSphinx takes them."""
    return (np.nan_to_num(np.clip(audio, -1.0, 1.0)) * 32767).astype("<i2").tobytes()


def loudness(audio: np.ndarray) -> np.ndarray:
    """Root mean square of every 30 ms frame."""
    frames = np.nan_to_num(audio[: len(audio) // FRAME * FRAME]).reshape(-1, FRAME)
    return np.sqrt(np.mean(np.square(frames), axis=1, dtype=np.float64))


def is_silent(audio: np.ndarray) -> bool:
    levels = loudness(audio)
    return levels.size == 0 or float(np.percentile(levels, 99.5)) < SILENCE


def stretches(audio: np.ndarray) -> list[Stretch]:
    """The stretches with speech as a voice activity detector hears them, with half a second between."""
    if is_silent(audio):
        return []
    from pocketsphinx import Segmenter

    # A stream that ends in the middle of speech on a frame's border would lose its last stretch.
    padded = np.concatenate([audio, np.zeros(RATE // 2 + FRAME // 2 - len(audio) % FRAME, np.float32)])
    total = len(audio) / RATE
    found = Segmenter(sample_rate=RATE).segment(io.BytesIO(pcm(padded)))
    spans = [(max(0.0, heard.start_time), min(total, heard.end_time)) for heard in found]
    return [(start, end) for start, end in spans if end - start > 0.05]


def chunks(audio: np.ndarray, longest: float, joined: bool = True, margin: float = 0.25) -> list[Stretch]:
    """Speech in parts of at most `longest` seconds, cut where it is quiet.

    With `joined`, neighbouring stretches share a part as long as they fit in; `margin` seconds around
    a stretch are kept, since detectors notice soft beginnings and endings too late.
    """
    total = len(audio) / RATE
    parts: list[Stretch] = []
    for start, end in stretches(audio):
        start, end = max(0.0, start - margin), min(total, end + margin)
        if parts and start <= parts[-1][1]:
            start = parts[-1][1]
        if joined and parts and end - parts[-1][0] <= longest and start - parts[-1][1] < 2.0:
            parts[-1] = (parts[-1][0], end)
        elif end > start:
            parts += _cut(audio, start, end, longest)
    return parts


def _cut(audio: np.ndarray, start: float, end: float, longest: float) -> list[Stretch]:
    parts = []
    while end - start > longest:
        cut = quietest(audio, start + longest * 0.6, start + longest)
        parts.append((start, cut))
        start = cut
    return [*parts, (start, end)]


def quietest(audio: np.ndarray, low: float, high: float) -> float:
    """The second between `low` and `high` around which 0.3 s are quietest, the last of equals."""
    levels = loudness(audio[round(low * RATE) : round(high * RATE)])
    if levels.size < 10:
        return min(high, max(low, len(audio) / RATE))
    smooth = np.convolve(levels, np.ones(10) / 10, mode="valid")
    best = len(smooth) - 1 - int(np.argmin(smooth[::-1]))
    return round(low + (best + 5) * FRAME / RATE, 3)
