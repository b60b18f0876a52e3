"""Weights for Whisper's real code that need no download: small, random, but with a decoder built so that
it says one given sentence whatever it hears. That makes what it says known, and it is the worst case of
a model that invents words for silence."""

from __future__ import annotations

from pathlib import Path

import torch
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer

SENTENCE = " First remove the lid. Then pour the water."
# The text side has the layers and heads of the published "tiny", so that its alignment heads fit.
DIMS = {
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": 96,
    "n_audio_head": 6,
    "n_audio_layer": 1,
    "n_vocab": 51865,
    "n_text_ctx": 128,
    "n_text_state": 96,
    "n_text_head": 6,
    "n_text_layer": 4,
}


def save_tiny_whisper(
    path: Path, sentence: str = SENTENCE, seconds: float = 4.0, language: str = "en"
) -> Path:
    """A `{dims, model_state_dict}` file whose model hears `sentence` in the first `seconds`."""
    torch.manual_seed(0)
    model = Whisper(ModelDimensions(**DIMS))
    tokenizer = get_tokenizer(True, num_languages=99, language=language, task="transcribe")
    with torch.no_grad():
        for block in model.decoder.blocks:  # nothing is added to what the position says
            for layer in (block.attn.out, block.cross_attn.out, block.mlp[2]):
                layer.weight.zero_()
                layer.bias.zero_()
        words = torch.randn(DIMS["n_vocab"], DIMS["n_text_state"])
        words *= 4 / words.norm(dim=1, keepdim=True)
        model.decoder.token_embedding.weight.copy_(words)
        model.decoder.positional_embedding.copy_(10 * words[_next_tokens(tokenizer, sentence, seconds)])
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"dims": DIMS, "model_state_dict": model.state_dict()}, path)
    return path


def _next_tokens(tokenizer, sentence: str, seconds: float) -> list[int]:
    """Which token each position asks for next; the first three are start, language and task."""
    language, task, begin = tokenizer.sot_sequence[1], tokenizer.sot_sequence[2], tokenizer.timestamp_begin
    said = [begin, *tokenizer.encode(sentence), begin + round(seconds / 0.02)]
    tokens = [language, task, *said]
    return tokens + [tokenizer.eot] * (DIMS["n_text_ctx"] - len(tokens))


def convert_tiny_whisper(folder: Path) -> Path:
    """The same model as a folder for faster-whisper: CTranslate2's weights and a tokenizer."""
    from ctranslate2.converters.transformers import WhisperLoader
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    saved = torch.load(save_tiny_whisper(folder / "tiny.pt"), weights_only=True)["model_state_dict"]
    config = WhisperConfig(
        vocab_size=DIMS["n_vocab"],
        d_model=DIMS["n_text_state"],
        encoder_layers=DIMS["n_audio_layer"],
        encoder_attention_heads=DIMS["n_audio_head"],
        encoder_ffn_dim=4 * DIMS["n_audio_state"],
        decoder_layers=DIMS["n_text_layer"],
        decoder_attention_heads=DIMS["n_text_head"],
        decoder_ffn_dim=4 * DIMS["n_text_state"],
        max_target_positions=DIMS["n_text_ctx"],
    )
    model = WhisperForConditionalGeneration(config)
    model.load_state_dict({_their_name(name): value for name, value in saved.items()}, strict=False)
    model.tie_weights()
    model.generation_config = None
    loader, tokens = WhisperLoader(), _save_tokenizer(folder / "tokenizer.json")
    spec = loader.get_model_spec(model)
    loader.set_config(spec.config, model, _Languages(tokens))
    loader.set_vocabulary(spec, tokens)
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    return folder


class _Languages:
    """The part of a tokenizer that the converter asks for the languages."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self.additional_special_tokens = tokens[50259:50358]

    def convert_tokens_to_ids(self, token: str) -> int:
        return self._tokens.index(token)


def _their_name(name: str) -> str:
    """The name of a weight in the Hugging Face model."""
    renamed = {
        "blocks": "layers",
        "cross_attn.": "encoder_attn.",
        "cross_attn_ln": "encoder_attn_layer_norm",
        ".attn.": ".self_attn.",
        "attn_ln": "self_attn_layer_norm",
        "mlp.0": "fc1",
        "mlp.2": "fc2",
        "mlp_ln": "final_layer_norm",
        "query": "q_proj",
        "key": "k_proj",
        "value": "v_proj",
        "_attn.out": "_attn.out_proj",
        "decoder.ln.": "decoder.layer_norm.",
        "ln_post": "layer_norm",
        "token_embedding": "embed_tokens",
        "positional_embedding": "embed_positions.weight",
    }
    for ours, theirs in renamed.items():
        name = name.replace(ours, theirs)
    return f"model.{name}".replace("encoder_self_attn_layer_norm", "encoder_attn_layer_norm")


def _save_tokenizer(path: Path) -> list[str]:
    """Whisper's own vocabulary as a tokenizers file; returns every token by its id."""
    import whisper
    from transformers.convert_slow_tokenizer import TikTokenConverter
    from whisper.tokenizer import get_encoding

    encoding = get_encoding("multilingual", 99)
    special = sorted(encoding._special_tokens, key=lambda token: encoding._special_tokens[token])
    vocabulary = Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken"
    made = TikTokenConverter(str(vocabulary), encoding._pat_str, extra_special_tokens=special).converted()
    made.save(str(path))
    by_id = {number: token for token, number in made.get_vocab().items()}
    return [by_id.get(number, f"<unused {number}>") for number in range(DIMS["n_vocab"])]
