"""What every row of a set of near-topic questions holds, whichever the set."""

from __future__ import annotations

from manuals.questions import Question

LACKS = {"attribute", "other thing", "step", "condition", "why", "presupposition"}


def check_row(each: Question, corpus: set[str]) -> None:
    """An answerable one names its place, one without an answer the passage that comes closest. corpus: all files."""
    if each.answers:
        assert each.lines
        assert f"{each.language}/{each.file}" in corpus
        assert not each.nearest
        assert all(part for answer in each.answers for part in answer)
        assert each.kind != "yes or no" or each.polarity in ("yes", "no")
    else:
        assert each.kind == "no answer, near"
        assert (each.file, each.lines, each.polarity) == ("", (), "")
        file, _, line = each.nearest.rpartition(":")
        assert f"{each.language}/{file}" in corpus
        assert int(line) > 0
