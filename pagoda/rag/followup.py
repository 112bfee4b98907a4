"""A follow-up question made to stand alone, because retrieval does not know the conversation.

First station of a question's path: *question* -> Hits -> answerer -> Answer. A question of its own that leans on what
was said (it, that, 它, 那) is joined with the one before. A piece of one ("And on Windows?", 那周日呢？) takes the
place of the piece that it is parallel to ("How do I install it on Linux?"), so that what is looked for is what is asked
now and not once more what was asked before; where no piece is parallel, it is added. In both cases it is what the
answer has to speak of (`piece_of`; `extractive/showing/coverage` holds answers to it), so that nobody has to know which
noun a noun takes the place of. A model does better (`generative/condensing`). After Dalrymple, Shieber and Pereira
1991, "Ellipsis and Higher-Order Unification".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from pagoda.chat.model import Message
from pagoda.rag.chinese import cut
from pagoda.rag.content_words import content

_LEANS = re.compile(
    r"\b(?:it|its|they|them|their|that|this|those|these|he|she|his|her|him|one|ones|same|else)\b"
    # "Is there a lift?" leans on nothing.
    r"|(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bwere )\bthere\b(?! (?:is|are|was|were)\b)"
    r"|^(?:and|or|but|what about|how about)\b|[它他她其]|这|那|呢[？?]?$|^(?:还有|另外|那么)",
    re.IGNORECASE,
)
_FEW_WORDS = 2
_END = " \t\n.?!。？！"
_PREPOSITION = r"(?:on|in|at|for|from|to|with|without|by|under|before|after|during|since|until|as|of|via|through)"
_LEADS_IN = re.compile(r"^\W*(?:(?:and|or|but|so|then)\b[\s,]*)*(?:(?:what|how)\s+about\b\s*)?", re.IGNORECASE)
_ASKS = re.compile(
    r"\b(?:what|who|whom|whose|when|where|which|why|how|is|are|was|were|do|does|did|can|could|will|would|should|has"
    r"|have|had|(?-i:may)|must|shall)\b",
    re.IGNORECASE,
)
_AUXILIARY = (
    r"(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|may|must|shall|(?:is|are|was|were|do|does"
    r"|did|ca|could|wo|would|should|has|have|had)n['’]t|cannot)"
)
# With a verb: "Who owns ...", "When does ...", "Can ..."; "Which floor?" and "How long?" have none.
_HAS_VERB = re.compile(
    rf"^\W*(?:who(?:m|se)?\b|(?:what|which|when|where|why|how)\b.*\b{_AUXILIARY}\b|{_AUXILIARY}\b)", re.IGNORECASE
)
# What it is about: "... is the sauna?", "Does breakfast ...?"; whoever asks and whoever is asked are no subject.
_HAS_SUBJECT = re.compile(
    rf"\b(?:is|are|was|were|an?|the)\s+[\w-]+\W*$|\b{_AUXILIARY}\s+(?!(?:i|we|you|the|an?|not)\b)[\w-]+\s+\w",
    re.IGNORECASE,
)
_PARALLEL = rf"(?<![\w-]){{preposition}}\s+(?:(?!{_PREPOSITION}\b)[^\s,;?]+(?:\s+|$)){{{{1,4}}}}"
_CHINESE_PIECE = re.compile(r"^(?:那么?|還有|还有|另外|如果是?|要是|换成|而)*[，,\s]*(.{1,12}?)\s*呢[？?\s]*$")
_CHINESE_EDGE = "在从到对為为给的把被用是和与，,、"
_KINDS = (frozenset({"nr", "nrfg", "nrt", "ns", "nt", "nz", "j"}), frozenset({"t"}))  # jieba's tags of names; of times
_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_NAME = re.compile(r"[A-Za-z0-9][\w.+#-]*(?: [A-Za-z0-9][\w.+#-]*)*", re.ASCII)


def joined(question: str, history: Sequence[Message]) -> str:
    """The question with the one before, where it leans on it.

    >>> joined("And on Sundays?", [Message("user", "When does the shop open?"), Message("assistant", "At 9.")])
    'When does the shop open on Sundays?'
    >>> joined("And on Windows?", [Message("user", "How do I install it on Linux?")])
    'How do I install it on Windows?'
    >>> joined("那儿童票呢？", [Message("user", "成人票多少钱？")])
    '儿童票多少钱？'
    >>> joined("Who owns the shop?", [Message("user", "When does the shop open?")])
    'Who owns the shop?'
    """
    before = _whole_question([turn.content for turn in history if turn.role == "user" and turn.content.strip()])
    if before is None:
        return question
    if piece := piece_of(question):
        return _with_piece(piece, before)
    return f"{before} {question}" if _leans(question) else question


def _leans(question: str) -> bool:
    """Whether it says what it is about by a pronoun, or not at all.

    >>> [_leans(text) for text in ("Is it free?", "How much?", "Can I pay?", "Who owns borea?", "What is borea?")]
    [True, True, True, False, False]
    """
    words = len(content(question))
    is_whole = _HAS_VERB.match(question) and (words > 1 or (words == 1 and _HAS_SUBJECT.search(question)))
    return bool(_LEANS.search(question)) or (words <= _FEW_WORDS and not is_whole)


def _whole_question(asked: Sequence[str]) -> str | None:
    """What the last question asked: pieces are put into the one before them, the oldest first."""
    whole: str | None = None
    for question in asked:
        piece = piece_of(question)
        whole = _with_piece(piece, whole) if piece and whole else question
    return whole


def piece_of(question: str) -> str:
    """What a question without a verb and a question word of its own asks about; empty for any other.

    >>> piece_of("What about children?"), piece_of("那周日呢？"), piece_of("And who pays?"), piece_of("Why?")
    ('children', '周日', '', '')
    """
    if match := _CHINESE_PIECE.match(question):
        return "" if set(match[1]) <= set("它他她这那其 ") else match[1]
    lead = _LEADS_IN.match(question)
    rest = question[lead.end() if lead else 0 :].strip(_END)
    says = content(rest) or _has_digit(rest)
    is_piece = lead is not None and lead[0].strip() and says and not _ASKS.search(rest)
    return rest if is_piece and not _HAN.search(rest) else ""


def _with_piece(piece: str, before: str) -> str:
    return _chinese(piece, before) if _HAN.search(before) else _english(piece, before)


def _english(piece: str, before: str) -> str:
    """In the place of the phrase with the same preposition, or of what a bare noun is parallel to; else behind it all.

    >>> _english("git pull", "What does git fetch do?"), _english("Persuasion", "Who wrote Emma?")
    ('What does git pull do?', 'Who wrote Persuasion?')
    """
    stem, first = before.rstrip(_END), piece.split()[0]
    if re.fullmatch(_PREPOSITION, first, re.IGNORECASE):
        place = _phrase(re.escape(first), stem, like=piece)
        return _put(piece, stem, place) if place else f"{stem} {piece}?"
    alike = _alike(piece, stem)
    place = _phrase(_PREPOSITION, stem, only=True) if not alike else alike[0] if len(alike) == 1 else None
    if place:
        return _put(piece, stem, (place[0] + len(_preposition(stem[slice(*place)])), place[1]))
    return f"{stem}, {piece}?"


def _phrase(preposition: str, stem: str, *, like: str = "", only: bool = False) -> tuple[int, int] | None:
    """The last phrase with a preposition, or the only one; what asks is none.

    like: where this has a number and some of the phrases have, or neither, it is one of those

    >>> "sold in 2024 in Ulm"[slice(*_phrase("in", "sold in 2024 in Ulm", like="in 2025"))]
    'in 2024'
    """
    found = re.finditer(_PARALLEL.format(preposition=preposition), stem, re.IGNORECASE)
    places = [(match.start(), match.start() + len(match[0].rstrip())) for match in found if not _ASKS.search(match[0])]
    if only and len(places) > 1:
        return None
    alike = [place for place in places if _has_digit(stem[slice(*place)]) == _has_digit(like)] if like else []
    candidates = alike or places
    return candidates[-1] if candidates else None


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _preposition(phrase: str) -> str:
    match = re.match(rf"{_PREPOSITION}\s+", phrase, re.IGNORECASE)
    return match[0] if match else ""


def _alike(piece: str, stem: str) -> list[tuple[int, int]]:
    """Words that begin with the same one; else the last name where the piece is one, the plurals where it is one."""
    first, size = piece.split()[0], len(piece.split())
    same = re.finditer(rf"(?<![\w-]){re.escape(first)}(?:\s+[^\s,;?]+){{{size - 1}}}(?![\w-])", stem)
    if places := [match.span() for match in same]:
        return places
    if first[0].isupper():
        return [match.span() for match in re.finditer(r"(?<=\s)[A-Z][\w-]*(?:\s[A-Z][\w-]*)*", stem)][-1:]
    plurals = re.finditer(r"(?<![\w-])[a-z]{3,}s(?![\w-])", stem) if re.fullmatch(r"[a-z]{3,}s", piece) else ()
    return [match.span() for match in plurals if content(match[0]) and not match[0].endswith("ss")]


def _put(piece: str, stem: str, place: tuple[int, int]) -> str:
    return f"{stem[: place[0]]}{piece}{stem[place[1] :]}?"


def _chinese(piece: str, before: str) -> str:
    """In the place of words that end alike (成人票, 儿童票), of the only name or time like it, or in front of it all.

    >>> _chinese("在 Mac 上", "如何在 Linux 上安装？"), _chinese("周日", "周末几点开？"), _chinese("租车", "几点开？")
    ('如何在 Mac 上安装？', '周日几点开？', '租车，几点开？')
    """
    piece = piece.lstrip("在从对到 ") or piece
    if _HAN.match(piece[-1]):
        place = _ends_alike(piece[-1], before) or _of_its_kind(piece, before)
    else:
        place = _only_name(before)
    return f"{before[: place[0]]}{piece}{before[place[1] :]}" if place else f"{piece}，{before}"


def _ends_alike(last: str, before: str) -> tuple[int, int] | None:
    """From behind what leads to it (在, 的) to the first word that ends with a character; a part of a word is none."""
    start = end = 0
    for word, _ in cut(before):
        end += len(word)
        if word.endswith(last):
            return start + len(before[start:end]) - len(before[start:end].lstrip()), end
        if word in _CHINESE_EDGE:
            start = end
    return None


def _of_its_kind(piece: str, before: str) -> tuple[int, int] | None:
    """The only place, person or other name where the piece is one, the only time where it is a time."""
    words, said = cut(piece), cut(before)
    kind = next((kind for kind in _KINDS if len(words) == 1 and words[0][1] in kind), frozenset())
    ends = [0, *accumulate(len(word) for word, _ in said)]
    places = [(ends[index], ends[index + 1]) for index, (_, tag) in enumerate(said) if tag in kind]
    return places[0] if len(places) == 1 else None


def _only_name(before: str) -> tuple[int, int] | None:
    names = [match.span() for match in _LATIN_NAME.finditer(before)]
    return names[0] if len(names) == 1 else None
