"""Lists, tables and code that a chunk's edge has cut are made whole, prose is not made longer."""

from itertools import pairwise

from pagoda.rag.documents.document import Chunk
from pagoda.rag.extractive.showing.blocks import MOST_CHARACTERS, Beside, completed

TABLE = [
    "Limits\n\n| Name | Most |\n|---|---|\n| tables | 10 |",
    "| rows | 20 |\n| columns | 30 |",
    "That is all of them.",
]


def in_a_row(texts: list[str], gap: int = 1) -> tuple[list[Chunk], Beside]:
    chunks, start = [], 0
    for number, text in enumerate(texts):
        chunks.append(Chunk(str(number), "a.md", text, start, start + len(text), 1))
        start += len(text) + gap
    after = {one.chunk_id: other for one, other in pairwise(chunks)}
    before = {other.chunk_id: one for one, other in pairwise(chunks)}
    return chunks, lambda chunk: (before.get(chunk.chunk_id), after.get(chunk.chunk_id))


def test_rows_get_the_header_of_their_table_and_the_rows_behind():
    chunks, beside = in_a_row(TABLE)
    for chunk in chunks[:2]:
        whole = completed(chunk, beside)
        assert whole.text == "\n".join(TABLE[:2])
        assert (whole.start, whole.end) == (0, chunks[1].end)


def test_steps_get_what_leads_to_them_and_the_steps_behind():
    chunks, beside = in_a_row(["To stop it, do this:", "1. Save.\n2. Stop.", "3. Wait.", "Then it is off."], gap=2)
    assert completed(chunks[1], beside).text == "To stop it, do this:\n\n1. Save.\n2. Stop.\n\n3. Wait."


def test_code_is_shown_to_its_end():
    chunks, beside = in_a_row(["Run this:\n```\nfirst", "second\n```", "Done."])
    assert completed(chunks[0], beside).text == "Run this:\n```\nfirst\nsecond\n```"


def test_prose_stays_as_it_is():
    chunks, beside = in_a_row(["One sentence.", "Another one.", "A third."])
    assert completed(chunks[1], beside) == chunks[1]


def test_no_passage_grows_without_end():
    chunks, beside = in_a_row(["- item " + "x" * 900] * 9)
    assert len(completed(chunks[4], beside).text) <= MOST_CHARACTERS


def test_what_chunks_share_stands_once():
    one = Chunk("1", "a.md", "- a\n- b", 0, 7, 1, sentences=((0, 3), (4, 7)))
    other = Chunk("2", "a.md", "- b\n- c", 4, 11, 2, sentences=((4, 7), (8, 11)))
    whole = completed(one, lambda chunk: (None, other if chunk is one else None))
    assert whole.text == "- a\n- b\n- c"
    assert whole.sentences == ((0, 3), (4, 7), (8, 11))
