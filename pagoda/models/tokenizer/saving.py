"""A tokenizer into the files of a checkpoint folder: tokenizer.json and what stands beside it.

Off the token's path, when a model that had its tokenizer elsewhere, in a GGUF file, is written as a folder. The files
are those that transformers' fast tokenizers load.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pagoda.models.tokenizer.tokenizer import Tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and, where there are any, chat templates."""
    tokenizer.backend_tokenizer.save(str(directory / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **tokenizer.special_tokens,
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    (directory / "tokenizer_config.json").write_text(text, encoding="utf-8")
    template = tokenizer.chat_template
    for name in () if template is None else template.names:
        path = directory / ("chat_template.jinja" if name == "default" else f"chat_templates/{name}.jinja")
        path.parent.mkdir(exist_ok=True)
        path.write_text(template.select(name), encoding="utf-8")  # type: ignore[union-attr]
