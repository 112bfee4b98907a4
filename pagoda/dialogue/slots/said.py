"""Words as somebody said them, looked at once: with plain letters, and whether they mean that anything will do.

Stands between *understanding* and *events* on the turn's path. The readers of numbers, times and choices take what
stands here and fold nothing again.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_ANY = re.compile(
    r"随便|随意|都行|都可以|都好|都成|无所谓|不限|不挑|没要求|没有要求|没什么要求"
    r"|没有特别|怎么都|哪.{0,3}都|什么.{0,3}都|任意|你定|看着办|不在乎|不介意|没偏好"
    r"|\b(?:any(?:thing|where|time)?|whatever|whichever|wherever|whenever|either|doesn'?t matter|does not matter"
    r"|don'?t care|don'?t mind|do not (?:care|mind)|no preference|not fussy|not picky|not important|no matter"
    r"|you (?:choose|decide|pick)|up to you|surprise me|all (?:fine|good|the same)|open to)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Said:
    """Words without the space around them. plain: folded, of the same length; is_any: see the function."""

    words: str
    plain: str
    is_any: bool

    @classmethod
    def of(cls, text: str) -> Said:
        """A look at a text."""
        words = text.strip()
        return cls(words, folded(words), is_any(words))


def folded(text: str) -> str:
    """Full-width digits and letters as plain ones; what NFKC would make longer stays, so that places are kept.

    >>> folded("１８：３０ Ａ㎏")
    '18:30 A㎏'
    """
    # Nothing in ASCII has another form, and character by character is slow.
    if text.isascii():
        return text
    return "".join(plain if len(plain := unicodedata.normalize("NFKC", char)) == 1 else char for char in text)


def without_any(text: str) -> str:
    """The text without the words by which somebody does not mind."""
    return _ANY.sub(" ", text)


def is_any(text: str) -> bool:
    """Whether somebody does not mind.

    >>> is_any("都可以"), is_any("I don't mind"), is_any("便宜的")
    (True, True, False)
    """
    return _ANY.search(text) is not None
