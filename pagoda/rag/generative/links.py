"""Links and pictures of a model's text: only addresses that a source has may leave.

On a question's path behind the model: question -> Hits -> prompt -> model -> *checked* Answer. A picture is fetched by
whatever shows the answer, and its address may carry away what was asked; so none is kept, and an address that stands
in no source goes, with its words left. Source: OWASP, "LLM01:2025 Prompt Injection", on answers that smuggle data out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pagoda.rag.generative.source import Source

_PICTURE = re.compile(r"!\[([^\]]*)\]\s*(?:\([^)]*\)|\[[^\]]*\])|<img\b[^>]*>", re.IGNORECASE)
_LINK = re.compile(r"\[([^\]]+)\]\(\s*<?([^)\s>]*)>?[^)]*\)")
_ANCHOR = re.compile(r"</?a\b[^>]*>", re.IGNORECASE)
_ADDRESS = re.compile(r"<?((?:https?|ftp)://[^\s<>()\[\]\"'“”‘’，。；、）】]+)>?", re.IGNORECASE)


def with_own_links(text: str, sources: Sequence[Source]) -> str:
    """The text without pictures, and without addresses that no source has.

    >>> with_own_links("See [the site](http://x.example/a) ![logo](http://y.example/q?d=1)", [])
    'See the site logo'
    """
    known = "\n".join(source.text for source in sources)

    def linked(match: re.Match[str]) -> str:
        return f"{match[1]} ({match[2]})" if match[2] and match[2] in known else match[1]

    def plain(match: re.Match[str]) -> str:
        return match[0] if match[1].rstrip(".,;:!?") in known else ""

    text = _ANCHOR.sub("", _PICTURE.sub(lambda match: match[1] or "", text))
    return _ADDRESS.sub(plain, _LINK.sub(linked, text))
