"""DPR: vectors of questions and of passages from two trained towers; a video counts by its best passage.

Karpukhin et al., "Dense Passage Retrieval for Open-Domain Question Answering", EMNLP 2020,
https://arxiv.org/abs/2004.04906; the stronger retriever of CCGS's Tables 1 and 3. Passages are the library's
30 s windows. Particular to it: sim(q, p) = E_Q(q) . E_P(p) (eq. 1), trained with the other passages of the
batch as negatives, and one hard negative for each question (eq. 2, section 3.2).

What is trained is a switch:
- `heads`: E_Q = W_q e, E_P = W_p e on the frozen vectors e of the library's encoder. The score is bilinear,
  so W_p^T W_q e(q) searches the vectors that the library has: no second index, nothing is encoded again.
- `question`: E_Q is a whole encoder, fine-tuned; passages keep the library's vectors.
- `both`: both encoders, as in the paper. `save_pretrained` also writes the passage tower as a Hugging Face
  folder `passages-…`: a library must be made with it (ANSWERCLIP_TEXT_ENCODER) before DPR can search it.

Departures: towers start from sentence vectors (mean pooling, unit length), not from BERT's [CLS], because
there is no pre-training at hand that would teach unrelated towers on some thousand questions; W_q and W_p
start at the identity and decay towards it, so that untrained means plain dense retrieval; unit vectors need
a temperature in the softmax, which is learned. Hard negatives and false ones: see `dpr_examples.py`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import CheckpointMissing
from pipeline.features.text import encoder_name, encoder_source
from pipeline.retrieve.base import Corpus, Hit, Query
from pipeline.retrieve.dpr_examples import DPRBatch, DPRExample, collate
from pipeline.types import Span

TRAINED = ("heads", "question", "both")
_NEVER = -1e9  # a logit that leaves no probability and gives no NaN where everything is masked
_WINDOWS, _MOST_WINDOWS = 200, 12_800  # windows that are asked for first and at last
_TOKENIZER, _PASSAGES = "tokenizer", "passages-"


@dataclass(frozen=True)
class DPRConfig:
    """Flat; `config.json` beside the weights."""

    dim: int = 384  # of the library's vectors
    library_model: str = "all-MiniLM-L6-v2"  # whose windows the question's vector is compared with
    train: str = "heads"  # one of TRAINED
    encoder: str = ""  # what the towers start from, where encoders are trained; empty: the packaged one
    encoder_config: dict[str, Any] | None = None  # of trained encoders: filled in when they are loaded
    most_tokens: int = 256
    temperature: float = 0.05
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.train not in TRAINED:
            raise ValueError(f"DPR cannot train '{self.train}'; known: {', '.join(TRAINED)}")
        if not 0 < self.dim <= 16_384:
            raise ValueError(f"DPR cannot have vectors of length {self.dim}")


class Head(nn.Module):
    """x -> (I + change) x: weight decay draws it to the identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + x @ self.change.T


class Tower(nn.Module):
    """A Hugging Face encoder, mean pooling, unit length: what `features.text` does, but trainable."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, D)."""
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return F.normalize(pooled.float(), dim=1)


class DPR(nn.Module, PyTorchModelHubMixin):
    """The two towers. `from_pretrained` takes a folder or a hub name; `load` also says what is wrong."""

    Config: ClassVar[type[DPRConfig]] = DPRConfig
    method: ClassVar[str] = "dpr"

    def __init__(self, **config: Any) -> None:
        super().__init__()
        try:
            self.config = DPRConfig(**config)
        except TypeError as e:
            raise ValueError(f"DPR: {e}") from e
        self.tokenizer: Any = None
        self._reading = threading.Lock()  # fast tokenizers refuse two threads at once
        self.log_scale = nn.Parameter(torch.tensor(-float(np.log(self.config.temperature))))
        self.dropout = nn.Dropout(self.config.dropout)
        self.question: Any
        self.passage: Any
        if self.config.train == "heads":
            self.question, self.passage = Head(self.config.dim), Head(self.config.dim)
        else:
            self._build_towers()

    def _build_towers(self) -> None:
        if self.config.encoder_config is None:  # else weights and tokenizer come from the checkpoint
            self._read_tokenizer(encoder_source(self.config.encoder))
        self.question = Tower(_encoder(self.config))
        if self.config.train == "both":
            self.passage = Tower(_encoder(self.config))
        described = json.loads(json.dumps(self.question.model.config.to_dict(), default=str))
        self.config = replace(self.config, encoder_config=described)

    def _read_tokenizer(self, source: str | Path) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=Path(source).is_dir())

    # Training

    def batch(self, examples: Sequence[DPRExample]) -> DPRBatch:
        """Examples as these towers read them, on their device."""
        tokens = None if self.config.train == "heads" else self.tokens
        return collate(examples, tokens, self.config.train == "both").to(self.log_scale.device)

    def forward(self, batch: DPRBatch) -> Tensor:
        """sim(q, p) of every pair, over the temperature: (B, P)."""
        if self.config.train == "heads":
            questions = self.question(self.dropout(batch.question))
            passages = self.passage(self.dropout(batch.passage))
        else:
            questions = self.question(batch.question_ids, batch.question_mask)
            both = self.config.train == "both"
            passages = self.passage(batch.passage_ids, batch.passage_mask) if both else batch.passage
        with torch.autocast(questions.device.type, enabled=False):  # half precision ties what lies close
            return self.log_scale.exp() * (questions.float() @ passages.float().T)

    def loss(self, batch: DPRBatch) -> tuple[Tensor, dict[str, float]]:
        """Eq. 2, -log(e^sim(q,p+) / (e^sim(q,p+) + sum over negatives of e^sim(q,p-))), the mean over a
        question's positive passages and then over the questions; and how often a positive comes first."""
        logits = self(batch)
        negatives = logits.masked_fill(~batch.negative, _NEVER).logsumexp(1, keepdim=True)  # (B, 1)
        each = torch.logaddexp(logits, negatives) - logits
        counts = batch.positive.sum(1).clamp(min=1)
        loss = (each * batch.positive).sum(1).div(counts).mean()
        best = logits.masked_fill(~(batch.positive | batch.negative), _NEVER).argmax(1, keepdim=True)
        first = batch.positive.gather(1, best).float().mean()
        return loss, {"loss": float(loss.detach()), "first": float(first)}

    # Answering

    def vectors(self, questions: Sequence[str], library: np.ndarray | None = None) -> np.ndarray:
        """`(n, D)` unit rows to compare with the library's windows. `library` are the questions' vectors by
        its encoder, `(n, D)`, which `heads` needs."""
        device = self.log_scale.device
        with torch.inference_mode():
            if self.config.train == "heads":
                if library is None:
                    raise ValueError("DPR's heads need the library encoder's vectors of the questions")
                rows = self.question(torch.as_tensor(library, dtype=torch.float32, device=device))
                rows = rows + rows @ self.passage.change  # W_p^T moves over to the question's side
            else:
                rows = torch.cat([self.question(*part) for part in self._token_batches(questions, device)])
        return F.normalize(rows.float(), dim=1).cpu().numpy()

    def vector(self, question: str, library: np.ndarray | None = None) -> np.ndarray:
        """`vectors` of one question, (D,)."""
        return self.vectors([question], None if library is None else library[None])[0]

    def passage_vectors(self, texts: Sequence[str], library: np.ndarray) -> np.ndarray:
        """`(n, D)`: what a question's vector is compared with; the library's own but for `both`."""
        if self.config.train != "both":
            return library
        device = self.log_scale.device
        with torch.inference_mode():
            parts = [self.passage(*part) for part in self._token_batches(texts, device)]
        return torch.cat(parts).float().cpu().numpy()

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask, (n, T) each."""
        with self._reading:
            found = self.tokenizer(
                list(texts),
                padding=True,
                truncation=True,
                max_length=self.config.most_tokens,
                return_tensors="pt",
            )
        return found["input_ids"], found["attention_mask"]

    def _token_batches(self, texts: Sequence[str], device: torch.device) -> list[tuple[Tensor, Tensor]]:
        parts = [self.tokens(texts[i : i + 32]) for i in range(0, len(texts), 32)]
        return [(ids.to(device), mask.to(device)) for ids, mask in parts]

    # Keeping

    @classmethod
    def load(cls, source: Path | str) -> Self:
        """The trained towers of a folder or a hub name. CheckpointMissing says what to do."""
        try:
            if not Path(source).is_dir() and (Path(source).parent.is_dir() or str(source).count("/") != 1):
                raise FileNotFoundError("there is no such folder")  # and no hub name: ask nobody
            return cls.from_pretrained(str(source))
        except Exception as e:  # whatever a damaged or foreign file makes its reader raise
            raise CheckpointMissing(
                f"'{source}' holds no usable dpr checkpoint ({_in_short(e)}). Train one with `python -m "
                f"pipeline train --method dpr --data NAME:DIR --out {source}`, or choose another retriever."
            ) from e

    def _save_pretrained(self, save_directory: Path) -> None:
        if self.config.train == "both":
            self._save_passage_tower(save_directory)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory / _TOKENIZER)
        super()._save_pretrained(save_directory)
        text = json.dumps({"method": self.method, **asdict(self.config)}, indent=1)
        (save_directory / "config.json").write_text(text + "\n", encoding="utf-8")

    def _save_passage_tower(self, folder: Path) -> None:
        """The passage encoder under a name of its own: vectors of two trainings must never be mixed."""
        for old in folder.glob(f"{_PASSAGES}*"):
            shutil.rmtree(old)
        digest = hashlib.sha256()
        for weights in self.passage.state_dict().values():
            digest.update(weights.detach().cpu().float().numpy().tobytes())
        name = _PASSAGES + digest.hexdigest()[:8]
        self.passage.model.save_pretrained(folder / name)
        self.tokenizer.save_pretrained(folder / name)
        self.config = replace(self.config, library_model=encoder_name(str(folder / name)))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """Safetensors only, every key, and nothing printed (the mixin's own says where it loads from)."""
        hub = {name: options[name] for name in _HUB_OPTIONS if name in options}
        wanted = ["config.json", "model.safetensors", f"{_TOKENIZER}/*"]
        local = Path(model_id).is_dir()
        folder = Path(model_id if local else snapshot_download(model_id, allow_patterns=wanted, **hub))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.pop("method", cls.method) != cls.method:
            raise ValueError("it is of another method")
        towers = cls(**config)
        load_model(towers, folder / "model.safetensors", strict=True)
        if (folder / _TOKENIZER).is_dir():
            towers._read_tokenizer(folder / _TOKENIZER)
        return towers.eval()


_HUB_OPTIONS = ("revision", "cache_dir", "force_download", "token", "local_files_only")


def _encoder(config: DPRConfig) -> Any:
    from transformers import AutoConfig, AutoModel

    if config.encoder_config is not None:
        described = dict(config.encoder_config)
        return AutoModel.from_config(AutoConfig.for_model(described.pop("model_type"), **described))
    source = encoder_source(config.encoder)
    return AutoModel.from_pretrained(source, local_files_only=Path(source).is_dir())


def _in_short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


@dataclass(frozen=True)
class DPRRetriever:
    """Searches the library's windows with DPR's question vector; a video counts by its best window."""

    corpus: Corpus
    model: DPR = field(repr=False)
    name: str = "dpr"

    @classmethod
    def load(cls, corpus: Corpus, checkpoint: str | Path) -> DPRRetriever:
        return cls(corpus, DPR.load(checkpoint))

    def search(self, query: Query, limit: int) -> list[Hit]:
        self._check_library(query.model)
        if query.vector is None or limit < 1:
            return []
        vector = self.model.vector(query.question, query.vector)
        best = self._best_windows(vector, query, limit)
        hits = [Hit(video, (s := to_score(value)), span, meaning=s) for video, (value, span) in best.items()]
        return sorted(hits, key=lambda hit: (-hit.score, hit.video_id))[:limit]

    def _best_windows(self, vector: np.ndarray, query: Query, limit: int) -> dict[str, tuple[float, Span]]:
        """By video; more windows are asked for while they are of fewer videos than wanted."""
        count = _WINDOWS
        while True:
            found = self.corpus.nearest_windows(vector, count, query.filters, query.model)
            best: dict[str, tuple[float, Span]] = {}
            for _, video, span, value in found:  # best first
                best.setdefault(video, (value, span))
            if len(best) >= limit or len(found) < count or count >= _MOST_WINDOWS:
                return best
            count *= 4

    def _check_library(self, model: str) -> None:
        trained = self.model.config.library_model
        if model and model != trained:
            raise CheckpointMissing(
                f"This DPR was trained for vectors of '{trained}', the library's are of '{model}'. Set "
                "ANSWERCLIP_TEXT_ENCODER to that encoder, or train DPR for this one."
            )


def to_score(similarity: float) -> float:
    """A cosine in 0..1, never cut off, so that close videos keep their order.

    >>> round(to_score(0.4), 3), to_score(0.9) < to_score(0.95) < 1
    (0.5, True)
    """
    return float(1 / (1 + np.exp(-(similarity - 0.4) / 0.175)))
