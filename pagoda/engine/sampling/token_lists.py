"""A request's lists of tokens, made ready once for all the steps in which they are used.

Beside the token's path: the door makes them, the sampler applies them. What a step pays is then an indexing of the
logits in C, and for bad words what matches, however long the lists are. Imports no torch: arrays are sent to wherever
the logits are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from pagoda.sampling_params import SamplingParams


def token_array(token_ids: Iterable[int]) -> np.ndarray:
    """int64 [n]."""
    return np.fromiter(token_ids, dtype=np.int64)


@dataclass(slots=True)
class _Node:
    """A place in the words read backwards. lasts: the last tokens of the words whose other tokens led here."""

    lasts: list[int] = field(default_factory=list)
    before: dict[int, _Node] = field(default_factory=dict)


class BadWords:
    """Token sequences whose last token is forbidden after the others.

    >>> words = BadWords([[7], [5, 6, 8]])
    >>> words.forbidden([5, 6]).tolist(), words.forbidden([6]).tolist()
    ([7, 8], [7])
    """

    def __init__(self, words: Iterable[Sequence[int]] = ()) -> None:
        self._root = _Node()
        for word in dict.fromkeys(map(tuple, words)):
            node = self._root
            for token_id in reversed(word[:-1]):
                node = node.before.setdefault(token_id, _Node())
            node.lasts.append(word[-1])
        self._always = token_array(self._root.lasts)

    def __bool__(self) -> bool:
        return bool(self._root.lasts or self._root.before)

    def forbidden(self, output_token_ids: Sequence[int]) -> np.ndarray:
        """What may not follow: int64 [n], perhaps with repetitions."""
        lasts = list(self._completed(output_token_ids))
        return np.concatenate([self._always, token_array(lasts)]) if lasts else self._always

    def _completed(self, output_token_ids: Sequence[int]) -> Iterator[int]:
        node: _Node | None = self._root
        for position in range(len(output_token_ids) - 1, -1, -1):
            node = node.before.get(output_token_ids[position]) if node is not None else None
            if node is None:
                return
            yield from node.lasts


@dataclass(frozen=True)
class TokenLists:
    """allowed: int64 [n], or None where all are; biased: int64 [n], each to get its float32 of `bias` [n];
    prompt: int64 [n], the distinct tokens of the prompt, where a penalty asks for them.
    """

    allowed: np.ndarray | None = None
    biased: np.ndarray = field(default_factory=lambda: token_array(()))
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    prompt: np.ndarray = field(default_factory=lambda: token_array(()))
    bad_words: BadWords = field(default_factory=BadWords)

    @classmethod
    def of(
        cls, params: SamplingParams, prompt_token_ids: Sequence[int] = (), bad_words: BadWords | None = None
    ) -> Self:
        """Those of one request; bad_words: tokenised, which takes a tokenizer."""
        bias = params.logit_bias or {}
        penalised = prompt_token_ids if params.repetition_penalty != 1.0 else ()
        return cls(
            allowed=None if params.allowed_token_ids is None else token_array(params.allowed_token_ids),
            biased=token_array(bias),
            bias=np.fromiter(bias.values(), dtype=np.float32),
            # Ascending and each once; numpy's own way takes a part of numpy that nothing else loads.
            prompt=token_array(sorted(set(penalised))),
            bad_words=bad_words or BadWords(),
        )
