"""A text's sentences: where one ends, in English and in Chinese.

Second station of a document's path: file -> Document -> *sentences* -> Chunks -> index -> Hits -> answer. Ends follow
Unicode UAX #29 in spirit: Chinese ones need no space behind them, a full stop behind an abbreviation or between digits
ends nothing, and neither does the row of dots that leads to a page number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pagoda.rag.splitting.blocks import Span, blocks, lstripped, rstripped

CLOSERS = "”’」』）】》〉〕\"')]}»*_"
_HAN = r"\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
# Ends that stand by themselves; Western marks that need a space, a closed quotation or Chinese text behind them.
_END = re.compile(
    rf"[。！？；｡]+[{re.escape(CLOSERS)}]*|…+[{re.escape(CLOSERS)}]*(?=\s|[{_HAN}]|$)"
    rf"|[.!?]+[{re.escape(CLOSERS)}]*(?:\[\d+\])*(?=\s|$|[{_HAN}])"
)
# In a table of contents.
_LEADER = re.compile(r"(?:\.[ \t]?){5,}|…{3,}|(?:[·•][ \t]?){5,}")
_NEVER_LAST = """
mr mrs ms dr prof st gen col lt sgt capt cmdr adm maj rep sen gov pres rev hon vs eg e.g ie i.e cf vol fig figs eq eqs
dept univ assn bros mt ft ave blvd rd approx ca circa est pp ed eds nos ch sec ref refs jan feb mar apr jun jul aug sep
sept oct nov dec mon tue wed thu fri sat sun viz op cit u.s u.k u.n
"""
_ABBREVIATIONS = frozenset(_NEVER_LAST.split())
# These end a sentence as often as not; the next word's first letter tells.
_SOMETIMES_LAST = frozenset(("inc", "ltd", "co", "corp", "jr", "sr", "al", "etc", "a.m", "p.m"))
_LAST_WORD = re.compile(r"[^\W_](?:[\w.&'-]*[^\W_])?$")
_NEXT_WORD = re.compile(r"\s*[“\"'‘(\[]*(\w)")


def sentence_spans(text: str) -> list[Span]:
    """(start, end) of each sentence, in order, without the blanks around it; everything else is in one of them.

    >>> text = "你好。再见！Dr. No is 3.5 m tall. Really?"
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['你好。', '再见！', 'Dr. No is 3.5 m tall.', 'Really?']
    """
    return [span for block in blocks(text) for span in sentences_of(text, block.start, block.end)]


def sentences_of(text: str, start: int, end: int) -> Iterator[Span]:
    """The sentences of one block."""
    first = lstripped(text, start, end)
    leaders = [match.span() for match in _LEADER.finditer(text, first, end)]
    for match in _END.finditer(text, first, end):
        last = match.end()
        if match.start() < first or not _ends_sentence(text, match, first, end):
            continue
        if leaders and any(begin < last and match.start() < stop for begin, stop in leaders):
            continue
        yield first, last
        first = lstripped(text, last, end)
    if first < end and (last := rstripped(text, first, end)) > first:
        yield first, last


def _ends_sentence(text: str, match: re.Match[str], first: int, end: int) -> bool:
    """Whether a mark ends the sentence that began at `first`."""
    if not match[0].startswith(".") or match[0].startswith(".."):
        return match[0][0] not in ".!?…" or _next_is_capital(text, match.end(), end)
    word_match = _LAST_WORD.search(text, max(first, match.start() - 24), match.start())
    word = word_match[0].lower() if word_match else ""
    following = _NEXT_WORD.match(text, match.end(), end)
    if following is None:
        return True
    if word == "no":
        return not following[1].isdigit()
    if word in _SOMETIMES_LAST:
        return following[1].isupper()
    # "1." at the beginning is the number of a list's item, "J." the initial of a name.
    is_number_of_item = word.isdigit() and match.start() - first <= 3
    is_initial = word_match is not None and re.fullmatch(r"[A-HJ-Z]", word_match[0]) is not None
    if word in _ABBREVIATIONS or is_number_of_item or is_initial:
        return False
    return not following[1].islower()


def _next_is_capital(text: str, offset: int, end: int) -> bool:
    following = _NEXT_WORD.match(text, offset, end)
    return following is None or not following[1].islower()
