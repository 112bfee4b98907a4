"""What the `tokenizer_class` of a checkpoint changes: a second description beside its vocabulary, and it goes before.

Stands between a tokenizer's files (`files`) and the tokenizer: transformers 5 builds some classes anew around the
vocabulary of `tokenizer.json`, by `tokenizer_config.json`'s `legacy` and `add_prefix_space`, and gives special tokens
names where the files give none. So Llama 2's "</s>Hi" is "</s>", "Hi" under `legacy: false`, though the steps that
its `tokenizer.json` lists would put a space before "Hi". What a class says without such a setting, a byte-level
one's split into words above all, is left as the file has it: models are trained with their file's, which transformers
5 loses for SmolLM2, OLMo and others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import decoders, models, pre_tokenizers

from pagoda.models.tokenizer.sentencepiece import SPACE

_GENERIC = frozenset({
    "granite", "granitemoe", "glm", "glm4", "glm4_moe", "hyperclovax", "internlm2", "internlm3", "minicpm3",
    "ministral", "ministral3", "mistral", "mistral3", "mixtral", "nemotron", "olmo2", "olmo3", "phi3", "phimoe",
    "stablelm",
})  # fmt: skip
"""Values of `model_type` whose `tokenizer.json` is read as it stands, whatever class its checkpoints name."""
_OF_MODEL_TYPE = {
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"), "Qwen2Tokenizer"),
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text"), "GemmaTokenizer"),
    **dict.fromkeys(("olmo", "olmoe", "gpt_neox"), "GPTNeoXTokenizer"),
}
"""The class of checkpoints that name none."""


@dataclass(frozen=True)
class TokenizerClass:
    """A class of transformers: names of special tokens, where `tokenizer_config.json` is silent, and its own steps."""

    special_tokens: Mapping[str, str] = field(default_factory=dict)
    rebuild: Callable[[BackendTokenizer, Mapping[str, Any]], None] | None = None

    def defaults(self, backend: BackendTokenizer) -> dict[str, str]:
        """The named special tokens that the vocabulary has: a name without an id would only add one."""
        return {name: text for name, text in self.special_tokens.items() if backend.token_to_id(text) is not None}


def class_of(settings: Mapping[str, Any], backend: BackendTokenizer) -> TokenizerClass:
    """The class that reads this tokenizer. An unknown one is read by its files alone, as a generic one is."""
    model_type = settings.get("model_type")
    named = str(settings.get("tokenizer_class") or "").removesuffix("Fast")
    if named in _METASPACE and (model_type in _GENERIC or not _is_sentencepiece_bpe(backend)):
        named = ""  # the class of Llama 2, over Llama 3's byte-level vocabulary: many checkpoints say so
    if model_type == "qwen2" or not named:
        named = _OF_MODEL_TYPE.get(str(model_type), named)
    return CLASSES.get(named, TokenizerClass())


def _is_sentencepiece_bpe(backend: BackendTokenizer) -> bool:
    steps = (backend.pre_tokenizer, backend.decoder, backend.post_processor)
    byte_level = any(step is not None and b'"ByteLevel"' in step.__getstate__() for step in steps)
    return isinstance(backend.model, models.BPE) and not byte_level


def _rebuild_llama(backend: BackendTokenizer, settings: Mapping[str, Any]) -> None:
    prefixed = settings.get("add_prefix_space") is not False
    scheme = "always" if settings.get("legacy") else "first"
    _rebuild_metaspace(backend, scheme if prefixed else "never", strip=prefixed)


def _rebuild_code_llama(backend: BackendTokenizer, settings: Mapping[str, Any]) -> None:
    _rebuild_metaspace(backend, "never" if settings.get("add_prefix_space") is False else "first", strip=True)


def _rebuild_metaspace(backend: BackendTokenizer, prepend_scheme: str, *, strip: bool) -> None:
    """SentencePiece's steps: a space before the text, before each piece of it between special tokens, or none."""
    backend.model.unk_token, backend.model.fuse_unk, backend.model.byte_fallback = None, True, True
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=prepend_scheme, split=False)
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)


def _set_prefix_space(backend: BackendTokenizer, settings: Mapping[str, Any]) -> None:
    """Byte-level: whether a text begins with a space, where that is said. The file's other steps stay."""
    said, whole = settings.get("add_prefix_space"), backend.pre_tokenizer
    steps: Any = whole if isinstance(whole, pre_tokenizers.Sequence) else [whole]
    for step in steps:
        if isinstance(step, pre_tokenizers.ByteLevel) and said is not None:
            step.add_prefix_space = bool(said)


def _all_named(token: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, token)


_METASPACE = ("LlamaTokenizer", "CodeLlamaTokenizer")
_SENTENCEPIECE_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CLASSES: dict[str, TokenizerClass] = {
    "LlamaTokenizer": TokenizerClass(_SENTENCEPIECE_NAMES, _rebuild_llama),
    "CodeLlamaTokenizer": TokenizerClass(
        {
            **_SENTENCEPIECE_NAMES,
            "prefix_token": "▁<PRE>",
            "middle_token": "▁<MID>",
            "suffix_token": "▁<SUF>",
            "eot_token": "▁<EOT>",
        },
        _rebuild_code_llama,
    ),
    "Qwen2Tokenizer": TokenizerClass(
        _all_named("<|endoftext|>", "eos_token", "unk_token", "pad_token"), _set_prefix_space
    ),
    "GPT2Tokenizer": TokenizerClass(
        _all_named("<|endoftext|>", "bos_token", "eos_token", "unk_token"), _set_prefix_space
    ),
    "GPTNeoXTokenizer": TokenizerClass(
        {**_all_named("<|endoftext|>", "bos_token", "eos_token", "unk_token"), "pad_token": "<|padding|>"},
        _set_prefix_space,
    ),
    "GemmaTokenizer": TokenizerClass(
        {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    ),
}
"""By the name of transformers, without "Fast"."""
