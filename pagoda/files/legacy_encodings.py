"""Which of the encodings before Unicode a text was written in, by how likely each makes it.

Beside `encodings`, for bytes that are no Unicode. Most of these encodings accept nearly any bytes, so that only the
characters tell: every language has some that no text of a few words lacks. Each encoding is a model of its language's
characters (frequent, common, all others), and the likeliest is believed where it stands out. As in Li and Momoi 2001,
"A composite approach to language/encoding detection".
"""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_SAMPLE = 1 << 15
_FOREIGN = re.compile(r"[^\W\d_\x00-\x7f]")
# A capital letter within a word.
_HUMP = re.compile(r"[а-яёà-öø-ÿ][А-ЯЁÀ-ÖØ-Þ]")
_TOUCHING = re.compile(rf"(?<=[A-Za-z]){_FOREIGN.pattern}|{_FOREIGN.pattern}(?=[A-Za-z])")
_FREQUENT_SIMPLIFIED = (
    "，。、：；（）“”的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子得于下自之年过后作里用道行所家事成方"
    "多月日元请与第本或及其时间公司"
)
_FREQUENT_TRADITIONAL = (
    "，。、：；（）「」的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子得於下自之年過後作裡用道行所家事成方"
    "多月日元請與第本或及其間公司"
)
_FREQUENT_KOREAN = "이다는의에을를은가고하지로도한기사어리자서시라인대수일해아그나정전게만부과있니습합제스용할없"
_FREQUENT_WESTERN = "éèàçêüäößñáíóúâôîûëïœåøæãõ’‘“”–—«»…°§€·"
# French, German, Spanish, Portuguese, Italian, the Nordic languages.
_WESTERN = ("éèàçêâîôûùëïœ", "äöüßé", "ñáíóúéü", "ãõçáéíóúâêôà", "àèéìòùî", "åäöøæéðþáíóúý")
_OF_ALPHABET = 0.9
# Of what an encoding's text is made: frequent characters, common ones, all others.
_SHARES = (0.35, 0.63, 0.02)
# How much better than the next (natural logarithm).
_MARGIN = 3.0
_BROKEN = -25.0
_MOST_BROKEN = 0.002


@dataclass(frozen=True)
class _Model:
    """The characters of an encoding's language.

    frequent; is_common: of those that are not; num_common, num_other: how many there are
    shares: of a text, by kind; least: how likely its characters are in the mean, as a logarithm
    alphabets: letters beyond ASCII's of each language, of which one must have nearly all of a text's
    in_latin_words: whether its letters stand among those of ASCII, or by themselves
    """

    encoding: str
    frequent: frozenset[str]
    is_common: Callable[[str], bool]
    num_common: int
    num_other: int
    shares: tuple[float, float, float] = _SHARES
    in_latin_words: bool | None = None
    least: float = -10.0
    alphabets: tuple[str, ...] = ()

    def score(self, counts: Counter[str]) -> float:
        """The logarithm of how likely these characters are."""
        frequent, common, other = self.shares
        costs = (
            math.log(frequent / len(self.frequent)),
            math.log(common / self.num_common),
            math.log(other / self.num_other),
        )
        total = 0.0
        for character, count in counts.items():
            if character == "\ufffd":
                total += _BROKEN * count
            elif character.isascii():
                total += -3.5 * count
            else:
                kind = 0 if character in self.frequent else 1 if self.is_common(character) else 2
                total += costs[kind] * count
        return total


def _in_first_level(encoding: str, first: int, last: int) -> Callable[[str], bool]:
    """Whether a character is among those that an encoding has first, its punctuation included."""

    def is_common(character: str) -> bool:
        try:
            data = character.encode(encoding)
        except UnicodeEncodeError:
            return False
        return len(data) == 2 and first <= data[0] <= last and data[1] >= 0x40

    return is_common


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda character: compiled.fullmatch(character) is not None


_KANA = frozenset(map(chr, [*range(0x3041, 0x3094), *range(0x30A1, 0x30FD), 0x3001, 0x3002]))
_MODELS = (
    _Model("gb18030", frozenset(_FREQUENT_SIMPLIFIED), _in_first_level("gb2312", 0xA1, 0xD7), 4200, 20000),
    _Model("big5hkscs", frozenset(_FREQUENT_TRADITIONAL), _in_first_level("big5", 0xA1, 0xC6), 5800, 10000),
    _Model("cp932", _KANA, _in_first_level("cp932", 0x81, 0x97), 3400, 8000, (0.6, 0.38, 0.02)),
    _Model("euc_jp", _KANA, _in_first_level("euc_jp", 0xA1, 0xCF), 3400, 8000, (0.6, 0.38, 0.02)),
    _Model("cp949", frozenset(_FREQUENT_KOREAN), _in_first_level("euc_kr", 0xB0, 0xC8), 2350, 15000),
    _Model("cp1251", frozenset("оеаинтсрвлкм"), _matches("[а-яёА-ЯЁ]"), 54, 100, (0.67, 0.31, 0.02), False, -5.2),
    _Model("koi8-r", frozenset("оеаинтсрвлкм"), _matches("[а-яёА-ЯЁ]"), 54, 100, (0.67, 0.31, 0.02), False, -5.2),
    _Model(
        "cp1252",
        frozenset(_FREQUENT_WESTERN),
        _matches("[à-öø-ÿÀ-ÖØ-Þ]"),
        45,
        60,
        (0.8, 0.17, 0.03),
        True,
        -5.6,
        _WESTERN,
    ),
)


def likeliest(data: bytes) -> str | None:
    """The encoding that makes the text likeliest, by Python's name; None where none stands out.

    >>> likeliest("会员年费为 120 元".encode("gbk")), likeliest("Каждый день с девяти".encode("cp1251"))
    ('gb18030', 'cp1251')
    """
    scored = sorted((score, model.encoding) for model in _MODELS if (score := _score(model, data)) is not None)
    if not scored or (len(scored) > 1 and scored[-1][0] - scored[-2][0] < _MARGIN):
        return None
    return scored[-1][1]


def _score(model: _Model, data: bytes) -> float | None:
    """None where the bytes are no text of this encoding, or an unlikely one."""
    text = codecs.getincrementaldecoder(model.encoding)(errors="replace").decode(data[:_SAMPLE])
    counts = Counter(text)
    num_other = sum(count for character, count in counts.items() if not character.isascii())
    num_broken = counts["\ufffd"]
    has_controls = any("\x80" <= character <= "\x9f" for character in counts)
    if has_controls or num_other == 0 or num_broken > _MOST_BROKEN * num_other:
        return None
    if model.in_latin_words is not None and model.in_latin_words != _is_in_latin_words(text):
        return None
    if model.alphabets and not _is_of_one_alphabet(text, model.alphabets):
        return None
    if model.in_latin_words is not None and len(_HUMP.findall(text)) > 0.05 * num_other:
        return None
    score = model.score(counts)
    ascii_score = -3.5 * (len(text) - num_other)
    return score if score - ascii_score >= model.least * num_other else None


def _is_in_latin_words(text: str) -> bool:
    """Whether most letters that are none of ASCII's touch one that is; other marks do not count."""
    letters = _FOREIGN.findall(text)
    return len(_TOUCHING.findall(text)) >= 0.5 * len(letters)


def _is_of_one_alphabet(text: str, alphabets: tuple[str, ...]) -> bool:
    letters = [letter.lower() for letter in _FOREIGN.findall(text)]
    return any(sum(letter in known for letter in letters) >= _OF_ALPHABET * len(letters) for known in alphabets)
