"""Whom bad news is about: the culprit and not whoever warns of it, and not a name that is only part of another's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pagoda.opinions.evaluation.measuring import measured_lines
from pagoda.opinions.evaluation.sets import Subjects
from pagoda.opinions.evaluation.subject_model import SubjectModel, train_subjects

PLATFORMS = [first + second + "贷网" for first in "金银钱宝云速易聚" for second in "鑫汇丰达"]
BANKS = ("远山银行", "海门银行", "青石银行")


def _texts() -> list[Subjects]:
    found = []
    for number, platform in enumerate(PLATFORMS):
        bank, short = BANKS[number % 3], platform[:2]
        found += [
            Subjects(f"{platform}涉嫌非法集资被警方立案，{bank}提醒客户", (bank, platform), frozenset({platform})),
            Subjects(f"{bank}发布公告：{platform}跑路，投资人报案", (bank, platform, short), frozenset({platform})),
            Subjects(f"{platform}与{bank}签署合作协议，业绩增长", (bank, platform), frozenset()),
        ]
    return found


@pytest.fixture(scope="module")
def model() -> SubjectModel:
    return train_subjects(_texts())


def test_the_culprit_is_told_from_whoever_warns(model: SubjectModel) -> None:
    bad = Subjects("新奇贷网涉嫌非法集资被警方立案，白河银行提醒客户", ("白河银行", "新奇贷网"), frozenset())
    assert model.negative(bad) == {"新奇贷网"}
    good = Subjects("新奇贷网与白河银行签署合作协议，业绩增长", ("白河银行", "新奇贷网"), frozenset())
    assert model.negative(good) == set()
    assert model.negative(Subjects("没有公司", (), frozenset())) == set()


def test_a_name_that_is_only_part_of_another_is_not_meant(model: SubjectModel) -> None:
    nested = Subjects("白河银行发布公告：新奇贷网跑路，投资人报案", ("白河银行", "新奇贷网", "新奇"), frozenset())
    assert model.negative(nested) == {"新奇贷网"}
    assert not nested.stands_alone("新奇")
    assert nested.stands_alone("新奇贷网")


def test_a_line_comes_for_the_set(tmp_path: Path) -> None:
    rows = [["", "", each.text, ";".join(each.named), "", ";".join(each.negative)] for each in _texts()]
    (tmp_path / "finnsp_train.json").write_text(json.dumps(rows[:-20]))
    (tmp_path / "finnsp_eval.json").write_text(json.dumps(rows[-20:] + rows[:5]))
    (line,) = measured_lines(tmp_path)
    assert (line.name, line.num_held) == ("finnsp", 20)
    assert line.figures["F1"] > 0.9
