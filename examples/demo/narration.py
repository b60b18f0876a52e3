"""Speech for the demo videos: one sentence at a time, so that every subtitle's time is known exactly.

Needs the Debian packages festival with festvox-us-slt-hts (the woman's voice) and flite (the man's voice).
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 32_000
LEAD_IN, PAUSE, SECTION_PAUSE, TAIL = 0.6, 0.5, 1.1, 1.6
VOICES = ("slt", "rms")


@dataclass(frozen=True)
class Line:
    """One spoken sentence in its place: `until` is when the next one starts."""

    section: int
    start: float
    end: float
    until: float
    text: str


def speak(text: str, voice: str) -> np.ndarray:
    """The sentence as float32 mono at `RATE`, without silence at its ends, at an even loudness."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        _synthesise(text, voice, out)
        with wave.open(str(out)) as file:
            rate = file.getframerate()
            raw = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return _level(_trim(_resample(raw.astype(np.float32) / 32768, rate)))


def _synthesise(text: str, voice: str, out: Path) -> None:
    if voice == "slt":
        setup = "(begin (voice_cmu_us_slt_arctic_hts) (Parameter.set 'Duration_Stretch 1.08))"
        subprocess.run(["text2wave", "-o", str(out), "-eval", setup], input=text.encode(), check=True)
    else:
        command = ["flite", "-voice", voice, "--setf", "duration_stretch=1.05", "-t", text, "-o", str(out)]
        subprocess.run(command, check=True)


def _resample(sound: np.ndarray, rate: int) -> np.ndarray:
    """Through the spectrum: exact for a whole sentence, and needs nothing but NumPy."""
    if rate == RATE:
        return sound
    count = round(len(sound) * RATE / rate)
    spectrum = np.fft.rfft(sound)
    wanted = np.zeros(count // 2 + 1, spectrum.dtype)
    kept = min(len(spectrum), len(wanted))
    wanted[:kept] = spectrum[:kept]
    return (np.fft.irfft(wanted, count) * (RATE / rate)).astype(np.float32)


def _trim(sound: np.ndarray, threshold: float = 0.008, margin: float = 0.03) -> np.ndarray:
    loud = np.flatnonzero(np.abs(sound) > threshold)
    first = max(0, int(loud[0] - margin * RATE))
    return sound[first : int(loud[-1] + margin * RATE)]


def _level(sound: np.ndarray, rms: float = 0.09) -> np.ndarray:
    loud = np.abs(sound) > 0.02
    gain = rms / max(1e-4, float(np.sqrt(np.mean(sound[loud] ** 2))))
    return (np.tanh(sound * gain * 1.05) / 1.05).astype(np.float32)


def cue_table(sections: Sequence[Sequence[str]], durations: Sequence[float]) -> list[Line]:
    """Where every sentence falls, given how long each takes to say.

    >>> [(line.start, line.end) for line in cue_table([["One.", "Two."], ["Three."]], [1.0, 2.0, 1.5])]
    [(0.6, 1.6), (2.1, 4.1), (5.2, 6.7)]
    """
    flat = [(number, text) for number, lines in enumerate(sections) for text in lines]
    rows: list[Line] = []
    clock = LEAD_IN
    for place, ((section, text), seconds) in enumerate(zip(flat, durations, strict=True)):
        end = round(clock + seconds, 3)
        last, ends = place + 1 == len(flat), place + 1 < len(flat) and flat[place + 1][0] != section
        until = round(end + (TAIL if last else SECTION_PAUSE if ends else PAUSE), 3)
        rows.append(Line(section, round(clock, 3), end, until, text))
        clock = until
    return rows


def soundtrack(lines: Sequence[Line], voices: Sequence[np.ndarray]) -> np.ndarray:
    """The whole narration as one array, each sentence at its time."""
    track = np.zeros(round(lines[-1].until * RATE), np.float32)
    for line, sound in zip(lines, voices, strict=True):
        first = round(line.start * RATE)
        track[first : first + len(sound)] += sound[: len(track) - first]
    return track


def to_vtt(lines: Sequence[Line]) -> str:
    cues = [f"{_stamp(line.start)} --> {_stamp(line.end)}\n{line.text}\n" for line in lines]
    return "WEBVTT\n\n" + "\n".join(cues)


def _stamp(seconds: float) -> str:
    """
    >>> _stamp(75.25)
    '00:01:15.250'
    """
    whole = round(seconds * 1000)
    return f"{whole // 3600000:02d}:{whole // 60000 % 60:02d}:{whole // 1000 % 60:02d}.{whole % 1000:03d}"
