"""What a chunk has of a question's words and names, and what no chunk has."""

from __future__ import annotations

import pytest

from pagoda.rag.documents.document import Chunk
from pagoda.rag.retrieval.asked import asked_words
from pagoda.rag.retrieval.evidence import Evidence
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.splitting.sentences import sentence_spans

TEXTS = {
    "guide/gzip.md": "The plugin compresses replies. Its default level is 1.",
    "guide/csrf.md": "The plugin checks tokens. Their default lifetime is 7200 seconds.",
    "v1.4/limits.md": "An upload may have 50 MB. The default_lease of a lock is short.",
    "图书馆.md": "图书馆周一闭馆。借书要带证件。",
}
CHUNKS = [
    Chunk(source, source, text, 0, len(text), 1, sentences=tuple(sentence_spans(text)))
    for source, text in TEXTS.items()
]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence(CHUNKS, Bm25Index.build([chunk.heading + chunk.text for chunk in CHUNKS]))


def _evidence(title: str, text: str) -> Evidence:
    chunk = Chunk("a", "a.md", text, 0, len(text), 1, title=title, sentences=tuple(sentence_spans(text)))
    return Evidence([chunk], Bm25Index.build([chunk.heading + chunk.text]))


def test_what_stands_in_the_path_alone_is_met_and_named(evidence: Evidence) -> None:
    gzip, csrf = evidence.met("Which default has Gzip?", [0, 1])
    assert gzip.named == 1.0
    assert csrf.named == 0.0
    assert gzip.in_sentence > csrf.in_sentence
    (limits,) = evidence.met("How large may an upload be in V1.4?", [2])
    assert limits.named == 1.0


def test_a_rare_word_is_worth_more(evidence: Evidence) -> None:
    assert evidence.met("plugin tokens", [1])[0].covered == pytest.approx(1.0)
    plugin, tokens = evidence.met("plugin tokens", [0])[0].covered, evidence.met("plugin nowhere", [1])[0].covered
    assert 0 < tokens < plugin < 0.5


def test_words_of_one_sentence_count_more_than_words_here_and_there(evidence: Evidence) -> None:
    met = evidence.met("plugin lifetime", [1])[0]
    assert met.in_sentence < met.covered


@pytest.mark.parametrize(
    ("question", "title", "text"),
    [
        ("What does exit status 28 mean?", "Errors", "## 7\nNo connection.\n\n## 28\nThe time is up."),
        ("When did 8.0.0 come out?", "Releases", "- 8.0.0: March\n- 7.88.1: February"),
        ("what is --rate for?", "--rate", "Limits the requests."),
        ("退出码 28 是什么意思？", "错误", "## 7\n没有连接。\n\n## 28\n超时。"),
        ("max_size 的默认值是多少？", "参数", "- `max_size`：默认 10。"),
    ],
)
def test_an_entry_of_what_is_asked_about_is_told_from_a_mention(question: str, title: str, text: str) -> None:
    assert _evidence(title, text).met(question, [0])[0].entered == 1.0
    mention = " ".join(["Mentioned:", *text.split("\n")])
    assert _evidence("Notes", mention).met(question, [0])[0].entered == 0.0


def test_the_dearest_word_that_is_missing_is_told(evidence: Evidence) -> None:
    whole, part = (evidence.met(question, [0])[0] for question in ("plugin level", "plugin tokens"))
    assert whole.missing == 0.0
    assert part.missing == pytest.approx(1 - part.covered)
    assert evidence.met("图书馆可以打印吗", [3])[0].missing > 0.3


def test_a_file_is_named_by_all_words_of_its_name(evidence: Evidence) -> None:
    assert [met.sourced for met in evidence.met("Which level has gzip?", [0, 1])] == [1.0, 0.0]


def test_what_no_chunk_has_is_told_as_it_was_asked(evidence: Evidence) -> None:
    assert evidence.nowhere("Does the plugin support Slack?") == ("Slack", "support")
    assert evidence.nowhere("What is the default of default_timeout?") == ("default_timeout",)
    assert evidence.nowhere("What is the default_lease?") == ()
    assert evidence.nowhere("图书馆可以打印吗") == ("打印",)
    assert evidence.met("图书馆可以打印吗", [3])[0].unknown == pytest.approx(0.5, abs=0.2)
    assert evidence.met("图书馆周一开吗", [3])[0].unknown == 0.0


def test_what_a_question_only_asks_with_is_no_word_of_it() -> None:
    assert [word.text for word in asked_words("How many rivers flood?")] == ["rivers", "flood"]
    assert [word.terms for word in asked_words("How?")] == []
    assert next(word.text for word in asked_words("图书馆多久开一次？")) == "图书馆"


def test_no_chunks_are_no_error(evidence: Evidence) -> None:
    assert evidence.met("plugin", []) == []


def test_a_version_is_known_with_its_v_and_without_it() -> None:
    evidence = _evidence("Notes", "v2.39.5 repairs the login.")
    assert evidence.nowhere("What does 2.39.5 repair?") == ()
    assert evidence.nowhere("What does v2.39.5 repair?") == ()
    assert evidence.nowhere("What does 2.39.4 repair?") == ("2.39.4",)


def test_what_denies_is_no_word_that_a_document_must_have() -> None:
    evidence = _evidence("入住须知", "房间内不得吸烟。")
    assert evidence.nowhere("房间内不能吸烟吗？") == ()
    assert evidence.nowhere("房间内禁止吸烟吗？") == ()
    assert _evidence("Rules", "No smoking in the rooms.").nowhere("Is smoking forbidden in the rooms?") == ()
