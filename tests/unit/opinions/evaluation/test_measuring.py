"""Sets are split as they say, figures count what papers count, and lines come for the files that are there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.opinions.evaluation import fiqa, sentfin
from pagoda.opinions.evaluation.figures import classified, found_pairs, macro_f1
from pagoda.opinions.evaluation.measuring import measured_lines
from pagoda.opinions.evaluation.sets import Subjects, read_sets
from pagoda.opinions.reading.confidence import Confidence, calibration_error


def test_figures_by_hand() -> None:
    truth = np.array([0, 0, 1, 2])
    chances = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    found = classified(truth, chances)
    assert found["accuracy"] == 0.75
    assert found["macro-F1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert macro_f1(np.array([0, 0]), np.array([0, 1])) == pytest.approx(2 / 3)
    assert found_pairs([{"a", "b"}, set()], [{"a"}, {"c"}]) == {"precision": 0.5, "recall": 0.5, "F1": 0.5}


def test_calibration_by_hand() -> None:
    assert calibration_error(np.array([0.95, 0.95]), np.array([True, False])) == pytest.approx(0.45)
    scores = np.random.default_rng(0).normal(size=(4000, 3))
    chances = Confidence().probabilities(scores)
    truth = np.array([np.random.default_rng(row).choice(3, p=chance) for row, chance in enumerate(chances)])
    assert Confidence.fitted(scores * 3, truth).temperature == pytest.approx(3, rel=0.15)


def test_what_training_holds_is_not_measured(tmp_path: Path) -> None:
    (tmp_path / "finfe_train.json").write_text(json.dumps([["a", 0], ["b", 1]]))
    (tmp_path / "finfe_eval.json").write_text(json.dumps([["b", 0], ["c", 2]]))
    (found,) = read_sets(tmp_path)
    assert [row["text"] for row in found.held] == ["c"]
    (tmp_path / "finfe_eval.json").write_text("[")
    with pytest.raises(ConfigError, match="is no JSON"):
        read_sets(tmp_path)


def test_a_name_inside_a_longer_one_counts_by_itself() -> None:
    subjects = Subjects("平安银行与平安", ("平安", "平安银行"), frozenset())
    (short, marked), (long, other) = subjects.asked()
    assert (short, marked.target, marked.others) == ("平安", ((5, 7),), ((0, 4),))
    assert (long, other.target, other.others) == ("平安银行", ((0, 4),), ((5, 7),))


def test_headlines_are_read_and_names_put_right(tmp_path: Path) -> None:
    (tmp_path / sentfin.HEADLINES).write_text(
        "S No.,Title,Decisions,Words\n"
        "1,Alder Holdings rises as Birch falls,\"{'Alder neutralings': 'positive', 'Birch': 'negative'}\",6\n"
        '2,Osian\'s Fund is up,"{""Osian\'s Fund"": \'neutral\'}",4\n'
    )
    first, second = sentfin.read_headlines(tmp_path)
    assert first.entities == (("Alder Holdings", "positive"), ("Birch", "negative"))
    assert first.is_conflicting
    assert second.entities == (("Osian's Fund", "neutral"),)
    assert [mention.surface for mention in first.mentions()["Birch"]] == ["Birch"]


def test_aliases_of_companies_and_not_of_sectors(tmp_path: Path) -> None:
    (tmp_path / sentfin.ALIASES).write_text(
        ',Symbol,Entity\n0,ALDER,"Alder Ltd., Alder"\n1,BANKS,"private banks, Banks"\n'
    )
    (company,) = sentfin.read_aliases(tmp_path)
    assert company.names == ("Alder Ltd.", "Alder")
    resolver = sentfin.Resolver([company])
    assert resolver.ids("Alder Limited") == {"ALDER"} == resolver.ids("alder")
    assert resolver.ids("Birch") == set()


def test_lines_come_for_what_is_there(tmp_path: Path) -> None:
    assert list(measured_lines(tmp_path)) == []
    words = (("大跌", 0), ("跌停", 0), ("大涨", 1), ("涨停", 1))
    names = ("远山", "海门", "青石")
    rows = [
        {"text": f"{name}股价{word}第{day}日", "label": label}
        for word, label in words
        for name in names
        for day in range(8)
    ]
    (tmp_path / "stock_comments_zh.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (line,) = measured_lines(tmp_path)
    assert (line.name, line.num_trained + line.num_held) == ("stock_comments_zh", 96)
    assert line.figures["accuracy"] > 0.9 > line.peers["commonest label"]


def test_scores_of_fiqa_are_followed_or_not(tmp_path: Path) -> None:
    rows = {
        "1": {"sentence": "$aldr up, Birch down", "info": [
            {"target": "ALDR", "sentiment_score": "0.5"}, {"target": "Birch", "sentiment_score": "-0.5"},
            {"target": "Cedar", "sentiment_score": "0.9"},
        ]},
    }  # fmt: skip
    (tmp_path / "task1_post_ABSA_train.json").write_text(json.dumps(rows))
    first, second = fiqa.read_scored(tmp_path, "post")
    assert (first.text.target, second.text.target, second.score) == (((1, 5),), ((10, 15),), -0.5)
    right = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    assert fiqa.followed([first, second], right) == pytest.approx({"cosine": 1.0, "direction": 1.0})
    assert fiqa.followed([first, second], right[::-1]) == pytest.approx({"cosine": -1.0, "direction": 0.0})
    assert fiqa.read_scored(tmp_path, "headline") == []
    (tmp_path / "task1_headline_ABSA_test.json").write_text('{"1": {"text": ""}}')
    with pytest.raises(ConfigError, match="not FiQA's file"):
        fiqa.read_scored(tmp_path, "headline")
