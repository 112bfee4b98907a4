"""Whatever a document holds: nothing is lost, nothing is too long, every place is true."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from pagoda.rag.documents.document import Document
from pagoda.rag.splitting.sentences import sentence_spans
from pagoda.rag.splitting.splitter import Splitter

PIECES = [
    *(
        "word",
        "Mr.",
        "e.g.",
        "3.14",
        "U.S.",
        "A",
        "x" * 70,
        "https://a.b/c?d=e",
        "...",
        "!?",
        "“quoted.”",
        "(see p. 3).",
    ),
    *("你好", "。", "，", "；", "！”", "……", "北京大学", "\u3000", "𠮷", "é", "\u200b", "\u2028", "🙂", "\udc80"),
    *(
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "\r\n",
        "# Title\n",
        "- item\n",
        "1. ",
        "第一章 ",
        "| a | b |\n",
        ". ",
        "? ",
        "\x0c",
    ),
]


def count_pieces(texts: Sequence[str]) -> list[int]:
    """A token per four Latin characters of a word, and per other character: joins only across no blank."""
    return [sum(-(-len(word) // 4) if word.isascii() else len(word) for word in text.split()) for text in texts]


def texts(seed: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(PIECES) + rng.choice(("", " ")) for _ in range(rng.randint(0, 300)))


@pytest.mark.parametrize("seed", range(150))
def test_sentences_are_in_order_and_hold_every_character_that_is_not_blank(seed: int) -> None:
    text = texts(seed)
    end = 0
    for first, last in sentence_spans(text):
        assert end <= first < last
        assert not text[end:first].strip()
        assert text[first:last] == text[first:last].strip()
        end = last
    assert not text[end:].strip()


@pytest.mark.parametrize("seed", range(150))
def test_chunks_hold_everything_keep_the_limit_and_say_truly_where_they_are(seed: int) -> None:
    document = Document("a.txt", texts(seed))
    rng = random.Random(seed)
    splitter = Splitter(count_pieces, rng.choice((8, 20, 100)), rng.choice((0, 1, 2)))
    covered = [False] * len(document.text)
    chunks = splitter.split(document)
    for chunk in chunks:
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert count_pieces([chunk.text])[0] <= splitter.max_tokens
        assert chunk.line == document.line_at(chunk.start)
        assert all(chunk.start <= start < end <= chunk.end for start, end in chunk.sentences)
        covered[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
    assert all(held or character.isspace() for held, character in zip(covered, document.text, strict=True))
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)
    assert splitter.split(document) == chunks
