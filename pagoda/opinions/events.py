"""What kind of thing happened: event types by patterns of words, in both languages.

On the path *item -> opinion of a company*. A closed list that alert rules name: what taxonomies of the market have in
common, the 22 risk events of FinESE among them (Lu et al. 2023, "BBT-Fin", arXiv 2302.09432). Hedges ("may", 拟) and
places far down a text take a part of an event's probability away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pagoda.errors import MissingExtraError
from pagoda.opinions.reading.spelling import folded
from pagoda.opinions.story import EventGuess

_FILE = Path(__file__).parent / "reading" / "event_types.yaml"
_HEDGE = re.compile(
    r"(?<!\bin )(?<!\bsince )(?<!\blast )\bmay\b(?! \d)"
    r"|\b(?:might|could|plans?|mulls?|considers?|likely|reportedly|rumou?rs?)\b"
    r"|或(?!者)|拟|(?<![宣流遗谣])传(?![媒销统感真播奇承递输导来])|有望|(?<!持股)(?<!激励)计划|据悉"
)
"""Not the month, and not 宣传, 传销 or a 持股计划."""
_DENIED = re.compile(
    r"\b(?:no|not|without|never|den(?:y|ies|ied)|rul(?:es?|ed|ing) out|clear(?:s|ed)\b[^.,;:!?]{1,40}\bof|free of)"
    r"(?:[^\w.,;:!?]+\w+){0,2}[^\w.,;:!?]+$"
    r"|(?:否认|不存在|并非|没有|从未|不涉及|澄清|撤销|免予|免于|避免|不予|暂不|承诺不|不再)[\u4e00-\u9fff]{0,4}$"
)
"""Behind it stands what did not happen."""
_SURE, _HEDGED = 0.85, 0.65
_IN_THE_HEAD = 200
"""Characters of a text in which an event is its subject; what stands further on is told beside it."""
_BESIDE = 0.6


class EventTypes:
    """Names events in texts. Never changes; threads may share it."""

    def __init__(self) -> None:
        self._patterns = {name: re.compile(pattern) for name, pattern in _patterns().items()}

    def of(self, text: str) -> tuple[EventGuess, ...]:
        """Events, the surest first; none is common. The company asked of may stand as `reading.marked.TARGET`."""
        plain = folded(text)
        found = []
        for name, pattern in self._patterns.items():
            told = (
                each
                for each in pattern.finditer(plain)
                if not _DENIED.search(plain, max(0, each.start() - 80), each.start())
            )
            match = next(told, None)
            if match is not None:
                around = plain[max(0, match.start() - 30) : match.end() + 10]
                probability = _HEDGED if _HEDGE.search(around) else _SURE
                found.append(EventGuess(name, probability * (1.0 if match.start() < _IN_THE_HEAD else _BESIDE)))
        return tuple(sorted(found, key=lambda event: -event.probability))


def event_types() -> tuple[str, ...]:
    """Names of events, as alert rules write them."""
    return tuple(_patterns())


@cache
def _patterns() -> Mapping[str, str]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("naming events (pyyaml)", "opinions") from error
    listed: dict[str, dict[str, list[str]]] = yaml.safe_load(_FILE.read_text("utf-8"))
    return {
        name: "|".join(part for parts in by_language.values() for part in parts) for name, by_language in listed.items()
    }
