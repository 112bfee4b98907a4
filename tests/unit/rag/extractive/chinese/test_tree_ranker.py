"""A forest without a walk from node to node, against the walk; what fades, against a loop."""

import numpy as np
import pytest

from pagoda.rag.extractive.chinese.match import fading
from pagoda.rag.extractive.chinese.spans import MAX_CLAUSES, MAX_TAIL, MAX_WORDS, chinese_candidates
from pagoda.rag.extractive.chinese.tree_ranker import Trees
from pagoda.rag.extractive.chinese.words import read_text
from pagoda.rag.extractive.rankers import load_ranker


def walked(trees: Trees, row: np.ndarray) -> float:
    """A row's value, node by node."""
    total = 0.0
    for tree in range(len(trees.feature)):
        node = 0
        while node >= 0:
            smaller = row[trees.feature[tree, node]] <= trees.threshold[tree, node]
            node = int((trees.left if smaller else trees.right)[tree, node])
        total += float(trees.value[tree, -1 - node])
    return total


def test_a_forest_gives_what_a_walk_gives() -> None:
    forest = load_ranker("zh").first  # type: ignore[attr-defined]
    rows = np.random.default_rng(0).normal(size=(40, int(forest.feature.max()) + 1)).astype(np.float32)
    rows[::2] = forest.threshold[0, 0]  # on a threshold a row goes left
    assert forest(rows) == pytest.approx([walked(forest, row) for row in rows], abs=1e-5)


def test_a_small_tree_beside_a_large_one_rules_out_nothing_of_its_own() -> None:
    trees = Trees(
        feature=np.array([[0, 1], [1, 0]], np.int16),
        threshold=np.array([[0.0, 5.0], [2.0, 0.0]], np.float32),
        left=np.array([[1, -1], [-1, -1]], np.int16),
        right=np.array([[-3, -2], [-2, -1]], np.int16),
        value=np.array([[1, 2, 3], [10, 20, 0]], np.float32),
    )
    rows = np.array([[-1, 0], [-1, 6], [1, 0], [1, 6]], np.float32)
    assert trees(rows).tolist() == [11, 22, 13, 23]


@pytest.mark.parametrize("owner", [[0, 0, 0, 1, 1], [1, 1, 0, 0, 0], [0]])
def test_what_stands_before_fades_and_ends_with_its_sentence(owner: list[int]) -> None:
    values = np.arange(1.0, len(owner) + 1)
    expected, carried = [], 0.0
    for at, value in enumerate(values):
        carried = carried if at and owner[at] == owner[at - 1] else 0.0
        expected.append(carried)
        carried = carried * 0.5 + value
    assert fading(values, np.array(owner), 0.5) == pytest.approx(expected)


def test_candidates_end_at_words_or_clauses_and_never_cross_a_sentence() -> None:
    text = read_text("鲁迅原名周樟寿，后改名周树人。他生于浙江绍兴，是文学家。")
    found = chinese_candidates(text)
    words = ["".join(text.words[first : last + 1]) for first, last in found]
    assert {"鲁迅", "周树人", "浙江绍兴", "鲁迅原名周樟寿，后改名周树人", "文学家"} <= set(words)
    assert all(text.sentence_of[first] == text.sentence_of[last] for first, last in found)
    assert all(last - first < max(MAX_WORDS, MAX_TAIL, MAX_CLAUSES) for first, last in found)
    assert found.tolist() == sorted(found.tolist())
    assert len({(first, last) for first, last in found.tolist()}) == len(found)
