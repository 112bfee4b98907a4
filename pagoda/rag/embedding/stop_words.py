"""English function words: they say nothing of a subject, to BM25 or among the tokens of an embedder.

Below both legs of retrieval, which leave out the same words: file -> Document -> Chunks -> *vectors and words* ->
index.
"""

from __future__ import annotations

_TEXT = """
a about after all also although am an and any are as at be because been before being between both but by can could did
do does doing during each for from further had has have having he her here hers him his how i if in into is it its
itself just me more most my no nor not of off on once only or other our ours out over own s same she should so some
such t than that the their theirs them then there these they this those through to too under until up upon us very was
we were what when where which while who whom whose why will with would you your yours
"""
STOP_WORDS = frozenset(_TEXT.split())
