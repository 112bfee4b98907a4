"""Whether a rephrased reply still says only what the rows say: its numbers and names are held against them.

Beside *reply* on the turn's path: a language model may make a template's sentence smoother, not add to it. The check is
by form, not by meaning: a number in any spelling, a name that the graph knows, a name in quotation marks, and what
looks like one. It errs towards rejecting, for the template is always there to be said instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pagoda.dialogue.slots.numbers import numbers_in
from pagoda.dialogue.slots.said import folded

Row = Mapping[str, Any]
_QUOTED = re.compile(r"[「『《“\"]([^」』》”\"]{1,40})[」』》”\"]")
_CAPITALISED = re.compile(r"(?:[A-Z][\w'’-]*)(?:\s+(?:of|the|and|de|[A-Z][\w'’-]*))*")
_HAN_RUN = re.compile(r"[\u4e00-\u9fff]+")
_SENTENCE_STARTS = re.compile(r"(?:^|[.!?:;\n]\s*|[“\"(]|\d+[.)]\s*|[-*•]\s*)$")
# Said of no thing in particular: 一家, 一下, one of them.
_ALWAYS = frozenset({1.0})
# Characters that begin a clause before a name, so that 推荐青瓦小馆 is read from the name on.
_MIN_NAME = 2
_PLAIN_WORDS = frozenset(
    re.findall(
        r"\S+",
        "i i'm i've i'll i'd yes no ok okay cny rmb yuan am pm mon tue wed thu fri sat sun jan feb mar apr jun jul aug"
        " sep oct nov dec monday tuesday wednesday thursday friday saturday sunday january february march april may"
        " june july august september october november december",
    )
)


def check_rephrasing(
    text: str,
    rows: Sequence[Row],
    original: str,
    *,
    known_names: Iterable[str] = (),
    name_endings: Iterable[str] = (),
    general_words: Iterable[str] = (),
) -> tuple[str, ...]:
    """What a rephrasing holds that neither rows nor the original reply do; empty where it may be said.

    original: the reply from templates; known_names: of the graph; name_endings: how Chinese names of places end
    general_words: what stands before such an ending and makes no name
    """
    source = folded(" ".join([original, *_texts(rows)]))
    plain = folded(text)
    allowed = _numbers(source) | _ALWAYS | {float(rank) for rank in range(1, len(rows) + 1)}
    odd = [_spelling(number) for number in sorted(_numbers(plain) - allowed)]
    odd += [name for name in known_names if len(name) >= _MIN_NAME and _holds(plain, name) and not _holds(source, name)]
    odd += [name for name in _QUOTED.findall(plain) if not _holds(source, name)]
    odd += [name for name in _capitalised(plain) if not _is_said(name, source)]
    odd += _ended(plain, source, tuple(name_endings), frozenset(general_words))
    odd += [] if original.strip() and text.strip() else ["(empty)"]
    return tuple(dict.fromkeys(odd))


def _texts(rows: Sequence[Row]) -> list[str]:
    held = [value for row in rows for value in row.values()]
    return [str(each) for value in held for each in (value if isinstance(value, list | tuple) else (value,))]


def _numbers(text: str) -> set[float]:
    return {float(found.value) for found in numbers_in(text)}


def _spelling(number: float) -> str:
    return f"{number:g}"


def _holds(text: str, name: str) -> bool:
    return folded(name).lower() in text.lower()


def _capitalised(text: str) -> list[str]:
    """English names: capitalised words that do not merely begin a sentence."""
    found = []
    for match in _CAPITALISED.finditer(text):
        words = match[0].split()
        if len(words) == 1 and (_SENTENCE_STARTS.search(text[: match.start()]) or words[0].lower() in _PLAIN_WORDS):
            continue
        found.append(match[0])
    return found


def _is_said(name: str, source: str) -> bool:
    """Every word of it stands in the source, but for one before a longer name, as in "Try Green Tile Kitchen"."""
    words = [word for word in re.findall(r"[\w'’-]+", name.lower()) if word not in _PLAIN_WORDS | {"the", "of", "and"}]
    known = set(re.findall(r"[\w'’-]+", source.lower()))
    is_led_in = len(words) > 2 and all(word in known for word in words[1:])
    return is_led_in or all(word in known for word in words)


def _ended(text: str, source: str, endings: tuple[str, ...], general: frozenset[str]) -> list[str]:
    """Chinese names of places: what ends like one must, with the two characters before, stand in the source."""
    odd = []
    for ending in endings:
        if not _HAN_RUN.fullmatch(ending):
            continue
        for match in re.finditer(rf"[\u4e00-\u9fff]{{2}}{ending}", text):
            if match[0] not in source and not _is_general(match[0], ending, general):
                odd.append(match[0])
    return odd


def _is_general(words: str, ending: str, general: frozenset[str]) -> bool:
    """这家餐厅, 几家店: a thing, not a name."""
    before = words[: -len(ending)]
    return before[-1] in "家个间所座条的些这那该本新老好" or before in general
