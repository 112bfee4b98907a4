"""How near by meaning a passage comes to the words of a question that it does not have: closing is a lockout.

Beside the second look at a manual's passage: question, headings, the sentence of the reader's words -> *paraphrase* ->
look. Everyday words ask for what a manual calls otherwise, and equal words alone take each of them for something
missing. Each word that the text lacks looks for its nearest there by MiniLM's token vectors (`alignment.word_vectors`),
after late interaction (Khattab and Zaharia 2020, "ColBERT", arXiv 2004.12832); a question without an answer has a word
that nothing there comes near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.rag.content_words import ASKING
from pagoda.rag.extractive.english import answerable
from pagoda.rag.extractive.english.alignment import WordVectors, likeness_of_means, word_vectors
from pagoda.rag.extractive.english.words import is_content


@dataclass(frozen=True)
class Paraphrase:
    """lacking: mean likeness, at most 1, of the question's words that a text lacks to its nearest; 1 if it lacks none.

    alike: cosine of the question to the sentence of the reader's words
    """

    lacking: float
    alike: float


def paraphrase(question: str, above: str, passage: str, sentences: Sequence[tuple[int, int]], own: int) -> Paraphrase:
    """above: headings and path; sentences: (start, end) in the passage; own: that of the reader's words.

    Of the passage that sentence and those beside it are compared, the heading with them. Raises MissingExtraError
    without the packaged MiniLM.
    """
    if not sentences:
        return Paraphrase(0.0, 0.0)
    around = passage[sentences[max(0, own - 1)][0] : sentences[min(len(sentences) - 1, own + 1)][1]]
    asked, told = word_vectors(question), word_vectors(f"{above}\n{around}")
    alike = likeness_of_means(asked, word_vectors(passage[slice(*sentences[own])]))
    return Paraphrase(_lacking(asked, told), alike)


def _lacking(asked: WordVectors, told: WordVectors) -> float:
    content = [at for at, word in enumerate(asked.words) if _is_asked(word)] or list(range(len(asked.words)))
    among = [at for at, word in enumerate(told.words) if is_content(word)]
    if not content or not among:
        return 0.0
    there = {told.stems[at] for at in among}
    missing = [at for at in content if asked.stems[at] not in there]
    if not missing:
        return 1.0
    return float(np.max(asked.vectors[missing] @ told.vectors[among].T, axis=1).mean())


def _is_asked(word: str) -> bool:
    return is_content(word) and word.lower() not in answerable.ASKING and not ASKING.fullmatch(word)
