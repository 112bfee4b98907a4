"""What a sentence is in its text: prose that can be read alone, or a part of something that is read as one.

Beside what is shown: hits -> spans -> *what stands around a span* -> showing -> Answer. An item of a list means what
the line before the list says of it ("The following are not supported:"), a row of a table what its header says, a line
of code what the code does; a heading says nothing by itself. None of them is quoted without the rest.
"""

from __future__ import annotations

import re

from pagoda.rag.documents.fences import Fences

_PART = re.compile(
    r"^[ \t]*(?:[-*+•·‣▪]\s|\d{1,3}[.)、]\s?\D|[a-z]\)\s|[（(]?[一二三四五六七八九十]{1,3}[）、]|[（(]\d{1,3}[）)]"
    r"|#{1,6}\s|\||>|```|~~~|\$\s|!!!|\.\.\s|:\w+:|\{\{|</?\w)"
)
LEADS_IN = re.compile(r"[:：][*_`\s]*$")
"""The end of what leads to a list, a table or code."""
_ENDS = re.compile(r"[.!。！；;…][\"'”’」』)）\]*_`》]*(?:\[\d+\])*$")
_ROW = re.compile(r"^[^\n]*?\S:\s?\S[^\n]*; \S|^[^\s:：][^:：\n]{0,40}[:：]\s?\S")


def is_prose(text: str, start: int, end: int, begins_in_code: bool = False) -> bool:
    """Whether the sentence at these characters of a text can be read without what stands around it.

    begins_in_code: as the text itself does

    >>> text = "Not supported:\\n\\n- savepoints\\n\\nTransactions are supported."
    >>> is_prose(text, 16, 28), is_prose(text, 30, len(text)), is_prose(text, 0, 14)
    (False, True, False)
    """
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line = text[line_start : line_end if line_end >= 0 else len(text)]
    sentence = text[start:end]
    if _PART.match(line) or _PART.match(sentence) or LEADS_IN.search(sentence) or in_code(text, start, begins_in_code):
        return False
    if LEADS_IN.search(text[:start].rstrip()) or text[line_start:start].count("\t") or line.startswith("    "):
        return False
    return _ENDS.search(sentence) is not None or _ROW.match(sentence) is not None or end >= len(text.rstrip())


def in_code(text: str, place: int, begins_in_code: bool = False) -> bool:
    """Whether a place stands in a fenced block of code. begins_in_code: as the text itself does.

    >>> in_code("Run:\\n```\\nls\\n```\\nDone.", 10), in_code("Run:\\n```\\nls\\n```\\nDone.", 18)
    (True, False)
    >>> in_code("````md\\n```sh\\nls\\n```\\n# a\\n````", 22)
    True
    """
    if "```" not in text and "~~~" not in text:
        return begins_in_code
    fences = Fences(begins_in_code)
    for line in text[:place].split("\n"):
        fences.told(line)
    return fences.in_code
