"""Proposals by looking the last tokens up in what has been said: prompt lookup decoding (Saxena 2023).

On the token's path: a `Proposer`. Answers that quote, edit or sum up their prompt repeat it word for word, so what
followed the same tokens before may well follow now. No model is asked and no weights are read. Positions are found as
LZ77 compressors find theirs (Ziv and Lempel 1977; the chains of `deflate`): each token is entered once, under the few
tokens that end with it, and points to the last place of the same. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pagoda.engine.sampling.core_request import CoreRequest

_MAX_CANDIDATES = 32
"""Places that are looked at for one lookup: text of one phrase over and over has as many as tokens."""


class NgramIndex:
    """All places of a growing text, by the `least` tokens that end there.

    >>> index = NgramIndex(2, 3)
    >>> index.extend([1, 2, 3, 4, 9, 2, 3])
    >>> index.following(3)
    [4, 9, 2]
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._tokens: list[int] = []
        self._latest: dict[tuple[int, ...], int] = {}  # the last tokens -> how many tokens end with them
        self._earlier: list[int] = [0]  # by number of tokens: the next shorter text that ends alike, or 0

    def __len__(self) -> int:
        return len(self._tokens)

    def extend(self, token_ids: Sequence[int]) -> None:
        """The text has grown by these."""
        tokens, least, latest, earlier = self._tokens, self._least, self._latest, self._earlier
        first = len(tokens) + 1
        tokens += token_ids
        for end in range(first, len(tokens) + 1):
            ending = tuple(tokens[max(0, end - least) : end])
            earlier.append(latest.get(ending, 0) if end >= least else 0)
            latest[ending] = end

    def following(self, num_tokens: int) -> list[int]:
        """What followed the last tokens where they stood before; [] where they are new.

        Of several places that with the most tokens in common counts, at most `most`, and of equals the latest. Where
        what followed runs into the end of the text, the text goes on as it did there: it repeats itself.
        """
        place = self._best_place()
        if not place:
            return []
        tokens, period = self._tokens, len(self._tokens) - place
        return [tokens[place + offset % period] for offset in range(num_tokens)]

    def _best_place(self) -> int:
        """Number of tokens of the text that goes on as this one may; 0 for none."""
        best, best_length = 0, 0
        place = self._earlier[-1]
        for _ in range(_MAX_CANDIDATES):
            if not place or best_length >= self._most:
                break
            length = self._num_in_common(place)
            if length > best_length:
                best, best_length = place, length
            place = self._earlier[place]
        return best

    def _num_in_common(self, place: int) -> int:
        """Tokens before `place` that are those before the end, up to `most`."""
        tokens, length = self._tokens, self._least
        distance = len(tokens) - place
        while length < min(self._most, place) and tokens[place - 1 - length] == tokens[place - 1 - length + distance]:
            length += 1
        return length


class NgramProposer:
    """Looks up prompt and answer of each request; see NgramIndex.

    least, most: tokens at the end of a text that must stand there before, and that count
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._indices: dict[str, NgramIndex] = {}

    def reach(self, core_request: CoreRequest, most: int) -> int:
        return most if self._index(core_request).following(1) else 0

    def propose(self, wanted: Sequence[tuple[CoreRequest, int]]) -> Mapping[str, Sequence[int]]:
        return {
            core_request.request.request_id: self._index(core_request).following(num_tokens)
            for core_request, num_tokens in wanted
        }

    def forget(self, request_id: str) -> None:
        self._indices.pop(request_id, None)

    def _index(self, core_request: CoreRequest) -> NgramIndex:
        """With all that is known by now."""
        request = core_request.request
        index = self._indices.get(request.request_id)
        if index is None:
            index = self._indices[request.request_id] = NgramIndex(self._least, self._most)
        if len(index) < request.num_tokens:
            index.extend(request.tokens_between(len(index), request.num_tokens))
        return index
