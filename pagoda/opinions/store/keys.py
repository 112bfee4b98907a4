"""What makes an item the same item: its source and id, or, where it has no id, its words.

On the path *connector -> key -> story*. Feeds that give no ids and no dates bring their articles again for ever, and a
replay that was interrupted begins anew: both are held off by the key alone.
"""

from __future__ import annotations

import hashlib
import unicodedata

from pagoda.opinions.story import Item

KEY_BYTES = 16


def item_key(item: Item) -> bytes:
    """[16] bytes. Items of two sources are never one, even where their words are: they are reach of one story."""
    return _hash("id", item.source, item.id)


def id_from_words(whole: str) -> str:
    """The id of an item that comes without one: that of its words.

    >>> id_from_words("Shares FELL\n") == id_from_words("shares fell")
    True
    """
    return f"text-{_hash('text', plain_words(whole)).hex()}"


def text_key(text: str) -> bytes:
    """[16] bytes of a text as it is: equal texts are kept once."""
    return _hash("body", text)


def plain_words(text: str) -> str:
    """A text without what differs between two copies of it: width, case, white space.

    >>> plain_words("Ｓhares   FELL\\n") == plain_words("shares fell")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _hash(*parts: str) -> bytes:
    # Lengths, so that no two lists of parts run into the same bytes.
    data = b"".join(len(raw).to_bytes(8, "big") + raw for raw in (part.encode("utf-8", "replace") for part in parts))
    return hashlib.sha256(data).digest()[:KEY_BYTES]
