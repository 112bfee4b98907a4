"""The language of a text, English or Chinese: decided here for retrieval, for answers and for dialogue.

Beside every path that starts with a person's words. Names of the other language stand in both, so that neither a Han
character nor an English word settles it.
"""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "zh"]
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# Names bring function words of their own: those of several words in capitals, and titles.
_NAME = re.compile(r"[A-Z][\w'’-]*(?:\s(?:(?:of|the|and|in|on|for|to|a|an)\s)*[A-Z][\w'’-]*)+|《[^》]*》")
_ENGLISH = re.compile(
    r"\b(?:what|who|whom|whose|when|where|which|why|how|is|are|was|were|do|does|did|can|could|the|of|in|to)\b", re.I
)
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_CHINESE = re.compile("[的是吗嗎呢么麼哪谁誰几幾多少有在了怎何请請]")


def language_of(text: str) -> Language:
    """The language that a text is written in: that of its function words, names aside; English without a Han character.

    >>> language_of("GPU 服务器的 IP 地址是多少？"), language_of("Who wrote 红楼梦?")
    ('zh', 'en')
    >>> language_of("谁翻译了 The Story of the Stone?"), language_of("Who translated 《谁的青春》?")
    ('zh', 'en')
    """
    if not _HAN.search(text):
        return "en"
    own = _NAME.sub(" ", text)
    return "zh" if len(_CHINESE.findall(own)) >= len(_ENGLISH.findall(own)) else "en"


def share_of(text: str, language: Language) -> float:
    """Share of a text's words that are of a language, 0 to 1; two Han characters count as a word. 0 without any.

    >>> share_of("The Beatles 发行于 1970 年", "en"), share_of("1970", "zh")
    (0.5, 0.0)
    """
    chinese, english = len(_HAN.findall(text)) / 2, len(_LATIN_WORD.findall(text))
    total = chinese + english
    return (chinese if language == "zh" else english) / total if total else 0.0
