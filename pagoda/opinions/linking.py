"""Which companies a text names, and where: names by Aho-Corasick, and a judge that would rather say nothing.

On the path *item -> opinion of a company*. Short names collide with words (Apple, Shell, 平安) and tickers with words
(ALL, IT, A): whether a match means the company is a logistic function of signs at and around it, and a match below the
threshold is none. Paper: Aho and Corasick 1975, "Efficient string matching".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.opinions.reading.link_signs import Surroundings, commonness, judge
from pagoda.opinions.reading.name_forms import forms
from pagoda.opinions.reading.spelling import folded
from pagoda.opinions.story import Company, Mention

THRESHOLD = 0.8
_EXCHANGES = frozenset({"SH", "SZ", "BJ", "HK", "SS", "US", "N", "O", "OQ", "L", "DE", "PA", "T", "NS", "BO"})


@dataclass(frozen=True, slots=True)
class Name:
    """What is looked for. folded: as `spelling.folded` writes it; is_code: a ticker, not a name; derived: ours."""

    company: int
    text: str
    is_code: bool
    derived: bool = False


@dataclass(frozen=True, slots=True)
class _Match:
    start: int
    end: int
    names: tuple[Name, ...]


class NameLinker:
    """Finds the companies of a list in texts. Never changes; threads may share it.

    threshold: probability below which a match is left out
    """

    def __init__(self, companies: Sequence[Company], threshold: float = THRESHOLD) -> None:
        if not 0 <= threshold < 1:
            raise ConfigError(f"the threshold of linking is {threshold}; expected a probability in [0, 1)")
        self.companies, self.threshold = tuple(companies), threshold
        self._names: defaultdict[str, list[Name]] = defaultdict(list)
        for number, company in enumerate(self.companies):
            for name in _names_of(number, company):
                self._names[folded(name.text)].append(name)
        self._context = [tuple(folded(word) for word in company.context) for company in self.companies]
        self._automaton = _automaton(self._names)

    def link(self, text: str) -> list[Mention]:
        """Mentions that are sure enough, in the order of the text; none overlap."""
        context = Surroundings(text, folded(text))
        matches = self._longest(context)
        told = self._told_surely(context, matches)
        found = []
        for match in matches:
            name, probability = self._best(context, match, told)
            if probability >= self.threshold:
                company = self.companies[name.company]
                surface = text[match.start : match.end]
                found.append(Mention(company.id, match.start, match.end, surface, round(probability, 4)))
        return found

    def _longest(self, context: Surroundings) -> list[_Match]:
        """Matches at the edges of words, the longest first where two overlap."""
        if self._automaton is None:
            return []
        spans = {}
        for last, key in self._automaton.iter(context.folded):
            start, end = last + 1 - len(key), last + 1
            if context.stands_alone(start, end):
                spans[start, end] = tuple(self._fitting(context.text[start:end], key))
        taken: list[_Match] = []
        for (start, end), names in sorted(spans.items(), key=lambda item: (item[0][0] - item[0][1], item[0])):
            if names and all(end <= other.start or start >= other.end for other in taken):
                taken.append(_Match(start, end, names))
        return sorted(taken, key=lambda match: match.start)

    def _fitting(self, surface: str, key: str) -> Iterator[Name]:
        """Names that may be spelt so: codes as they stand, initials also as a word (Nalco) where there is no such."""
        no_word = surface.istitle() and commonness(surface) == 0
        for name in self._names[key]:
            if name.text == surface or not (name.is_code or (is_initials(name.text) and not no_word)):
                yield name

    def _told_surely(self, context: Surroundings, matches: Sequence[_Match]) -> dict[int, int]:
        """How often each company is told by a match that stands for it alone, which speaks for its shorter names."""
        counts: defaultdict[int, int] = defaultdict(int)
        for match in matches:
            companies = {name.company for name in match.names}
            if len(companies) == 1:
                counts[companies.pop()] += 1
        return dict(counts)

    def _best(self, context: Surroundings, match: _Match, told: dict[int, int]) -> tuple[Name, float]:
        rivals = len({name.company for name in match.names})
        ranked = []
        for name in match.names:
            support = sum(word in context.folded for word in self._context[name.company])
            others = told.get(name.company, 0) - (rivals == 1)
            ranked.append((judge(context, match.start, match.end, name.text, name.is_code, support, others), name))
        ranked.sort(key=lambda pair: -pair[0])
        best, name = ranked[0]
        # Of several companies by one name, the one that its surroundings speak for; by nothing, none.
        rival = next((score for score, other in ranked[1:] if other.company != name.company), 0.0)
        return name, best * (1 - rival) / (best * (1 - rival) + rival * (1 - best) + 1e-9) if rival else best


def _names_of(number: int, company: Company) -> Iterator[Name]:
    seen = set()
    for text in company.names:
        for form, is_ours in forms(text):
            if form not in seen:
                seen.add(form)
                yield Name(number, form, is_code=form in company.codes, derived=is_ours)
    for code in company.codes:
        for form in _codes(code):
            if form not in seen:
                seen.add(form)
                yield Name(number, form, is_code=True)


def _codes(code: str) -> Iterable[str]:
    """A code as it is written: 600519.SH, 600519, SH600519; TSLA.O, TSLA."""
    bare, _, exchange = code.partition(".")
    if exchange.upper() not in _EXCHANGES:
        return (code,)
    return (code, bare, exchange + bare) if bare.isdigit() else (code, bare)


def is_initials(name: str) -> bool:
    """Whether a name is a few capitals, such as ITC: in small letters it would be a word, or none."""
    return name.isascii() and name.isupper() and len(name) <= 5


def _automaton(names: Iterable[str]) -> Any:
    try:
        import ahocorasick
    except ModuleNotFoundError as error:
        raise MissingExtraError("linking companies (pyahocorasick)", "opinions") from error
    automaton = ahocorasick.Automaton()
    for name in names:
        automaton.add_word(name, name)
    if not len(automaton):
        return None
    automaton.make_automaton()
    return automaton
