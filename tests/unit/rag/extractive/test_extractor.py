"""The extractive answerer quotes its documents to the letter, in both languages, and knows when it has nothing."""

import asyncio
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.rag.answerer import GroundedQuestion
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive import extractor
from pagoda.rag.extractive.answerer import QuotingAnswerer
from pagoda.rag.extractive.chinese.features import read_chinese
from pagoda.rag.extractive.chinese.words import read_question
from pagoda.rag.extractive.english.question_type import question_type
from pagoda.rag.extractive.english.span_features import read_english
from pagoda.rag.extractive.extractor import ExtractiveAnswerer, ExtractiveSettings
from pagoda.rag.extractive.rankers import load_ranker
from pagoda.rag.extractive.showing.decision import Decision, Signs, Thresholds, load_decision
from pagoda.rag.extractive.spans import sentence_bounds

TOWER = "The tower was built in 1889. It was designed by Gustave Eiffel and stands in Paris. It is 330 metres tall."
WRITER = "鲁迅原名周树人，1881年出生于浙江绍兴。他的代表作是《呐喊》。1936年在上海逝世。"
NOVEL = (
    "Dream of the Red Chamber (红楼梦) was written by Cao Xueqin in the eighteenth century. It is one of the great "
    "novels of Chinese literature."
)
NOVEL_CHINESE = "《红楼梦》是一部古典小说。它的作者是曹雪芹，出生于南京。全书共一百二十回。"
ALWAYS = ExtractiveSettings(min_confidence=0.0)


def hit(text: str, start: int = 0, score: float = 1.0) -> Hit:
    sentences = tuple((start + left, start + right) for left, right in sentence_bounds(text))
    return Hit(Chunk("c", "a.txt", text, start, start + len(text), 1, sentences=sentences), score)


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (TOWER, "Who designed the tower?", "Gustave Eiffel"),
        (TOWER, "When was the tower built?", "1889"),
        (WRITER, "鲁迅出生于哪一年？", "1881年"),
        (WRITER, "鲁迅的代表作是什么？", "呐喊"),
    ],
)
def test_a_plain_question_gets_its_answer(text, question, answer):
    found = ExtractiveAnswerer(ALWAYS).answer(question, [hit(text)])
    assert answer in found.text
    assert len(found.text) <= len(answer) + 8


class Counting(ExtractiveAnswerer):
    """Remembers which hits a reader has looked at."""

    def __init__(self) -> None:
        super().__init__(ALWAYS)
        self.read_of: list[int] = []

    def read(self, question, index, chunk):
        self.read_of.append(index)
        return super().read(question, index, chunk)


@pytest.mark.parametrize(
    ("texts", "question", "reads"),
    [
        (["- port: 80", "- log: `a.txt`, the place of the log", "- user: root"], "Where is the log?", 1),
        (["The port is 80.", "The log is kept in a file.", "The user is root."], "Where is the log?", 3),
        (["- 端口：80", "- 日志：`a.txt`，日志的位置", "- 用户：root"], "日志在哪里？", 1),
    ],
)
def test_of_manuals_a_reader_sees_only_what_is_shown(texts, question, reads):
    answerer = Counting()
    found = answerer.answer(question, [hit(text) for text in texts])
    assert found.hit_index in answerer.read_of
    assert len(answerer.read_of) == reads
    assert texts[found.hit_index][found.start : found.end] == found.text != ""


@pytest.mark.parametrize(("text", "question"), [(TOWER, "Who designed the tower?"), (WRITER, "鲁迅原名叫什么？")])
def test_offsets_are_those_of_the_document(text, question):
    found = ExtractiveAnswerer(ALWAYS).answer(question, [hit(text, start=100)])
    assert text[found.start - 100 : found.end - 100] == found.text
    assert found.places[0].quote[0] <= found.start < found.end <= found.places[0].quote[1]
    assert text[found.places[0].quote[0] - 100 : found.places[0].quote[1] - 100] in text


def test_without_hits_or_without_words_in_them_it_abstains():
    answerer = ExtractiveAnswerer(ALWAYS)
    for hits in ([], [hit(" . ")], [hit("")]):
        found = answerer.answer("Who designed it?", hits)
        assert found.abstained
        assert found.text == ""
        assert found.hit_index == -1


def test_an_unrelated_passage_is_trusted_less_than_the_right_one():
    answerer = ExtractiveAnswerer()
    for text, other, question in ((TOWER, WRITER, "Who designed the tower?"), (WRITER, TOWER, "鲁迅的代表作是什么？")):
        assert answerer.answer(question, [hit(text)]).confidence > answerer.answer(question, [hit(other)]).confidence


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (NOVEL, "Who wrote Dream of the Red Chamber?", "Cao Xueqin"),
        (NOVEL, "Who wrote 红楼梦?", "Cao Xueqin"),
        (NOVEL, "When was 红楼梦 written?", "eighteenth century"),
        (NOVEL, "谁写了 Dream of the Red Chamber?", "Cao Xueqin"),
        (NOVEL_CHINESE, "《红楼梦》的作者是谁？", "曹雪芹"),
        (NOVEL_CHINESE, "Dream of the Red Chamber（红楼梦）的作者是谁？", "曹雪芹"),
        ("红楼梦的作者是曹雪芹。", "Who wrote 红楼梦?", "作者是曹雪芹"),
        ("Opening hours: 9 to 5.\n\n会员年费为 120 元。", "会员年费是多少？", "120 元"),
        (
            "# 命令行工具\n\n超时默认为 30 秒。\n\n`--timeout`: how long to wait for the server",
            "超时默认是多少？",
            "30 秒",
        ),
        ("The city of Xi'an was the capital.\n\n北京的人口是 2185 万。", "北京的人口是多少？", "2185 万"),
        ("The Beatles 专辑 Let It Be 发行于 1970 年。", "Let It Be 发行于哪一年？", "1970 年"),
        (
            "# 城市\n\n北京的人口是 2185 万。西安的城墙长 13.7 公里。\n\nBeijing hosted the Olympics in 2008.",
            "When did Beijing host the Olympics?",
            "2008",
        ),
    ],
)
def test_a_name_of_the_other_language_in_a_question_changes_nothing(text, question, answer):
    assert ExtractiveAnswerer(ALWAYS).answer(question, [hit(text)]).text == answer


def test_hits_of_both_languages_compete_by_how_sure_their_readers_are():
    answerer = ExtractiveAnswerer(ALWAYS)
    for question, answer in (("Who designed the tower?", "Gustave Eiffel"), ("鲁迅的代表作是什么？", "《呐喊》")):
        for hits in ([hit(TOWER), hit(WRITER)], [hit(WRITER), hit(TOWER)]):
            assert answerer.answer(question, hits).text == answer


def test_no_passage_of_another_language_stands_beside_the_best():
    steps = "借书的步骤：\n1. 出示证件。\n2. 在机器上刷卡。"
    more = "还书的步骤：\n1. 放入还书箱。\n2. 等待短信。"
    foreign = "Borrowing books:\n1. Show your card.\n2. Use the machine."
    hits = [
        replace(hit(text), chunk=replace(hit(text).chunk, source=name))
        for name, text in (("a.md", steps), ("b.md", foreign), ("c.md", more))
    ]
    found = ExtractiveAnswerer(ALWAYS).answer("借书的步骤有哪些？", hits)
    assert [place.chunk.source for place in found.places] == ["a.md", "c.md"]
    found = ExtractiveAnswerer(ALWAYS).answer("What are the steps of borrowing books?", hits)
    assert [place.chunk.source for place in found.places] == ["b.md"]


def test_yes_or_no_of_what_no_document_names_is_declined():
    library = hit("图书馆周一闭馆。图书馆有三层。")
    known = replace(library, parts={"bm25": 1.0, "unknown": 0.0})
    unknown = replace(library, parts={"bm25": 1.0, "unknown": 0.5})
    assert not ExtractiveAnswerer(ALWAYS).answer("图书馆周一闭馆吗？", [known]).abstained
    assert ExtractiveAnswerer(ALWAYS).answer("图书馆可以打印吗？", [unknown]).abstained
    assert not ExtractiveAnswerer(ALWAYS).answer("图书馆有几层？", [unknown]).abstained


def test_yes_or_no_of_a_chinese_manual_is_weighed_where_pairs_of_characters_are_unknown():
    rules = hit("炒菜须知：\n- 油锅着火时切不可倒水灭火\n- 油热后放入食材\n- 不粘锅用木铲")
    asked = replace(rules, parts={"bm25": 1.0, "unknown": 0.5})
    assert not ExtractiveAnswerer(ALWAYS).answer("油锅着火了能不能泼水？", [asked]).abstained


def test_an_option_that_nothing_read_has_is_declined():
    options = hit("--retry gives the number of tries. --retry-delay gives the seconds between them.")
    assert not ExtractiveAnswerer(ALWAYS).answer("What does --retry-delay give?", [options]).abstained
    assert not ExtractiveAnswerer(ALWAYS).answer("What does --retry give?", [options]).abstained
    assert ExtractiveAnswerer(ALWAYS).answer("What does --retry-memory give?", [options]).abstained
    longer = hit("--retry-delay=SECONDS gives the seconds between two tries.")
    assert not ExtractiveAnswerer(ALWAYS).answer("What does --retry-delay give?", [longer]).abstained
    assert ExtractiveAnswerer(ALWAYS).answer("What does --retry give?", [longer]).abstained
    assert ExtractiveAnswerer(ALWAYS).answer("retry_email 的默认值是多少？", [hit(WRITER)]).abstained


def test_the_threshold_alone_decides_whether_it_abstains():
    sure = ExtractiveAnswerer(ExtractiveSettings(min_confidence=0.0)).answer("Who designed the tower?", [hit(TOWER)])
    unsure = ExtractiveAnswerer(ExtractiveSettings(min_confidence=1.0)).answer("Who designed the tower?", [hit(TOWER)])
    assert not sure.abstained
    assert unsure.abstained
    assert sure.text == unsure.text
    assert 0 < sure.confidence < 1


LISTED = "# Options\n\n- `--port`: the port to listen on, 8000\n- `--host`: the address\n\n| name | size |\n| a | 3 |"


@pytest.mark.parametrize(
    ("text", "question"), [(LISTED, "Which port does it listen on?"), (WRITER, "鲁迅的代表作是什么？")]
)
def test_of_lists_and_of_chinese_no_alignment_is_asked(monkeypatch, text, question):
    before = ExtractiveAnswerer(ALWAYS).answer(question, [hit(text)])
    monkeypatch.setattr(extractor, "load_alignment", None)
    assert ExtractiveAnswerer(ALWAYS).answer(question, [hit(text)]) == before


def test_of_english_prose_the_alignment_decides_how_sure_the_answer_is(monkeypatch):
    def confidence(log_odds: float) -> float:
        told = SimpleNamespace(log_odds=lambda question, passage, sentences, by_margin: log_odds)
        monkeypatch.setattr(extractor, "load_alignment", lambda: told)
        return ExtractiveAnswerer(ALWAYS).answer("Who designed the tower?", [hit(TOWER)]).confidence

    assert confidence(-9.0) < confidence(0.0) < confidence(3.0) < 1


def test_a_batch_equals_its_questions_one_by_one():
    answerer, hits = ExtractiveAnswerer(), [hit(TOWER), hit(WRITER)]
    questions = ["Who designed the tower?", "鲁迅的代表作是什么？"]
    assert answerer.answer_batch(questions, [hits, hits]) == [answerer.answer(q, hits) for q in questions]


def test_bad_settings_and_empty_questions_are_refused_in_words():
    with pytest.raises(ConfigError, match="min_confidence is 2"):
        ExtractiveSettings(min_confidence=2)
    with pytest.raises(ConfigError, match="max_hits is 0"):
        ExtractiveSettings(max_hits=0)
    with pytest.raises(InvalidRequestError, match="empty"):
        ExtractiveAnswerer().answer("  ", [hit(TOWER)])


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ConfigError, match="span_ranker_en"):
        load_ranker("en", tmp_path)


def test_weights_that_were_written_are_read_back_the_same(tmp_path):
    ranker = load_ranker("en")
    ranker.save("en", tmp_path)
    passage = read_english("Who designed the tower?", TOWER)
    assert np.array_equal(load_ranker("en", tmp_path).scores(passage), ranker.scores(passage))


def test_sentences_end_without_a_blank_in_chinese_and_not_after_initials_in_english():
    assert [WRITER[a:b][-1] for a, b in sentence_bounds(WRITER)] == ["。"] * 3
    assert len(sentence_bounds("J. R. Smith met Dr. Jones. They spoke for 3.5 hours.")) == 2


@pytest.mark.parametrize(
    ("read", "text", "question", "answer"),
    [
        (read_english, TOWER, "How tall is it?", "330 metres"),
        (read_chinese, WRITER, "他出生于哪里？", "浙江绍兴"),
    ],
)
def test_the_answer_is_among_the_candidates(read, text, question, answer):
    passage = read(question, text)
    tokens = passage.tokens
    assert answer in {text[tokens[a].start : tokens[b].end] for a, b in passage.spans}


@pytest.mark.parametrize(
    ("read", "question", "text"),
    [(read_english, "How tall is it?", TOWER), (read_chinese, "鲁迅的代表作是什么？", WRITER)],
)
def test_every_candidate_has_all_its_features(read, question, text):
    passage = read(question, text)
    assert len(passage.dense) == len(passage.spans) == len(passage.sentence_of) > 0
    assert np.isfinite(passage.dense).all()
    assert (passage.spans[:, 0] <= passage.spans[:, 1]).all()


@pytest.mark.parametrize("text", ["a", "。", "abc def.  \n\n 好", "一\r\n\t二。", "１２３《", "😀😀。"])
@pytest.mark.parametrize("question", ["？谁", "好", "什么", "什么是一二？"])
def test_odd_chinese_questions_and_passages_are_read(question, text):
    passage = read_chinese(question, text)
    if len(passage.spans):
        ranker = load_ranker("zh")
        scores = ranker.scores(passage)
        assert np.isfinite(scores).all()
        assert 0 <= ranker.best(passage, scores) < len(scores)


def test_the_chinese_weights_are_read_back_the_same(tmp_path):
    load_ranker("zh").save("zh", tmp_path)
    passage = read_chinese("鲁迅的代表作是什么？", WRITER)
    assert np.array_equal(load_ranker("zh", tmp_path).scores(passage), load_ranker("zh").scores(passage))


@pytest.mark.parametrize(
    ("read", "question", "kind"),
    [
        (question_type, "How many metres tall is it?", "how many"),
        (read_question, "谁写了它？", "person"),
        (read_question, "為什麼下雨？", "why"),
        (read_question, "位于哪里？", "place"),
    ],
)
def test_the_question_word_gives_the_kind_of_answer(read, question, kind):
    assert read(question).kind == kind


SHOPS = ["The shop in Oslo opens at nine on weekdays.", "The shop in Bergen opens early on weekdays."]


@pytest.mark.parametrize(("bias", "num_shown"), [(0.0, 2), (-5.0, 1), (5.0, 1)])
def test_where_no_passage_surely_answers_several_are_shown_but_none_that_hardly_can(monkeypatch, bias, num_shown):
    weights = dict.fromkeys(Signs.__dataclass_fields__, 0.0) | {"bias": bias}
    groups = dict.fromkeys(load_decision().weights)
    undecided = Decision(dict.fromkeys(groups, weights), dict.fromkeys(groups, Thresholds(0.0, 1.0, 1.0)))
    monkeypatch.setattr(extractor, "load_decision", lambda: undecided)
    hits = [hit(text, start=100 * number) for number, text in enumerate(SHOPS)]
    # Of many passages, that is: of a few the second look weighs more than the signs that are set here.
    hits = [replace(each, parts={"stands_out": 0.0}) for each in hits]
    found = ExtractiveAnswerer(ALWAYS).answer("When does the shop open?", hits)
    assert found.kind == "passage"
    assert [place.hit_index for place in found.places] == [0, 1][:num_shown]
    one = ExtractiveAnswerer(ExtractiveSettings(min_confidence=0.0, max_passages=1))
    assert one.answer("When does the shop open?", hits).places == found.places[:1]


def test_an_answer_is_cited_with_what_is_marked_and_reads_without_marks_of_the_format():
    text = "Use [the **clock**](clock.md) to see the time. It does not show seconds."
    answerer = QuotingAnswerer(ExtractiveAnswerer(ALWAYS))
    (answer,) = asyncio.run(answerer.answer_batch([GroundedQuestion("Does the clock show seconds?", [hit(text)])]))
    (citation,) = answer.citations
    assert "](" not in answer.text
    assert "**" not in answer.text
    assert "does not show seconds" in answer.text
    assert citation.quote in text
    assert citation.marked_text == answer.span == "It does not show seconds."
    assert answer.shown in ("sentence", "passage")


def test_what_was_found_behind_counts_where_nobody_may_read_the_first_hits():
    answerer = QuotingAnswerer(ExtractiveAnswerer(ALWAYS))
    behind = [hit("The shop opens at nine.")]
    asked = GroundedQuestion("When does the shop open?", [], further=behind)
    (answer,) = asyncio.run(answerer.answer_batch([asked]))
    assert answer.citations[0].source == behind[0].source
    never = QuotingAnswerer(ExtractiveAnswerer(ExtractiveSettings(min_confidence=1.0)))
    (declined,) = asyncio.run(never.answer_batch([asked]))
    assert declined.abstained
    assert declined.text.startswith("No passage was found that surely answers")
    assert behind[0].source in declined.notes[0]


def test_a_heading_that_denies_what_stands_under_it_is_shown_with_it():
    text = "Savepoints are used to undo a part of a transaction."
    chunk = Chunk("c", "a.md", text, 0, len(text), 1, title="Manual", section="Manual > Unsupported features")
    answerer = QuotingAnswerer(ExtractiveAnswerer(ALWAYS))
    (answer,) = asyncio.run(
        answerer.answer_batch([GroundedQuestion("What are savepoints used for?", [Hit(chunk, 1.0)])])
    )
    assert answer.text.startswith("Unsupported features\n\n")
    assert answer.shown != "span"


@pytest.mark.parametrize(
    "text",
    [
        "电影《白之春》与电视剧《夏之雪》由关西电视台播放。",
        "他后以“冷峻小生”（见《掌故王》）的形象走红，由夏雨主持。",
        "》开头少了一半，《结尾也少了一半",
    ],
)
def test_no_chinese_answer_holds_half_a_pair_of_marks(text):
    passage = read_chinese("由什么电视台播放？", text)
    best = load_ranker("zh").best
    whole = [i for i, span in enumerate(passage.spans) if _is_whole(_words(passage, span))]
    assert whole
    for likeliest in range(len(passage.spans)):
        # However sure the trees are of one that is broken.
        scores = np.where(np.arange(len(passage.spans)) == likeliest, 3.0, 0.0)
        assert best(passage, scores) in whole


def test_of_two_chinese_answers_the_one_without_what_leads_to_it_is_taken():
    passage = read_chinese("《掌故王》的主持人是谁？", "《掌故王》由夏雨主持。")
    words = [_words(passage, span) for span in passage.spans]
    scores = np.array([5.0 if word in ("由夏雨", "夏雨") else 0.0 for word in words])
    assert words[load_ranker("zh").best(passage, scores)] == "夏雨"


def _words(passage, span) -> str:
    return "".join(token.text for token in passage.tokens[span[0] : span[1] + 1])


def _is_whole(words: str) -> bool:
    for opening, closing in ("《》", "“”", "（）"):
        depth = 0
        for character in words:
            depth += (character == opening) - (character == closing)
            if depth < 0:
                return False
        if depth:
            return False
    return True


@pytest.mark.parametrize(
    ("text", "question", "focus", "words"),
    [
        (TOWER + " The bridge was built in 1901.", "When was the tower built?", "the bridge", "1901"),
        (WRITER + "巴金出生于四川成都。", "鲁迅出生于哪里？", "巴金", "成都"),
        # Nothing speaks of it: then it changes nothing.
        (TOWER, "When was the tower built?", "the harbour", "1889"),
    ],
)
def test_a_follow_up_is_answered_by_a_sentence_that_speaks_of_what_it_asks_about(text, question, focus, words):
    found = ExtractiveAnswerer(ALWAYS).answer(question, [hit(WRITER + TOWER), hit(text)], focus=focus)
    assert words in found.places[0].chunk.text[slice(*found.places[0].marked)]


@pytest.mark.parametrize(
    ("tables", "question", "row"),
    [
        (
            ["Depot: Ash; Cold storage: yes\nDepot: Fir; Cold storage: yes", "Depot: Oak; Cold storage: no"],
            "Which depot has no cold storage?",
            "Depot: Oak; Cold storage: no",
        ),
        (
            ["仓库: 杭州仓; 冷藏: 有\n仓库: 宁波仓; 冷藏: 有", "仓库: 黄山仓; 冷藏: 无"],
            "哪个仓库没有冷藏？",
            "仓库: 黄山仓; 冷藏: 无",
        ),
    ],
)
def test_a_row_that_says_the_contrary_gives_way_to_one_of_another_chunk_that_is_looked_up(tables, question, row):
    hits = [hit(text) for text in tables]
    hits = [
        replace(each, chunk=replace(each.chunk, chunk_id=str(i), sentences=rows))
        for i, (each, rows) in enumerate(
            (each, tuple(match.span() for match in re.finditer(r"[^\n]+", each.text))) for each in hits
        )
    ]
    found = ExtractiveAnswerer().answer(question, hits)
    assert (found.text, found.kind, found.abstained) == (row, "sentence", False)


def test_a_labelled_line_answers_though_longer_texts_speak_of_its_label():
    lines = "Officers\n\n* President: Snail\n* Secretary: Tom Lowenthal\n* Treasurer: Danny O'Brien"
    bylaws = (
        "The treasurer shall keep the books. The board may remove the treasurer, and the treasurer reports monthly."
    )
    spans = tuple(match.span() for match in re.finditer(r"[^\n]+", lines))
    labelled = replace(hit(lines), chunk=replace(hit(lines).chunk, chunk_id="b", source="people.md", sentences=spans))
    found = ExtractiveAnswerer().answer("Who is the treasurer?", [hit(bylaws), labelled])
    assert (found.text, found.kind, found.abstained) == ("* Treasurer: Danny O'Brien", "passage", False)
