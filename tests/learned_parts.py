"""Small untrained networks for tests, and questions as they read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipeline.features.text import SCALES, TextEncoder
from pipeline.localize import network_class
from pipeline.localize.examples import Asked
from pipeline.localize.learned import Network

CONFIG: dict[str, Any] = {"d": 16, "encoder_dim": 64, "scales": len(SCALES), "layers": 1, "dropout": 0.0}


def asked(question: str, encoder: TextEncoder) -> Asked:
    return Asked(question, encoder.encode([question])[0], encoder.states(question))


def tiny_network(
    method: str, seed: int = 0, reading: str = "cached", tmp_path: Path | None = None, **config: Any
) -> Network:
    """A network with random weights, in evaluation mode; one that works on pictures reads the transcript's
    vectors instead. `reading="joint"` makes a tiny BERT in `tmp_path`."""
    torch.manual_seed(seed)
    cls = network_class(method)
    if cls.needs_visual:
        config = {"visual": "transcript", "visual_dim": CONFIG["encoder_dim"] * CONFIG["scales"]} | config
    if reading == "joint":
        assert tmp_path is not None
        read = {"reading": "joint", "encoder": str(tiny_bert(tmp_path)), "max_tokens": 64, "overlap": 8}
        config = read | config
    return cls(**(CONFIG | config)).with_tokenizer().eval()


def tiny_bert(folder: Path) -> Path:
    """A BERT of a few thousand weights that knows letters and some words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "to", "tie", "the", "knot", *letters]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    BertModel(
        BertConfig(
            vocab_size=len(words),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    return folder
