"""What an embedder's vocabulary makes of a text: how many tokens, how many unknown ones, which of them carry meaning.

Between the second and the third station of a document's path: file -> Document -> Chunks -> *vectors* -> index. It
counts what the splitter cuts by, tells what an embedder cannot read, and leaves function words and marks out of what is
kept of single words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pagoda.rag.embedding.vectors import UNREADABLE_SHARE
from pagoda.rag.english import STOP_WORDS

_COMMON_HAN = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子得于下自之年过后作里用道行所家事成方多"
)


class TokenVocabulary:
    """Asks a tokenizer. Threads may share it if they may share the tokenizer.

    token_ids: ids of each text, without those that the model adds and without truncation
    name_of: of an id; unknown_id: of [UNK], None where there is none; special: ids of the model's own marks
    """

    def __init__(
        self,
        token_ids: Callable[[Sequence[str]], list[list[int]]],
        name_of: Callable[[int], str | None],
        unknown_id: int | None,
        special: Iterable[int],
    ) -> None:
        self.token_ids = token_ids
        self._name_of = name_of
        self._unknown_id = unknown_id
        # What is known of an id never changes, so that threads may both look and add.
        self._meaning = dict.fromkeys(special, False)
        self._reads_han = self._unknown_tokens(_COMMON_HAN) <= UNREADABLE_SHARE

    def unknown_share(self, text: str) -> float:
        """Share of [UNK] tokens. Han characters count as unknown where the vocabulary lacks most of the common ones.

        An English vocabulary holds the few hundred that occur in English texts, as characters without a meaning.
        """
        if self._reads_han:
            return self._unknown_tokens(text)
        num_han = sum("\u3400" <= character <= "\u9fff" for character in text)
        latin = "".join(character if character < "\u2e80" else " " for character in text)
        num_latin = len(self.token_ids([latin])[0])
        unread = num_han + self._unknown_tokens(latin) * num_latin
        return unread / max(1, num_han + num_latin)

    def is_meaningful(self, ids: np.ndarray) -> np.ndarray:
        """bool, the shape of `ids`: tokens with a letter or a digit that are no function words."""
        found, places = np.unique(ids, return_inverse=True)
        kept = np.array([self._means(token) for token in found.tolist()], dtype=bool)
        return kept[places].reshape(ids.shape)

    def num_meaningful(self, texts: Sequence[str]) -> list[int]:
        """How many tokens of each text carry meaning."""
        known = list(dict.fromkeys(texts))
        counts = {text: sum(map(self._means, ids)) for text, ids in zip(known, self.token_ids(known), strict=True)}
        return [counts[text] for text in texts]

    def _means(self, token: int) -> bool:
        known = self._meaning.get(token)
        if known is None:
            word = str(self._name_of(token)).lstrip("▁Ġ#").lower()
            known = self._meaning[token] = any(map(str.isalnum, word)) and word not in STOP_WORDS
        return known

    def _unknown_tokens(self, text: str) -> float:
        (ids,) = self.token_ids([text])
        return sum(token == self._unknown_id for token in ids) / max(1, len(ids))
