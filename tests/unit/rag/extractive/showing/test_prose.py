"""A sentence is quoted alone only where nothing around it says what it means."""

import pytest

from pagoda.rag.extractive.showing.prose import is_prose

MANUAL = (
    "# Limits\n\nTransactions are supported. 嵌套事务也可以使用。\n\nThe following are not supported:\n\n- savepoints\n"
    "- two-phase commits\n\n| Name | Since |\n|---|---|\n| ports | 4.0 |\n\n```\nSHOW PORTS;\n```\n\n"
    "以下语法不受支持：\n\nSAVEPOINT 语句。\n\n1. Stop the server.\n\nThat is all of it."
)


def alone(sentence: str) -> bool:
    start = MANUAL.index(sentence)
    return is_prose(MANUAL, start, start + len(sentence))


@pytest.mark.parametrize("sentence", ["Transactions are supported.", "嵌套事务也可以使用。", "That is all of it."])
def test_plain_sentences_stand_alone(sentence):
    assert alone(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "# Limits",
        "The following are not supported:",
        "- savepoints",
        "- two-phase commits",
        "| ports | 4.0 |",
        "SHOW PORTS;",
        "SAVEPOINT 语句。",
        "1. Stop the server.",
    ],
)
def test_parts_of_lists_tables_code_and_what_leads_to_them_do_not(sentence):
    assert not alone(sentence)


def test_a_row_that_names_its_columns_stands_alone():
    text = "City: Oslo; Mayor: Hansen\n\nCity: Bergen; Mayor: Berg"
    assert is_prose(text, 0, 25)


def test_a_text_that_begins_in_code_has_prose_behind_the_fence_only():
    text = "sets all.\n```\nIt is safe."
    assert not is_prose(text, 0, 9, begins_in_code=True)
    assert is_prose(text, 14, 25, begins_in_code=True)
