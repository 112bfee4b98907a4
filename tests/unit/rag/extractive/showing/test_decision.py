"""The decision to answer: its signs are told apart, its weights are checked when they are read."""

import json
from dataclasses import replace

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.content_words import names_of
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive.showing.coverage import Coverage
from pagoda.rag.extractive.showing.decision import WEIGHTS, group_of, load_decision, signs_of


def hit(text: str, **parts: float) -> Hit:
    return Hit(Chunk(text, "a.txt", text, 0, len(text), 1, title="Server"), 1.0, parts)


HITS = [hit("The port is 80.", dense=0.7), hit("Logs are kept for a week.")]


def coverage(question: str) -> Coverage:
    return Coverage(question, HITS, [[(0, len(entry.text))] for entry in HITS])


def test_a_question_whose_words_stand_there_is_covered_and_another_is_not():
    near, far = (signs_of(coverage(q), 0, 0, 1.0, "words") for q in ("Which port is used?", "How is telnet encrypted?"))
    assert near.in_passage > far.in_passage == far.anywhere == 0
    assert near.lead > 0


def test_a_sentence_with_a_rival_is_contested():
    text = "Ports are open. Ports are not open. Logs are kept."
    found = Coverage("Are the ports open?", [hit(text)], [[(0, 15), (16, 35), (36, len(text))]])
    assert found.is_contested(0)
    assert not Coverage("Are the ports open?", [hit(text)], [[(0, 15), (36, len(text))]]).is_contested(0)


def test_a_title_counts_for_its_passage():
    assert coverage("What does the server do?").in_passage(0) > 0


def test_names_that_a_passage_lacks_are_counted():
    assert names_of("How does Telnet use --port in 3.12?") == ["Telnet", "--port", "3.12"]
    assert coverage("Is Telnet on port 80?").names_missing(0) == 1


@pytest.mark.parametrize("question", ["Which port is used by Telnet?", "Telnet 用哪个端口？"])
def test_without_a_retriever_the_hits_tell_what_is_missing(question: str):
    found = Coverage(question, [hit("The port is 80. 端口是 80。")], [[(0, 15), (16, 23)]])
    signs = signs_of(found, 0, 0, 1.0, "words")
    assert 0 < signs.missing <= 1 - signs.in_passage
    assert (signs.named, signs.sourced, signs.entered) == (0.0, 0.0, 0.0)


def test_a_passage_that_answers_by_the_word_that_matters_most_is_likelier():
    signs = signs_of(coverage("Which port is used?"), 0, 0, 0.0, "words")
    missing = replace(signs, missing=0.5, named=0.0)
    assert load_decision().probability("en-manual", missing) < load_decision().probability("en-manual", signs)


def test_the_packaged_weights_are_those_of_the_signs():
    decision = load_decision()
    sure, unsure = (signs_of(coverage("Which port is used?"), 0, 0, reader, "words") for reader in (6.0, -6.0))
    for group in decision.weights:
        found = [decision.probability(group, signs) for signs in (unsure, sure)]
        # Of manuals the reader is not asked.
        assert 0 < found[0] <= found[1] < 1
        assert (found[0] < found[1]) == (not group.endswith("manual"))
        thresholds = decision.thresholds[group]
        assert thresholds.answer <= thresholds.sentence <= thresholds.span


def test_the_look_of_the_hits_says_whose_weights_decide():
    assert group_of("en", coverage("Which port is used?")) == "en-prose"
    table = hit("| port | 80 |")
    assert group_of("zh", Coverage("端口？", [table], [[(0, len(table.text))]])) == "zh-manual"


def test_weights_of_other_signs_are_refused(tmp_path):
    told = json.loads(WEIGHTS.read_text("utf-8"))
    del told["groups"]["en-prose"]["reader"]
    path = tmp_path / "showing.json"
    path.write_text(json.dumps(told))
    with pytest.raises(ConfigError, match="reader"):
        load_decision(path)
