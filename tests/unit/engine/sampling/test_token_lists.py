"""Lists of tokens made ready for many steps: equal to a plain reading of them, and a step costs what matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from pagoda.engine.sampling.token_lists import BadWords

words = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=4), max_size=12)


def _naive(bad_words: Sequence[Sequence[int]], output: Sequence[int]) -> set[int]:
    """Word by word."""
    return {word[-1] for word in bad_words if len(word) == 1 or list(output[-len(word) + 1 :]) == list(word[:-1])}


@given(words, st.lists(st.integers(0, 4), max_size=6))
def test_a_word_is_forbidden_after_its_beginning_and_nowhere_else(
    bad_words: list[list[int]], output: list[int]
) -> None:
    assert set(BadWords(bad_words).forbidden(output).tolist()) == _naive(bad_words, output)
    assert bool(BadWords(bad_words)) == bool(bad_words)


class _Counted(Sequence[int]):
    """An output that counts how often it is looked at."""

    def __init__(self, token_ids: list[int]) -> None:
        self._token_ids = token_ids
        self.num_reads = 0

    def __len__(self) -> int:
        return len(self._token_ids)

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        self.num_reads += 1
        return self._token_ids[index]

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("the whole output is read")


def test_a_step_looks_at_as_much_of_the_output_as_matches_however_many_words_there_are() -> None:
    output = _Counted([1, 2, 3] * 1000)
    for size in (100, 10_000):
        output.num_reads = 0
        forbidden = BadWords([[i, i + 1, 7] for i in range(size)]).forbidden(output)
        assert forbidden.tolist() == [7]
        assert output.num_reads <= 3
