"""Whether a sentence affirms or denies: what a model's words and their source must agree on.

On a question's path behind the model: question -> prompt -> model -> *checked* Answer. "Pets are allowed" shares every
word with "pets are not allowed", so no count of words tells them apart. Only plain negation counts, of closed classes;
which clause it reaches is not known, so a disagreement is no proof of a lie: it is a reason to show the source's words
in place of the model's (after Fancellu et al. 2016, "Neural Networks For Negation Scope Detection").
"""

from __future__ import annotations

import re

_DENIAL = re.compile(
    r"\b(?:not|no|never|none|neither|nor|without|cannot|nobody|nothing|nowhere|unable|\w+n['’]t|impossible"
    r"|(?:un(?:supported|available|able)|disallow|forbid|forbad|prohibit|refus|reject|fail|lack|ban(?:s|ned)\b)\w*)\b"
    r"|[不没沒無无未非勿莫禁忌]|拒[绝絕]|停止|取消|免(?!费|費)",
    re.IGNORECASE,
)
# Words with such a character or beginning that deny nothing.
_NO_DENIAL = re.compile(
    r"\bnot only\b|\bno(?:\.|:)? ?\d|不仅|不僅|不但|不同|不断|不斷|不久|不过|不過|不少|不管|不论|不論|无论|無論|非常"
    r"|未来|未來|除非|差不多|莫斯科|非洲|没错|沒錯|不错|不錯|至少|不得不|无非|是否|能否|可否|是不是|能不能|可不可以|有没有|会不会|要不要",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"^\W*(?:(yes|yep|correct|right|true|sure|是的?|对的?|對|可以|能|会|會|有|需要|支持|允许)"
    r"|(no|nope|incorrect|wrong|false|不是|不对|不對|否|不可以|不能|不会|不會|没有|沒有|不需要|不支持|不允许|不))"
    r"\s*(?:[,，.。!！;；:：]|$)",
    re.IGNORECASE,
)


def is_denied(text: str) -> bool:
    """Whether anything in a text denies.

    >>> is_denied("Pets are not allowed."), is_denied("该接口不允许匿名访问。"), is_denied("不仅支持，而且更快。")
    (True, True, False)
    """
    return _DENIAL.search(_NO_DENIAL.sub(" ", text)) is not None


def verdict(sentence: str) -> bool | None:
    """Whether a sentence begins with a yes or a no; None where it begins with neither.

    >>> verdict("No, pets stay outside."), verdict("可以。"), verdict("Nothing is said.")
    (False, True, None)
    """
    match = _VERDICT.match(sentence)
    return None if match is None else match[1] is not None


def contradicts(sentence: str, question: str, quote: str) -> bool:
    """Whether one of a sentence and its source denies and the other does not; a bare yes or no says what was asked.

    >>> contradicts("Pets are allowed.", "Are pets allowed?", "Visitors must not bring pets.")
    True
    >>> contradicts("No.", "Are pets allowed?", "Visitors must not bring pets.")
    False
    >>> contradicts("Yes, they are.", "Are pets allowed?", "Visitors must not bring pets.")
    True
    """
    said = verdict(sentence)
    if said is None:
        return is_denied(sentence) != is_denied(quote)
    return said == (is_denied(question) != is_denied(quote))
