"""Chinese cut into words, which its writing does not: by jieba's dictionary and its hidden Markov model.

Beside both paths: a question is told apart into what it is about, and a passage into what an answer may be made of.
"""

from __future__ import annotations

import io
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
    """jieba's tagger. It would read its dictionary twice, line by line, which is most of the first question's wait."""
    try:
        import jieba
        from jieba import posseg
    except ModuleNotFoundError as error:
        raise MissingExtraError("Chinese words (jieba)", "rag") from error

    words = jieba.Tokenizer()
    with words.get_dict_file() as file:
        # word, how often, part of speech, in each line; a flat list of texts costs the garbage collector nothing.
        fields = file.read().decode("utf-8").split()
    known, counts, tags = fields[0::3], list(map(int, fields[1::3])), fields[2::3]
    # What `initialize` does, without its cache: that file lies where everyone may write and is read by `marshal`.
    words.FREQ = dict.fromkeys((word[:end] for word in known for end in range(1, len(word))), 0)
    words.FREQ.update(zip(known, counts, strict=True))
    words.total, words.initialized = sum(counts), True
    words.get_dict_file = io.BytesIO  # nothing is left to be read
    tagger = posseg.POSTokenizer(words)
    tagger.word_tag_tab = dict(zip(known, tags, strict=True))
    return tagger
