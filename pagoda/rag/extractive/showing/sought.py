"""What kind of thing an English question seeks, and whether a text tells one: a number of them, a reason, a duration.

Beside what is shown: question and passage -> *is what is sought told there?* -> second look -> Answer. A manual speaks
of a jar and of the fridge, and not of how long. Unlike `attributes`, whose values cannot be mistaken, these are hints
to be weighed: reasons stand in many words, and a number may count something else. After the expected answer types of
Li and Roth 2002, "Learning Question Classifiers".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pagoda.rag.english import stem

_NUMBER_WORDS = "one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|half"
_SOME = rf"(?:\d[\d.,/]*|{_NUMBER_WORDS}|an?|several|couple|few)"
_TIME = "seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|months?|years?|ms|s|h"
_DURATION = rf"{_SOME}(?:\s*[-–]\s*\d+|\s+(?:to|or)\s+\w+)?[\s-]*(?:{_TIME})\b|\bovernight\b|\bforever\b|\bindefinite"
_LENGTH = r"\d[\d.,/]*\s*(?:mm|cm|m|km|inch(?:es)?|in|ft|feet|met(?:er|re)s?|px|pixels?|[\"”])(?!\w)"
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_COUNTED = rf"\d|\b(?:{_NUMBER_WORDS}|single|both|several|any|all|none|no)\b"
_HOW_MANY = re.compile(r"\bhow (?:many|much)\s+([\w-]+)", re.I)
_IS_COUNT = re.compile(_COUNTED, re.I)
_TOKEN = re.compile(r"[\w.,/°%$-]+")
_BEFORE_COUNTED = 4
"""Words between a number and what it counts."""


@dataclass(frozen=True)
class Sought:
    """asked: how a question seeks it; told: what a text has that may tell it."""

    name: str
    asked: re.Pattern[str]
    told: re.Pattern[str]


def sought(name: str, asked: str, told: str) -> Sought:
    """A kind by two patterns, whatever the case of letters."""
    return Sought(name, re.compile(asked, re.I), re.compile(told, re.I))


KINDS = (
    sought(
        "reason",
        r"\bwhy\b|\breasons?\b|\bhow come\b",
        r"\b(?:because|since|so|in order to|due to|reasons?|therefore|otherwise|as (?:it|this|these|they|the)|caus\w+"
        r"|to (?:avoid|prevent|ensure|allow|keep|make|protect)|this (?:means|allows|ensures|prevents)|helps?|would"
        r"|has to)\b",
    ),
    sought(
        "frequency",
        r"\bhow (?:often|frequent\w*)\b",
        r"\b(?:every|each|(?:dai|week|month|year|hour)ly|once|twice|times? (?:a|per)|per (?:day|week|month|year|hour)"
        r"|always|regularly|periodic\w*|interval|frequen\w*)\b",
    ),
    sought(
        "duration", rf"\bhow (?:long|soon|late|early)\b|\bhow many (?:{_TIME})\b|\bby when\b", f"{_DURATION}|{_LENGTH}"
    ),
    sought("temperature", r"\btemperature|\bdegrees\b|\bhow hot\b", r"°|\bdegrees?\b|\d\s*[FC]\b"),
    sought(
        "size",
        r"\bhow (?:big|large|tall|wide|high|thick|deep|far)\b|\b(?:height|width|length|size|diameter)\b",
        r"\d",
    ),
    sought(
        "weight",
        r"\bhow heavy\b|\bweighs?\b|\bweight\b",
        r"\d\s*(?:g|kg|lbs?|oz|grams?|ounces?|pounds?|cups?|tbsp|tsp)\b",
    ),
    sought("share", r"\bpercent(?:age)?\b", r"%|percent"),
    sought(
        "version",
        r"\b(?:which|what|oldest|newest|minimum|in) (?:\w+ )?(?:version|release)\b|\bsince when\b",
        r"\bv?\d+\.\d+",
    ),
    sought(
        "date",
        r"\bwhen (?:was|were|did|will)\b|\b(?:what|which) (?:year|date)\b",
        rf"\b(?:19|20)\d\d\b|\b(?:{_MONTHS})\b",
    ),
    sought(
        "place",
        r"^\W*where\b|\bwhere (?:can|do|is|are)\b",
        r"\b(?:in|on|at|under|from|to|into|via|through|stores?|folder|directory|page|menu|file|floor)\b",
    ),
    sought(
        "person",
        r"^\W*who\b|\bwhom\b",
        r"@|\b(?:team|supervisor|manager|owner|user|administrator|consumer|producer|you|lead|director|maintainers?)\b",
    ),
    sought("default", r"\bdefaults?\b", r"\bdefaults?\b|\bunless\b|\binitially\b"),
    sought(
        "most",
        r"\bmax\w*\b|\bat most\b|\blimit\b|\bhighest\b|\blongest\b|\blargest\b",
        r"\bmax\w*|at most|up to|limit|no more than|not? exceed|less than|below|under|over|highest|longest|largest",
    ),
    sought(
        "least",
        r"\bmin\w*\b|\bat least\b|\blowest\b|\bsmallest\b",
        r"\bmin\w*|at least|or more|greater than|above|lowest|smallest|least",
    ),
    sought("code", r"\b(?:exit|status|error) (?:code|status)\b|\bport\b", r"\b\d{1,6}\b"),
    sought("count", r"\bhow (?:many|much|few)\b|\bnumber of\b", _COUNTED),
    sought("purchase", r"\bbuy\b|\bpurchase\b|\border\b", r"\bbuy|purchas|order|shop|store|sell|sold|bought"),
)


def sought_by(question: str) -> list[Sought]:
    """All kinds that a question seeks.

    >>> [kind.name for kind in sought_by("How many days does a jar last at most?")]
    ['duration', 'most', 'count']
    """
    return [kind for kind in KINDS if kind.asked.search(question)]


def lacks_count(question: str, text: str) -> bool:
    """Whether the thing whose number is asked for stands nowhere behind a number.

    >>> lacks_count("How many points are probed?", "Probe three points."), lacks_count("How many hosts?", "One host.")
    (False, False)
    >>> lacks_count("How many printers can a Pi drive?", "A printer hangs on a Pi. 2 cores are used.")
    True
    """
    asked = _HOW_MANY.search(question)
    if asked is None:
        return False
    counted, tokens = stem(asked[1].lower()), _TOKEN.findall(text.lower())
    return not any(
        stem(token.strip(".,")) == counted and any(map(_IS_COUNT.search, tokens[max(0, at - _BEFORE_COUNTED) : at + 1]))
        for at, token in enumerate(tokens)
    )
