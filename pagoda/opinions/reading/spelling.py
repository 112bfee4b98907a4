"""One spelling for what people spell in several ways, character by character, so that places stay where they are.

Under linking and under events: width, case, hyphens, and traditional characters make no difference to what is meant.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

from pagoda.errors import MissingExtraError

_SAME = str.maketrans(
    {"-": " ", "–": " ", "’": "'", "·": " ", "\u00a0": " ", "\n": " ", "\t": " ", "ø": "o", "ł": "l", "đ": "d"}
)


def folded(text: str) -> str:
    """Small letters of one width without accents, simplified characters; as long as the text.

    >>> folded("Coca-Cola：貴州茅臺 ＡＢＣ")
    'coca cola:贵州茅台 abc'
    >>> folded("Nestlé, Ørsted")
    'nestle, orsted'
    """
    return "".join(map(_of, text)) if not text.isascii() else text.lower().translate(_SAME)


def simplified(text: str) -> str:
    """The text with simplified Chinese characters in place of traditional ones; all else, and its length, is the same.

    >>> simplified("Apple 漲停")
    'Apple 涨停'
    """
    return "".join(_of(sign) if "\u3400" <= sign <= "\u9fff" else sign for sign in text)


@lru_cache(maxsize=65_536)
def _of(character: str) -> str:
    normal = unicodedata.normalize("NFKC", character)
    if len(normal) > 1:  # ™, Ⅲ, №: several letters have no place here, and one of them would be another word
        return character
    plain = normal.lower().translate(_SAME)
    base = unicodedata.normalize("NFD", plain)[:1]
    if base.isascii() and base.isalpha():
        return base
    if "\u3400" <= character <= "\u9fff":
        plain = simplifier().convert(plain)
    return plain if len(plain) == 1 else character


@lru_cache(maxsize=1)
def simplifier() -> Any:
    """OpenCC's table from traditional to simplified. Raises MissingExtraError."""
    try:
        from opencc import OpenCC
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading traditional Chinese (opencc)", "opinions") from error
    return OpenCC("t2s")
