"""Questions on sentences that deny, limit or except, made from the sentences: what an answer must not turn round.

Before a question's path. "WAL does not work over a network filesystem." becomes "Does WAL work over a network
filesystem?"; whoever shows "work over a network filesystem" must show "not", too. Only sentences whose subject stands
in them are taken, and only forms that can be turned by their first words; the rest is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_AUXILIARIES = "is|are|was|were|can|will|must|should|may|does|do|did|has|have|would|could"
_NO_SUBJECT = re.compile(
    r"(it|this|these|that|those|they|he|she|we|you|there|if|when|note|notice|see|for|in|as|so|but|or|and|i|because|since"
    r"|although|please|only|print|list|search|skip|prune|normally|now|sometimes|upon|what|by|at|even|consequently"
    r"|everything|anything|of|respect|also|however|usually|therefore|returns|unlike|after|before|while|with|my|-)\b"
    r"|.*\b(that|which|who|whose|means|is|are|was|were|do|does|has|have|may|can|will)\b|-"
)
_NO_OBJECT = re.compile(r"\b(is|are|will|should|may|can|and|they|it|allows|contains|with|if|to|the|but)$|,$")
_BREAK = re.compile(r",? (?:and|but|so|however|because|since|even if|as|although|though)\b|, ")
_NOT = re.compile(rf"(?P<subject>[^,;:()]+?) (?P<aux>{_AUXILIARIES}) not (?P<rest>[^;:]+)\.", re.IGNORECASE)
_CANNOT = re.compile(r"(?P<subject>[^,;:()]+?) cannot (?P<rest>[^;:]+)\.")
_LIMIT = re.compile(
    rf"(?P<subject>[^,;:()]+?) (?P<aux>{_AUXILIARIES}) (?P<rest>[^;:]+?),? (?P<limit>unless|except|only) [^;:]+\."
)
_ZH_NOT = re.compile(
    r"(?P<subject>[^，。；：！？、]{2,24}?)(?:目前|暂|尚|并|都|也)*"
    r"(?P<denied>不支持|不能|不会|不可以|不可|不允许|不建议|不推荐|不需要|不应该|不影响|不包含|不包括|不依赖|不保证|没有)"
    r"(?P<rest>[^，。；：！？]{3,40})"
)
_ZH_ONLY = re.compile(
    r"(?P<subject>[^，。；：！？、]{2,24}?)(?P<denied>仅支持|只支持|只能|仅能)(?P<rest>[^，。；：！？]{3,40})"
)
_ZH_UNLESS = re.compile(r"(?P<before>[^。；：！？]{6,40})，?除非(?P<limit>[^。；！？]{4,60})")
_ZH_POSITIVE = {"没有": "有", "仅支持": "支持", "只支持": "支持", "只能": "能", "仅能": "能"}
_ZH_POINTING = re.compile(
    r"这|该|此|其|本|以下|上述|目前|它|可能|会|导致|使用了|以及|原因|在|从|对|即|除|虽|因|通常|有时|（|\(|或者|同时"
    r"|您|你|我们|如果|当|则|那|但|而|并|因此|所以|由于|且|或|请|注意"
)
_MAX_SUBJECT_WORDS, _CORE_WORDS, _CORE_CHARACTERS = 7, 5, 12


@dataclass(frozen=True)
class Turned:
    """A question on a sentence. core: words by which the sentence is known; must: what has to be shown with them."""

    sentence: str
    question: str
    core: str
    must: str


def turned(sentence: str, language: str) -> Iterator[Turned]:
    """At most one question on a sentence.

    >>> next(turned("WAL does not work over a network filesystem.", "en")).question
    'Does WAL work over a network filesystem?'
    >>> next(turned("视图不支持写入操作。", "zh"))
    Turned(sentence='视图不支持写入操作。', question='视图支持写入操作吗？', core='写入操作', must='不支持')
    """
    forms = (_zh_unless, _zh_denied) if language == "zh" else (_limited, _denied)
    yield from (found for form in forms if (found := form(sentence)) is not None)


def _denied(sentence: str) -> Turned | None:
    match = _NOT.fullmatch(sentence) or _CANNOT.fullmatch(sentence)
    if match is None or not _is_subject(match["subject"]):
        return None
    aux = match.groupdict().get("aux") or "can"
    rest = _BREAK.split(match["rest"])[0]
    question = f"{aux.capitalize()} {_lowered(match['subject'])} {rest}?"
    must = "cannot" if "aux" not in match.groupdict() else "not"
    return Turned(sentence, question, " ".join(rest.split()[:_CORE_WORDS]), must)


def _limited(sentence: str) -> Turned | None:
    match = _LIMIT.fullmatch(sentence)
    if match is None or not _is_subject(match["subject"]) or " not " in f" {match['rest']} ":
        return None
    if match["limit"] == "only" and _NO_OBJECT.search(match["rest"]):
        return None
    question = f"{match['aux'].capitalize()} {_lowered(match['subject'])} {match['rest']}?"
    return Turned(sentence, question, " ".join(match["rest"].split()[-_CORE_WORDS:]), match["limit"])


def _is_subject(words: str) -> bool:
    return len(words.split()) <= _MAX_SUBJECT_WORDS and not _NO_SUBJECT.match(words.lower())


def _lowered(subject: str) -> str:
    first = subject.split()[0]
    return subject[0].lower() + subject[1:] if first in ("The", "A", "An", "All", "Any", "Each") else subject


def _zh_denied(sentence: str) -> Turned | None:
    match = _ZH_NOT.match(sentence) or _ZH_ONLY.match(sentence)
    if match is None or (_ZH_POINTING.match(match["subject"]) or match["subject"].endswith(("的", "要", "有", "了"))):
        return None
    if "{" in match["rest"] or match["rest"].startswith("的"):
        return None
    positive = _ZH_POSITIVE.get(match["denied"], match["denied"].removeprefix("不"))
    question = f"{match['subject']}{positive}{match['rest']}吗？"
    return Turned(sentence, question, match["rest"][:_CORE_CHARACTERS], match["denied"])


def _zh_unless(sentence: str) -> Turned | None:
    match = _ZH_UNLESS.match(sentence)
    if match is None or _ZH_POINTING.match(match["before"]):
        return None
    before = match["before"].strip("，")
    return Turned(sentence, f"{before}，有例外吗？", before[-_CORE_CHARACTERS:], "除非")
