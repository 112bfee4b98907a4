"""English words without what grammar adds: the words that say nothing of a subject, and the stems of the others.

Beside both paths: BM25 and the tokens of an embedder leave out the same words, and what retrieval takes for the same
word, the check of a model's sentences does, too. The trained readers have their own (`extractive/english/words`).
"""

from __future__ import annotations

import re

_TEXT = """
a about after all also although am an and any are as at be because been before being between both but by can could did
do does doing during each for from further had has have having he her here hers him his how i if in into is it its
itself just me more most my no nor not of off on once only or other our ours out over own s same she should so some
such t than that the their theirs them then there these they this those through to too under until up upon us very was
we were what when where which while who whom whose why will with would you your yours
"""
STOP_WORDS = frozenset(_TEXT.split())
_VERBS = """
become became; begin began begun; bend bent; bite bitten; blow blew blown; break broke broken; breed bred
bring brought; build built; burn burnt; buy bought; catch caught; choose chose chosen; come came; creep crept
deal dealt; dig dug; draw drew drawn; drink drank drunk; drive drove driven; eat ate eaten; feed fed
fight fought; find found; flee fled; fly flew flown; forbid forbade forbidden; forget forgot forgotten
freeze froze frozen; get got gotten; give gave given; go went gone; grow grew grown; hang hung; hear heard
hide hid hidden; hold held; keep kept; know knew known; learn learnt; lend lent; lose lost; make made
meet met; pay paid; ride rode ridden; ring rang; run ran; say said; seek sought; sell sold; send sent
shake shook shaken; shine shone; show shown; shrink shrank shrunk; sing sang sung; sink sank sunk
sit sat; sleep slept; speak spoken; spell spelt; spend spent; spill spilt; spin spun; stand stood
steal stolen; stick stuck; strike struck; swear swore sworn; sweep swept; swim swam swum; take took taken
teach taught; tear tore torn; tell told; throw threw thrown; understand understood
wake woke woken; wear wore worn; weep wept; win won; withdraw withdrew withdrawn; write wrote written
"""
# Other forms of an irregular verb -> the verb; without those that are words of their own: left, saw,
# rose, bound; and those that are nouns with a plural, which would not meet theirs: bits, LEDs, shots, spokes.
_IRREGULAR = {
    form: verb
    for verb, *forms in (line.split() for line in re.split(r"[;\n]", _VERBS) if line.strip())
    for form in forms
}
# What derivation adds; the longest that leaves a root goes.
_ENDINGS = (
    *("ational", "ization", "ation", "ement", "ment", "ness", "able", "ible", "ally", "ity", "ive", "ion", "ous"),
    *("ly", "al", "er", "or", "ic", "e"),
)
_MIN_ROOT = 4
_VOWEL = re.compile("[aeiouy]")
_DOUBLED = re.compile(r"([^aeiouylsz])\1$")
_SHORT_WORD = re.compile(r"^[^aeiouy]*[aeiouy][^aeiouywx]$")


def stem(word: str) -> str:
    """An English word without inflection and derivation; lighter than Porter 1980, whose step 1 it follows.

    >>> [stem(word) for word in ["studies", "studied", "stopped", "making", "nations", "national", "bus"]]
    ['studi', 'studi', 'stop', 'make', 'nation', 'nation', 'bus']
    """
    word = uninflected(word)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_ROOT:
            return word[: -len(ending)]
    return word


def uninflected(word: str) -> str:
    """An English word in small letters without plural, -ing and -ed: as the plain verb or noun has it, or nearly.

    >>> [uninflected(word) for word in ["studies", "stopped", "making", "shop's", "mariner", "brought"]]
    ['studi', 'stop', 'make', 'shop', 'mariner', 'bring']
    """
    word = word.removesuffix("'s").replace("'", "")
    word = _without_plural(_IRREGULAR.get(word, word))
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2 and _VOWEL.search(word[: -len(ending)]):
            word = _repaired(word[: -len(ending)])
            break
    if len(word) > 3 and word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "i"
    return word


def _without_plural(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-2]
    return word[:-2] if word.endswith(("sses", "shes", "ches", "xes", "zes")) else word[:-1]


def _repaired(root: str) -> str:
    """hopp -> hop, hop -> hope, rat -> rate: the root as the plain verb has it."""
    if _DOUBLED.search(root):
        return root[:-1]
    if root.endswith(("at", "bl", "iz")) or _SHORT_WORD.match(root):
        return root + "e"
    return root
