"""Training sentences with their slots marked inline: "find a [cheap](price) [Sichuan](cuisine) place".

Stands before the turn's path: what a domain file says in this form, `FastUnderstanding.train` takes as text and spans.
The form is that of Rasa's training data.
"""

from __future__ import annotations

import re
from typing import Any

_MARKED = re.compile(r"\[(?P<value>[^\[\]]+)\]\((?P<slot>[^()\s]+)\)")


def parse_marked(marked: str) -> tuple[str, list[dict[str, Any]]]:
    """(text without marks, its slots with `start` and `end` in characters of that text).

    >>> parse_marked("[四位](people)，谢谢")
    ('四位，谢谢', [{'slot': 'people', 'start': 0, 'end': 2, 'value': '四位'}])
    """
    text, slots, last = "", [], 0
    for match in _MARKED.finditer(marked):
        text += marked[last : match.start()]
        start, value = len(text), match["value"]
        text += value
        slots.append({"slot": match["slot"], "start": start, "end": len(text), "value": value})
        last = match.end()
    return text + marked[last:], slots


def has_broken_marks(marked: str) -> bool:
    """Whether a bracket is left over, as after a forgotten one."""
    text, _ = parse_marked(marked)
    return bool(re.search(r"[\[\]]", text))
