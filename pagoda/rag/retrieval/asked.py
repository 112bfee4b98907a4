"""The words that a question is about, each as the terms that it is found by.

Beside a question's path: *question* -> words and vectors -> Hits -> answer. What a question asks with is no subject,
and pairs of Chinese characters that cross from one word to the next are in no text: both would count as not found.
Chinese words are jieba's.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.rag.chinese import cut
from pagoda.rag.content_words import ASKING, HAN_RUN
from pagoda.rag.retrieval.lexical import tokenize


@dataclass(frozen=True)
class AskedWord:
    """text: as it was asked; terms: as the index has the word; is_sure: a word, and not guessed from its characters."""

    text: str
    terms: tuple[str, ...]
    is_sure: bool = True


def asked_words(question: str) -> list[AskedWord]:
    """Each of the question's words once; all of its words where it only asks.

    >>> [word.terms for word in asked_words("How many rivers flood?")]
    [('river',), ('flood',)]
    >>> [word.terms for word in asked_words("图书馆可以打印吗")]
    [('图书', '书馆'), ('打印',)]
    """
    return _words(ASKING.sub(" ", question)) or _words(question)


def _words(text: str) -> list[AskedWord]:
    found: dict[tuple[str, ...], AskedWord] = {}
    for latin in HAN_RUN.sub(" ", text).split():
        for term in tokenize(latin):
            found[(term,)] = AskedWord(latin.strip(".,;:!?()\"'？。，"), (term,))
    for run in HAN_RUN.findall(text):
        sure = {word for word, _ in cut(run, guesses=False)}
        for word, _ in cut(run):
            # A single character is found everywhere, and so says nothing.
            terms = tuple(term for term in tokenize(word) if len(term) > 1)
            if terms:
                found[terms] = AskedWord(word, terms, word in sure)
    return list(found.values())
