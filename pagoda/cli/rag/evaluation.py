"""What `pagoda rag eval` prints of an Evaluation. The counting is in `pagoda.rag.evaluation.answers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pagoda.cli.rag.words import RagWords

if TYPE_CHECKING:
    from pagoda.rag.evaluation.answers import Evaluation


def evaluation_lines(result: Evaluation, words: RagWords) -> list[str]:
    """For a person, without what was not measured."""
    lines = [words.evaluated.format(count=result.num_questions, seconds=result.seconds)]
    if result.recall_at_1 is not None:
        fields = {"first": result.recall_at_1, "among": result.recall_at_k, "k": result.k}
        lines.append(words.evaluated_recall.format(**fields, count=result.num_with_source))
    if result.f1 is not None:
        fields = {"exact": result.exact_match, "f1": result.f1}
        lines.append(words.evaluated_answers.format(**fields, count=result.num_with_answers))
    if result.rightly_abstained is not None:
        lines.append(
            words.evaluated_abstention.format(
                rejected=result.rightly_abstained,
                num_unanswerable=result.num_unanswerable,
                wrongly=result.wrongly_abstained or 0.0,
                num_answerable=result.num_answerable,
            )
        )
    return lines
