"""Chinese cut into words, which its writing does not: by jieba's dictionary and its hidden Markov model.

Beside both paths: a question is told apart into what it is about, and a passage into what an answer may be made of.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pagoda.errors import MissingExtraError


def cut(text: str, *, guesses: bool = True) -> list[tuple[str, str]]:
    """(word, part of speech), which together are the text.

    guesses: whether words that the dictionary lacks are put together by what the model knows of words, as names are
    """
    return [(pair.word, pair.flag or "x") for pair in _tagger().cut(text, HMM=guesses)]


@lru_cache(maxsize=1)
def _tagger() -> Any:
    try:
        import jieba
        from jieba import posseg
    except ModuleNotFoundError as error:
        raise MissingExtraError("Chinese words (jieba)", "rag") from error

    words = jieba.Tokenizer()
    # What `initialize` does, without its cache: that file lies where everyone may write and is read by `marshal`.
    words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    words.initialized = True
    return posseg.POSTokenizer(words)
