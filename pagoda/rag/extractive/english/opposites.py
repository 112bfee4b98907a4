"""English words that deny, that limit, and pairs that say the opposite: what turns a question round.

On a question's path: question -> Hits -> reader -> *words of* the decision -> answer. WordNet holds many more pairs
(Miller 1995), but is too large to ship; these are the common ones.
"""

from __future__ import annotations

from collections.abc import Iterable

_DENIALS_TEXT = (
    "not no never none neither nor without unless cannot nobody nothing nowhere lack lacks lacked lacking "
    "refuse refuses refused unable isnt wasnt arent werent didnt doesnt dont wont cant"
)
_LIMITS_TEXT = "only solely entirely always all every each exactly just both mainly"
DENIALS, LIMITS = frozenset(_DENIALS_TEXT.split()), frozenset(_LIMITS_TEXT.split())
_PAIRS = """
first last, before after, largest smallest, most least, more less, more fewer, fewer greater, increase decrease,
increased decreased, increases decreases, increasing decreasing, rise fall, rose fell, growth decline, grew declined,
expand shrink, expanded shrank, raise lower, raised lowered, gain loss, gained lost, gain lose, north south,
northern southern, northeast southwest, northwest southeast, east west, eastern western, left right, top bottom,
upper lower, above below, up down, front back, forward backward, inside outside, internal external, highest lowest,
higher lower, high low, greatest least, greater lesser, large small, larger smaller, big small, bigger smaller,
longest shortest, longer shorter, long short, oldest newest, oldest youngest, older younger, older newer, old new,
old young, former latter, earliest latest, earlier later, early late, begin end, began ended, beginning end, start end,
start finish, start stop, started ended, started stopped, open close, opened closed, founded dissolved,
established abolished, created destroyed, build destroy, built destroyed, built demolished, join leave, joined left,
enter leave, entered left, arrive depart, arrived departed, accept reject, accepted rejected, approved rejected,
agree disagree, agreed disagreed, support oppose, supported opposed, supporters opponents, support criticize,
supported criticized, allow prohibit, allowed prohibited, allow forbid, allowed forbidden, allowed banned, permit ban,
encourage discourage, encouraged discouraged, cause prevent, caused prevented, include exclude, included excluded,
attack defend, attacked defended, won lost, win lose, victory defeat, success failure, successful unsuccessful,
succeed fail, succeeded failed, strong weak, stronger weaker, strength weakness, strengths weaknesses, good bad,
better worse, best worst, positive negative, advantage disadvantage, advantages disadvantages, benefit harm, true false,
same different, similar different, common rare, common uncommon, likely unlikely, possible impossible, legal illegal,
known unknown, able unable, equal unequal, formal informal, direct indirect, dependent independent, finite infinite,
active inactive, active passive, public private, domestic foreign, national local, urban rural, rich poor,
wealthy poor, maximum minimum, majority minority, major minor, primary secondary, simple complex, easy difficult,
easy hard, fast slow, faster slower, hot cold, warm cold, warmer colder, warmest coldest, wet dry, wide narrow,
deep shallow, thick thin, heavy light, light dark, day night, summer winter, natural artificial, temporary permanent,
voluntary mandatory, optional mandatory, buy sell, bought sold, import export, imported exported, ally enemy,
allies enemies, friend enemy, friends enemies, men women, man woman, male female, boys girls, husband wife,
father mother, son daughter, sons daughters, brother sister, king queen, birth death, born died, life death,
modern ancient, theoretical practical, acidic basic, always never, all none, many few, even odd, love hate,
push pull, absent present, visible invisible, complete incomplete,
"""


def _both_ways(pairs: Iterable[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in pairs:
        one, other = pair.split()
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITES = _both_ways(pair for pair in _PAIRS.split(",") if pair.strip())


def opposites_of(word: str) -> frozenset[str]:
    """The words that say the opposite of one in small letters; none for most.

    >>> sorted(opposites_of("lower")), opposites_of("tower")
    (['higher', 'raise', 'upper'], frozenset())
    """
    return _OPPOSITES.get(word, frozenset())
