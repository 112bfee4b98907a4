"""Which stretches of an English sentence could be an answer.

On a question's path: question -> Hits -> *candidate spans* -> features -> ranker -> answer. A candidate never crosses
a sentence's end.
"""

from __future__ import annotations

from pagoda.rag.extractive.english.words import RANKER_STOP_WORDS
from pagoda.rag.extractive.spans import Token

# fmt: off
# A span may begin with "to", "by", "the" or "in", as answers do, but not end on any of these.
_BAD_FIRST_ENGLISH = frozenset((
    "of", "and", "or", "but", "is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "does", "did",
    "which", "who", "that", "s",
))
# fmt: on
_HARD_BREAK = frozenset("。！？；;!?")
MAX_TOKENS = 12


def candidate_spans(tokens: list[Token]) -> list[tuple[int, int]]:
    """(first, last) tokens, both included, of every stretch of an English sentence that could be an answer."""
    found = []
    words = [token.text.lower() for token in tokens]
    for first, word in enumerate(words):
        if word in _BAD_FIRST_ENGLISH or not (word[0].isalnum() or word[0] in '$£€"“'):
            continue
        for last in range(first, min(len(words), first + MAX_TOKENS)):
            if words[last] in _HARD_BREAK:
                break
            if words[last] not in RANKER_STOP_WORDS and (words[last][-1].isalnum() or words[last][-1] in '%"”)'):
                found.append((first, last))
    return found
