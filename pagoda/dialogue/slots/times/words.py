"""The words of days and hours, as patterns over lower-case text: what the other files of this folder listen for.

Stands between *understanding* and *events* on the turn's path. `Rest` is the text that is left while one rule after the
other takes its piece, so that no rule reads what another has read and what nobody read is known in the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

HAN = "零〇一二两三四五六七八九十"
N = rf"(?:\d{{1,2}}(?!\d)|[{HAN}]{{1,3}})"
HOURS_EN = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
WEEKDAYS_EN = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MONTHS_EN = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
ORDINALS_EN = [
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth"),
    *("nineteenth", "twentieth", "twenty-first", "twenty-second", "twenty-third", "twenty-fourth", "twenty-fifth"),
    *("twenty-sixth", "twenty-seventh", "twenty-eighth", "twenty-ninth", "thirtieth", "thirty-first"),
]
WEEKDAY_EN = (
    r"(?:mon(?:day)?|tue(?:s(?:day)?)?|wed(?:s|nesday|nsday|nesay)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?"
    r"|sat(?:urday|erday)?|sun(?:day)?)"
)
MONTH_EN = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
WEEKDAY_ZH = "(?:周|星期|礼拜|週)"
COUNT_EN = (
    r"(?:an?|half an?|a couple of|couple of|a few|few|\d{1,12}(?:\.\d{1,3})?|twenty|fifteen|thirty|forty[- ]five"
    r"|forty|fifty|ninety"
    rf"|sixty|{'|'.join(HOURS_EN)}|(?:thir|four|six|seven|eigh|nine)teen)"
)
COUNT_ZH = rf"(?:\d+(?:\.\d+)?|[{HAN}半百]+)"
PAST = re.compile(
    r"昨天|昨晚|昨日|前天|上(?:个)?(?:周|星期|礼拜|月)|去年|刚才|\byesterday\b"
    r"|\blast (?:night|week|month|year|(?:mon|tues?|wednes|thurs?|fri|satur|sun)(?:day)?)\b(?! of)"
    r"|\bago\b"
)
NOW = re.compile(r"现在|马上|立刻|即刻|\b(?:right |just )?now\b|\basap\b|\bimmediately\b|\bright away\b")
# Words that tell of a time without telling which: a stretch too wide or too vague to take a day or an hour from.
VAGUE = re.compile(
    r"(?:这个?|本|下个?)?月[底初中末]|[今明]?年[底初]|下+个?(?:周|星期|礼拜)(?![一二三四五六日天末])|下个?月"
    r"|这个?(?:周|星期|礼拜)(?![一二三四五六日天末])|本周(?![一二三四五六日天末])|过[几两]天|这[几两]天|改天|最近"
    r"|一大早|一会儿|待会儿?"
    r"|\b(?:end|beginning|start|middle) of (?:the |this |next )?(?:month|year|week)\b"
    r"|\b(?:next (?:week|month|year)|(?:this|the following) (?:week|month))\b|\bsome ?(?:day|time) (?:next|this)\b"
    r"|\bfirst thing\b|\bsoon\b|\bin a (?:bit|while)\b|\ba few (?:days|hours|weeks)\b|\bfew (?:days|hours|weeks)\b"
    r"|\bthe other day\b"
)
THIS_YEAR = re.compile(r"今年|\b(?:of )?this year\b")
BEFORE = re.compile(r"(?:以前|之前|前$|前(?=[，,。 ]))|\b(?:before|until|till|no later than|earlier than|not after)\b")
# What belongs to times; a text that holds one of these and was not read is a time that was not understood.
TIME_WORDS = re.compile(
    r"\d{1,2}[:：]\d\d|\d+[-/]\d+[-/]\d+|[二两三四五六七八九十]点|[一-鿿]{1,3}节|除夕|农历"
    r"|[初腊][一二三四五六七八九十]|[周号日月年]|星期|礼拜|小时|钟头|分钟|上午"
    r"|下午|点钟"
    r"|\b(?:weeks?|months?|years?|days?|fortnight|hours?|hrs?|minutes?|mins?|eve|holiday|christmas|easter|after next"
    rf"|{WEEKDAY_EN}|{MONTH_EN})\b"
)
# Small words that stand around a time and change nothing about it.
_SMALL_EN = (
    "a about after again past any anytime inside outside indoors outdoors all also alright am an and any are around"
    " arrive arriving as at available be book"
    " booked "
    "booking between brunch but by can change come coming could date day do dinner eat exactly fine for from get "
    "go going good great have hello help hey hi hm hmm hours how i i'd i'll i'm if in instead is it it's its just "
    "let let's lets like looking lunch make maybe me meal mean meant move moved much my near need of oh ok okay "
    "on one ones our party perhaps place please pls plz possible prefer preferably probably rather reservation reserve "
    "right roughly s said say seat see seating set sharp should so some sometime sometimes somewhere spot start "
    "starting still sure table take thank thanks that that's the then there think this time to today try um until "
    "us want we we'd we'll we're well what will with work works would yeah yep yes you your approximately circa "
    "approx ish exact precisely clock o'clock oclock hr hrs h supper breakfast perfect sounds "
)
_FILLERS_EN = frozenset(_SMALL_EN.split())
_FILLERS_ZH = (
    "(?:能不能|可不可以|行不行|是不是|好不好|我想要|我们|咱们|时候|时间|预订|预定|预约|订位|定位|位子|位置|座位"
    "|左右|大概|大约|差不多|前后|"
    "农历|之间|中间|过去|可以|应该|就行|就好|好的|麻烦|谢谢|帮忙|改成|改到|改为|换成|换到|定在|订在|开始|以后|之后"
    "|过后|"
    "那就|那个|这个|一下|一桌|吃饭|晚饭|晚餐|午饭|午餐|早饭|早餐|聚餐|这天|那时|的话"
    "|[的吧呢啊呀哦嗯了吗嘛在于就是要想订定约大概那改成到为换我你您"
    "帮请行好来去吃饭钟整之间这个能都还有对说座桌取用看走把放给再又至从和跟与晚，。、！？；：])+"
)
_EDGES_ZH = re.compile(rf"^{_FILLERS_ZH}|{_FILLERS_ZH}$")
_OR_SO = re.compile(r"^\W*or\b|\bor (?:so|thereabouts|something)\b")
_YEAR_ZH = re.compile(r"二[〇零][〇零一二三四五六七八九]{2}(?=年)")
_LATIN_WORD = re.compile(r"[a-z0-9]+(?:['’.:\-/][a-z0-9]+)*")
_WORD = re.compile(rf"{_LATIN_WORD.pattern}|[一-鿿]+")


def plain_of(text: str) -> str:
    """Lower case, single spaces, years in digits.

    >>> plain_of(" 二〇二六年  Dec 5 or so")
    '2026年 dec 5'
    """
    text = _YEAR_ZH.sub(
        lambda year: "".join(str("〇一二三四五六七八九".find(c.replace("零", "〇"))) for c in year[0]), text
    )
    return " ".join(_OR_SO.sub(" ", text.lower()).split())


class Rest:
    """A lower-case text while pieces are taken out of it; what was taken is blank, and places stay what they were.

    said: the whole text
    """

    def __init__(self, text: str) -> None:
        self.text = self.said = text
        self.taken: list[tuple[int, int]] = []

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The first match, taken out."""
        return next(self.take_all(pattern), None)

    def take_all(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """One match after the other; each is taken out before the next is looked for."""
        place = 0
        while (match := pattern.search(self.text, place)) is not None:
            if match.end() == match.start():
                return
            self.blank(match.start(), match.end())
            place = match.end()
            yield match

    def blank(self, start: int, end: int) -> None:
        """Takes out what stands between two places."""
        self.text = self.text[:start] + " " * (end - start) + self.text[end:]
        self.taken.append((start, end))

    def put_back(self, match: re.Match[str]) -> None:
        """What was taken was not that after all."""
        self.text = self.text[: match.start()] + match[0] + self.text[match.end() :]
        self.taken.remove((match.start(), match.end()))

    def unread(self) -> list[str]:
        """The words that nobody took and that say something."""
        return [word for each in _WORD.finditer(self.text) for word in _telling(each[0])]


def _telling(word: str) -> list[str]:
    if word.isascii():
        return [] if word.replace("’", "'") in _FILLERS_EN else [word]
    return _EDGES_ZH.sub(" ", word).split()
