"""Reprints on purpose: what desks do to a wire story, done to stories at hand, and how well they are found again.

Beside the path *feed -> item -> story*. Eight kinds of edit. Pairs of items count, as where clusterings are compared: a
pair is right where both tell one story and were given one.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pagoda.language import Language, language_of
from pagoda.opinions.duplicates import StoryIndex
from pagoda.opinions.story import Item

Edit = Callable[[str, str, random.Random], tuple[str, str]]
"""(title, text, chance) -> (title, text)."""
_SENTENCE = re.compile(r"[^。！？.!?]+(?:[。！？]|[.!?](?=\s|$))?\s*|.+", re.S)
_WIDE = str.maketrans(
    {",": "，", "(": "（", ")": "）", ":": "：", "%": "％", "，": ",", "（": "(", "）": ")", "：": ":"}
)
_START = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Article:
    """A story as it was first told."""

    title: str
    text: str


def _sentences(text: str) -> list[str]:
    return [match.group() for match in _SENTENCE.finditer(text)]


def _byline(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    if language_of(text) == "zh":
        before = chance.choice(["本报讯（记者 王晓）", "【财经早知道】记者从公司获悉，", "新华财经北京1月5日电 "])
        return title, before + text + chance.choice(["（编辑：李明）", "\n责任编辑：赵一", ""])
    before = chance.choice(["NEW YORK, Jan 5 (Wire) - ", "By Jane Smith, Staff Writer\n", "LONDON -- "])
    return title, before + text + chance.choice([" (Editing by Tom Brown)", "\nCopyright 2026.", ""])


def _truncated(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    return title, text[: int(len(text) * chance.uniform(0.5, 0.8))] + "..."


def _reordered(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    sentences = _sentences(text)
    chance.shuffle(sentences)
    return title, "".join(part if part[-1:].isspace() else part + " " for part in sentences)


def _other_script(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    """Chinese into traditional characters; English into capitals, as some feeds write titles and texts."""
    if language_of(text) == "zh":
        from opencc import OpenCC

        converter = OpenCC("s2t")
        return converter.convert(title), converter.convert(text)
    return title.upper(), text.upper()


def _retitled(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    if language_of(text) == "zh":
        return chance.choice(["快讯：", "突发！", "【公告解读】"]) + title, text
    return chance.choice(["UPDATE 1-", "BREAKING: ", "Exclusive: "]) + title, text


def _respelt(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    """Signs of the other width, blanks where lines ended."""
    return title.translate(_WIDE), re.sub(r"\s+", " ", text.translate(_WIDE))


def _with_notice(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    if language_of(text) == "zh":
        return title, text + "\n风险提示：以上内容仅供参考，不构成投资建议，股市有风险，入市需谨慎。"
    return title, text + "\nThis article is for information only and is no investment advice. All rights reserved."


def _without_a_sentence(title: str, text: str, chance: random.Random) -> tuple[str, str]:
    sentences = _sentences(text)
    if len(sentences) > 2:
        del sentences[chance.randrange(1, len(sentences))]
    return title, "".join(sentences)


EDITS: dict[str, Edit] = {
    "byline": _byline,
    "truncation": _truncated,
    "sentences reordered": _reordered,
    "other script": _other_script,
    "title": _retitled,
    "signs": _respelt,
    "notice": _with_notice,
    "a sentence less": _without_a_sentence,
}


def staged(articles: Sequence[Article], seed: int = 0) -> list[tuple[Item, int, str]]:
    """(item, number of its article, kind of edit or "first") of each article and its edits, mixed within two days."""
    chance = random.Random(seed)
    items = []
    for number, article in enumerate(articles):
        for kind, edit in (("first", None), *EDITS.items()):
            title, text = edit(article.title, article.text, chance) if edit else (article.title, article.text)
            language: Language = language_of(f"{title} {text}")
            when = _START + timedelta(minutes=chance.randrange(2 * 24 * 60))
            item = Item(kind, str(number), when, when, title, text, language=language)
            items.append((item, number, kind))
    chance.shuffle(items)
    return items


@dataclass(frozen=True)
class Grouping:
    """Precision, recall and F1 over pairs of items; missed: share of each kind's pairs with its siblings not found."""

    precision: float
    recall: float
    f1: float
    missed: dict[str, float]


def measured(items: Sequence[tuple[Item, int, str]], index: StoryIndex) -> Grouping:
    """Assign the items in their order and compare with what they are edits of."""
    given = [(index.assign(item), number, kind) for item, number, kind in items]
    joint = Counter((story, number) for story, number, _ in given)
    right = sum(map(_pairs, joint.values()))
    found = sum(map(_pairs, Counter(story for story, _, _ in given).values()))
    wanted = sum(map(_pairs, Counter(number for _, number, _ in given).values()))
    precision, recall = right / max(1, found), right / max(1, wanted)
    return Grouping(
        precision, recall, 2 * precision * recall / max(1e-9, precision + recall), dict(_missed(given, joint))
    )


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _missed(given: Sequence[tuple[str, int, str]], joint: Counter[tuple[str, int]]) -> Iterator[tuple[str, float]]:
    for wanted in dict.fromkeys(kind for _, _, kind in given):
        rows = [(story, number) for story, number, kind in given if kind == wanted]
        lost = sum(len(EDITS) - (joint[row] - 1) for row in rows)
        yield wanted, lost / max(1, len(rows) * len(EDITS))
