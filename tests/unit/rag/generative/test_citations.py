"""The check of a model's text: what its sources bear is cited to the letter, what they do not is marked."""

from __future__ import annotations

import pytest

from pagoda.language import Language
from pagoda.rag.answer import Citation
from pagoda.rag.documents.document import Chunk
from pagoda.rag.documents.places import Places
from pagoda.rag.generative.citations import CheckedText, checked
from pagoda.rag.generative.prompt import PackedPrompt
from pagoda.rag.generative.source import Source
from pagoda.rag.generative.support import SupportCheck

SHOP = "The shop opens at 9:00 on weekdays. On Sundays it is closed.\nAsk Nora Feldmann for keys."
PRICES = "A tandem costs 44 euros a day. The deposit is 1,500 euros."
CHINESE = "会员年费为 120 元，学生减半。积分在每年 12 月 31 日清零。"


def source(number: int, text: str, file: str, offset: int = 100) -> Source:
    spans, start = [], 0
    for end in [i + 1 for i, c in enumerate(text) if c in "。" or (c == "." and not text[i + 1 : i + 2].isdigit())]:
        begin = start + (len(text[start:end]) - len(text[start:end].lstrip()))
        spans.append((offset + begin, offset + end))
        start = end
    chunk = Chunk(file, file, text, offset, offset + len(text), 7, 3, sentences=tuple(spans))
    return Source(number, (chunk,), 2.5)


SOURCES = (source(1, SHOP, "shop.md"), source(2, PRICES, "prices.csv"), source(3, CHINESE, "会员.md"))


def check(text: str, question: str = "When does the shop open?", language: Language = "en") -> CheckedText:
    return checked(text, question, PackedPrompt((), SOURCES, language), SupportCheck())


def test_a_citation_quotes_the_document_to_the_letter_with_its_place() -> None:
    result = check("Nora Feldmann has the keys [1].", "Who has keys?")
    (citation,) = result.citations
    assert citation.quote == "Ask Nora Feldmann for keys."
    assert SHOP[citation.start - 100 : citation.end - 100] == citation.quote
    assert (citation.number, citation.source, citation.line, citation.page) == (1, "shop.md", 8, 3)


def test_a_citation_has_the_pages_of_its_quote_and_not_of_the_chunk_around_it() -> None:
    text = "Alpha signs. Either side may cancel with ninety days' notice. Beta pays."
    places = Places(pages=((0, 2), (text.index("ninety"), 3)), lines=((0, 11), (text.index("Beta"), 12)))
    chunk = Chunk("c", "a.pdf", text, 0, len(text), 11, 2, places=places)
    sentences = ("Alpha signs.", "Either side may cancel with ninety days' notice.", "Beta pays.")
    for quote, place in zip(sentences, (("2", 11), ("2-3", 11), ("3", 12)), strict=True):
        start = text.index(quote)
        citation = Citation.of_span(1, chunk, start, start + len(quote), 1.0)
        assert (citation.quote, citation.pages, citation.line) == (quote, *place)


def test_what_the_source_says_stays_as_the_model_wrote_it() -> None:
    result = check("The shop opens at 9:00 on weekdays [1]. On Sundays it is closed [1].")
    assert result.text == "The shop opens at 9:00 on weekdays. [1] On Sundays it is closed. [2]"
    assert not result.unsupported
    assert not result.abstained


def test_a_false_number_is_marked_although_every_other_word_stands_in_the_source() -> None:
    result = check("The shop opens at 9:00 on weekdays [1]. The shop opens at 8:00 on weekdays [1].")
    assert result.unsupported == ("The shop opens at 8:00 on weekdays.",)
    assert result.text.endswith("The shop opens at 8:00 on weekdays. [unsupported]")


def test_a_quotation_has_the_numbers_that_the_sentence_says() -> None:
    result = check("1,500", "How much is a tandem a day?")
    assert ["1,500" in citation.quote for citation in result.citations] == [True]


def test_what_two_sentences_say_together_is_quoted_together() -> None:
    result = check("A tandem costs 44 euros a day and the deposit is 1,500 euros.", "What does a tandem cost?")
    assert [citation.quote for citation in result.citations] == [PRICES]


def test_a_name_above_the_sentence_is_read_with_it() -> None:
    text = "It has twenty floors."
    chunk = Chunk("t", "t.md", text, 0, len(text), 1, title="Drum Tower", sentences=((0, len(text)),))
    prompt = PackedPrompt((), (Source(1, (chunk,), 1.0),), "en")
    result = checked("The Drum Tower has twenty floors.", "How many floors are there?", prompt, SupportCheck())
    assert [citation.quote for citation in result.citations] == [text]


def test_an_invented_name_is_marked() -> None:
    result = check("The shop opens at 9:00 [1]. Ask Karl Feldmann for keys [1].")
    assert result.unsupported == ("Ask Karl Feldmann for keys.",)


def test_a_wrong_number_of_a_source_is_put_right() -> None:
    result = check("A tandem costs 44 euros a day [1].", "How much is a tandem?")
    assert [citation.source for citation in result.citations] == ["prices.csv"]


def test_a_source_that_does_not_exist_is_not_cited() -> None:
    result = check("A tandem costs 44 euros a day [9].", "How much is a tandem?")
    assert result.text == "A tandem costs 44 euros a day. [1]"


def test_a_sentence_without_a_citation_gets_the_source_that_bears_it() -> None:
    assert [c.source for c in check("The deposit is 1500 euros.", "How much?").citations] == ["prices.csv"]


def test_an_answer_without_one_borne_sentence_says_that_there_is_none() -> None:
    result = check("Paris is the capital of France [1].")
    assert result.abstained
    assert result.citations == ()
    assert result.text == "The documents do not hold an answer to this."
    assert result.unsupported == ("Paris is the capital of France.",)


@pytest.mark.parametrize(
    ("text", "language", "said"),
    [
        ("The documents do not hold an answer to this.", "en", "The documents do not hold an answer to this."),
        ("the documents do not hold an answer to this [1]", "en", "The documents do not hold an answer to this."),
        ("文档中没有这个问题的答案。", "zh", "文档中没有这个问题的答案。"),
        ("", "zh", "文档中没有这个问题的答案。"),
        ("<think>9:00? The shop opens at 9:00 [1].</think>", "en", "The documents do not hold an answer to this."),
    ],
)
def test_the_models_own_abstention_is_one(text: str, language: Language, said: str) -> None:
    result = check(text, language=language)
    assert result.abstained
    assert result.text == said
    assert not result.unsupported


def test_chinese_sentences_and_marks_are_checked_the_same_way() -> None:
    result = check("会员年费为120元【3】。积分在每年6月30日清零【3】。", "会员年费多少？", "zh")
    assert result.text == "会员年费为120元。 [1]积分在每年6月30日清零。【无依据】"
    assert result.citations[0].quote == "会员年费为 120 元，学生减半。"


def test_a_yes_keeps_the_source_that_it_names() -> None:
    result = check("Yes [1]. The shop opens at 9:00 on weekdays [1].", "Is the shop open on weekdays?")
    assert not result.unsupported
    assert result.text.startswith("Yes. [1]")


RULES = "Visitors must not bring pets into the building. Regular members park for free.\n目前不支持删除主键列。"


@pytest.mark.parametrize(
    ("said", "question", "told"),
    [
        ("Visitors may bring pets.", "May visitors bring pets?", "Visitors must not bring pets into the building. [1]"),
        ("Yes.", "May visitors bring pets into the building?", "Visitors must not bring pets into the building. [1]"),
        ("No, visitors must not bring pets.", "May visitors bring pets?", "No, visitors must not bring pets. [1]"),
        ("No.", "Do regular members park for free?", "Regular members park for free. [1]"),
        ("Yes.", "Do regular members park for free?", "Yes. [1]"),
        ("支持删除主键列。", "支持删除主键列吗？", "目前不支持删除主键列。 [1]"),
        ("不支持。", "支持删除主键列吗？", "不支持。 [1]"),
    ],
)
def test_words_that_turn_their_source_round_are_replaced_by_it(said: str, question: str, told: str) -> None:
    prompt = PackedPrompt((), (source(1, RULES, "rules.md"),), "en")
    assert checked(said, question, prompt, SupportCheck()).text == told


def test_a_bare_yes_about_what_no_source_speaks_of_is_no_answer() -> None:
    assert check("Yes.", "Is there a swimming pool on the roof?").abstained


def test_several_numbers_in_one_bracket_count_each() -> None:
    result = check("The shop opens at 9:00 [1, 2].")
    assert [citation.source for citation in result.citations] == ["shop.md"]


def test_repeating_the_question_is_no_support() -> None:
    result = check("The shop opens, the manager of the shop says, after breakfast together.", "Does the shop open?")
    assert result.abstained


def test_the_embedder_vouches_for_other_words_but_not_for_other_numbers() -> None:
    class Alike:
        def unknown_share(self, text: str) -> float:
            return 0.0

        def embed(self, texts: list[str]) -> list[object]:
            import numpy as np

            return [np.ones(1), np.ones(1)]

    prompt = PackedPrompt((), SOURCES, "en")
    vouching = SupportCheck(Alike())  # type: ignore[arg-type]
    assert not checked("Doors unlock every morning [1].", "When?", prompt, vouching).abstained
    assert checked("Doors unlock every morning at 6:15 [1].", "When?", prompt, vouching).abstained


def test_likeness_by_a_network_that_the_threshold_was_not_fitted_to_vouches_for_nothing() -> None:
    class Alike:
        """As the bilingual embedder, it reads all and gives Chinese to another network."""

        name, dimension, max_tokens = "alike", 1, 9

        def unknown_share(self, text: str) -> float:
            return 0.0

        def wants_whole(self, text: str) -> bool:
            return not text.isascii()

        def num_tokens_batch(self, texts: list[str]) -> list[int]:
            return [1] * len(texts)

        def embed(self, texts: list[str]) -> list[object]:
            import numpy as np

            return [np.ones(1), np.ones(1)]

    vouching = SupportCheck(Alike())  # type: ignore[arg-type]
    english = PackedPrompt((), SOURCES, "en")
    assert not checked("Doors unlock every morning [1].", "When?", english, vouching).abstained
    chinese = PackedPrompt((), (source(1, "商店九点开门。", "店.md"),), "zh")
    assert checked("早上便可进入 [1]。", "何时？", chinese, vouching).abstained
