"""Filling in the middle: a prompt and its suffix in the order that a model of code was trained on.

At the door of the token's path, for `suffix` of /v1/completions. Bavarian et al. 2022 (arXiv 2207.14255): a text is cut
in three, and the model learns to write the middle after the prefix and the suffix, each behind a token of its own
("PSM"). The tokens are those that the model's tokenizer has; families spell them differently.
"""

from __future__ import annotations

from typing import NamedTuple

from pagoda.models.tokenizer.tokenizer import Tokenizer


class InfillingTokens(NamedTuple):
    """What stands before the prefix, the suffix and the middle."""

    prefix: str
    suffix: str
    middle: str

    def prompt(self, prefix: str, suffix: str) -> str:
        """The text after which the model writes what belongs between the two."""
        return f"{self.prefix}{prefix}{self.suffix}{suffix}{self.middle}"


KNOWN = (
    InfillingTokens("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen 2.5 and later, CodeGemma
    InfillingTokens("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder 2, Granite
    InfillingTokens("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    InfillingTokens("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder
    InfillingTokens("▁<PRE>", "▁<SUF>", "▁<MID>"),  # Code Llama
    InfillingTokens("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM-4
)
_ENDS = ("<|fim_pad|>", "<fim_pad>", "<fim-pad>", "▁<EOT>", "<|endoftext|>", "<|file_separator|>", "<|file_sep|>")
"""What models write behind the middle, beside their tokens of end."""


def infilling_tokens(tokenizer: Tokenizer) -> InfillingTokens | None:
    """The model's tokens for filling in, None where its tokenizer has none as tokens of their own."""
    return next((tokens for tokens in KNOWN if all(_is_one_token(tokenizer, each) for each in tokens)), None)


def infilling_stop_ids(tokenizer: Tokenizer, tokens: InfillingTokens) -> list[int]:
    """Tokens that end the middle: nothing of it stands behind them."""
    ids = (tokenizer.token_to_id(text) for text in (*tokens, *_ENDS))
    return [token_id for token_id in ids if token_id is not None]


def _is_one_token(tokenizer: Tokenizer, text: str) -> bool:
    return tokenizer.encode(text, add_special_tokens=False) == [tokenizer.token_to_id(text)]
