"""A number is borne with what it counts, as far as both sides say it in a known unit."""

from __future__ import annotations

import pytest

from pagoda.rag.documents.document import Chunk
from pagoda.rag.generative.source import Source
from pagoda.rag.generative.support import SupportCheck
from pagoda.rag.generative.units import counts_otherwise


@pytest.mark.parametrize(
    ("sentence", "quote", "differs"),
    [
        ("The limit is 64 KB.", "The limit is 64 MB.", True),
        ("The limit is 64 KB.", "The limit is 64 kilobytes.", False),
        ("The limit is 64.", "The limit is 64 MB.", False),
        ("The limit is 64 MB.", "The limit is 64, for short.", False),
        ("It waits 30 seconds.", "It waits 30s, then 30 minutes.", False),
        ("It waits 30 hours.", "It waits 30 s, then 30 minutes.", True),
        ("Built in 1889 by Eiffel.", "It was built in 1889 for a fair.", False),
        ("一张表最多 16 个索引。", "单个索引最多可包含 16 列。", True),
        ("用户名最长 32 个字符。", "为 32 字符", False),
        ("默认限制 5,000 条语句。", "默认限制 5000", False),
        ("最多 5 个记录。", "最多 5 条记录。", False),
        ("最多 3 位用户。", "最多 3 名用户。", False),
        ("共 3 种模式。", "共有 3 个模式。", False),
    ],
)
def test_what_a_number_counts_is_compared(sentence: str, quote: str, differs: bool) -> None:
    assert counts_otherwise(sentence, quote) == differs


@pytest.mark.parametrize(
    ("sentence", "question", "holds"),
    [
        ("The cache holds 64 MB.", "How large is the cache?", True),
        ("The cache holds 64 KB.", "How large is the cache?", False),
        ("How large is the cache?", "How large is the cache?", False),
        ("The cache is large.", "How large is the cache?", False),
        ("The cache is shared.", "Is the cache shared?", True),
    ],
)
def test_a_sentence_that_repeats_the_question_is_no_answer(sentence: str, question: str, holds: bool) -> None:
    text = "The cache is shared and large; it holds 64 MB."
    source = Source(1, (Chunk("a", "a.md", text, 0, len(text), 1, sentences=((0, len(text)),)),), 1.0)
    assert SupportCheck().check(sentence, question, source).holds == holds
