"""What a checkpoint's authors tell people of it: the languages it speaks, and whether it was made for code.

Off the token's path: read once at start, told to the chat page. In a Hugging Face directory that is the head of
README.md (hub documentation, "Model cards"), in a GGUF file `general.*`. Where nothing is written nothing is known: a
vocabulary that can spell a language does not make a model speak it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_CODE = re.compile(r"(code(?!cs?$)[a-z]*|(?!(en|de)coder)[a-z]*coder)\d*", re.IGNORECASE)


@dataclass(frozen=True)
class ModelCard:
    """languages: as the authors name them, mostly ISO 639 codes; () where they do not. is_for_code: made for code."""

    languages: tuple[str, ...] = ()
    is_for_code: bool = False

    @classmethod
    def from_directory(cls, directory: Path, name: str = "") -> ModelCard:
        """What README.md says. name: of the model, whose words tell as well ("Qwen2.5-Coder"); a card that cannot be
        read is told of in the log and passed over, as the model runs without."""
        path = directory / "README.md"
        if not path.is_file():
            return cls.of({}, name)
        # Imported here: it takes a while, and few need it.
        from huggingface_hub import metadata_load

        try:
            head = metadata_load(path) or {}
        except Exception as error:  # YAML's, or what the file holds instead of text
            logger.warning("the head of %s cannot be read and is passed over: %s", path, str(error).splitlines()[0])
            head = {}
        return cls.of({"languages": head.get("language"), "tags": head.get("tags")}, name)

    @classmethod
    def of(cls, told: Mapping[str, Any], name: str = "") -> ModelCard:
        """told: `languages` and `tags`, each a word or a list of them.

        >>> ModelCard.of({"languages": ["en", "code"]}), ModelCard.of({}, "Qwen2.5-Coder-0.5B").is_for_code
        (ModelCard(languages=('en',), is_for_code=True), True)
        """
        languages, tags = _words(told.get("languages")), _words(told.get("tags"))
        in_name = any(_CODE.fullmatch(word) for word in re.split(r"[^a-zA-Z0-9]+", name))
        is_for_code = in_name or "code" in {*languages, *tags}
        return cls(tuple(word for word in languages if word != "code"), is_for_code)


def _words(value: Any) -> tuple[str, ...]:
    """What is no text is left out: YAML takes Norwegian's "no" for a truth value."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return tuple(dict.fromkeys(each.strip().lower() for each in values if isinstance(each, str) and each.strip()))
