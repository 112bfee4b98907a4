"""jieba's dictionary, which is read our own way: the same tables, and so the same words."""

from __future__ import annotations

import pytest

from pagoda.rag.chinese import _tagger, cut


def test_the_tables_are_those_that_jieba_makes() -> None:
    jieba = pytest.importorskip("jieba")
    theirs = jieba.Tokenizer()
    frequencies, total = theirs.gen_pfdict(theirs.get_dict_file())
    ours = _tagger()
    assert ours.tokenizer.total == total
    assert frequencies == ours.tokenizer.FREQ


def test_words_and_their_tags_are_jiebas() -> None:
    posseg = pytest.importorskip("jieba.posseg")
    text = "会员年费为120元，学生凭学生证减半。目前不支持删除PostgreSQL的主键列"
    assert cut(text) == [(pair.word, pair.flag) for pair in posseg.POSTokenizer().cut(text)]
