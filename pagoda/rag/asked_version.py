"""Whether an answer is of the version that its question names; where it is not, it says so.

On a question's path: hits -> answer -> *told*. Documents of one release are asked about another, and what was true of
the one is quoted for the other by whoever does not look at the number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pagoda.language import Language
from pagoda.rag.answer import Citation
from pagoda.rag.words import words_in

# "version 3", "Orbit 3.0", "3.0 版"; without any of these a number may be of anything.
_ASKED_VERSION = re.compile(
    r"(?:(?P<called>\b(?:versions?|releases?)\s+v?|\bv|版本\s*v?)|(?P<name>[A-Za-z][\w+#-]*|[\u4e00-\u9fff]{2,})\s*)?"
    r"(?<![\d.])(?P<number>\d+(?:\.\d+)*)(?!\.?\d)(?P<behind>\s*版(?!权|面))?",
    re.IGNORECASE,
)


def told_version(question: str, citations: Sequence[Citation], language: Language) -> str:
    """That an answer is of another version than the question names, in words; empty where it is not, or none is named.

    A number is a version where the question says so, or where it stands behind what the document is called.
    """
    found = [str(citation.metadata.get("version", "")) for citation in citations]
    if not citations or not all(found):
        return ""
    said = " ".join(f"{citation.source} {citation.title} {citation.section} {citation.quote}" for citation in citations)
    for match in _ASKED_VERSION.finditer(question):
        asked = match["number"]
        is_version = match["called"] or match["behind"] or (match["name"] and match["name"].lower() in said.lower())
        if is_version and not any(_agree(asked, version) for version in found) and not _stands(asked, said):
            return words_in(language).other_version.format(asked=asked, found=", ".join(dict.fromkeys(found)))
    return ""


def _agree(asked: str, found: str) -> bool:
    """Whether two versions are the same as far as both are told: 4 and 4.0.2."""
    one, other = (text.lower().lstrip("v").split(".") for text in (asked, found))
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))


def _stands(number: str, text: str) -> bool:
    return re.search(rf"(?<![\d.]){re.escape(number)}(?!\.?\d)", text) is not None
