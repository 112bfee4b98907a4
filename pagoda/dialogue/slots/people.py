"""How many people are meant: 一家三口, two adults and a baby, "my wife, myself and 4 others", 再加一个人.

Stands between *understanding* and *events* on the turn's path. A number counts people where a noun of people, or a word
that counts what the slot counts, stands beside it; numbers of hours, nights, tables and lists are none. Whoever speaks
is counted where they name themselves among the others. Of "six to eight" the more: a table too large is the smaller
mistake, and the confirmation reads it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pagoda.dialogue.slots.numbers import english_number, han_number
from pagoda.dialogue.slots.readings import NOTHING, ValueReading

_ONES = "one|two|three|four|five|six|seven|eight|nine"
_EN = (
    rf"(?:(?:twenty|thirty|forty|fifty)(?:[ -](?:{_ONES}))?|{_ONES}|ten|eleven|twelve|(?:thir|four|fif|six|seven"
    rf"|eigh|nine)teen)"
)
_ZH = r"[一二两俩仨三四五六七八九十百]{1,4}"
_NUM = rf"(?:\d{{1,4}}(?![\d:：.]\d)|{_ZH}|\b{_EN}\b)"
_NOUNS_EN = (
    r"peoples?|folks?|persons?|ppl|pax|peeps|guests?|adults?|grown-?ups?|kids?|child(?:ren)?|babies|baby|infants?"
    r"|toddlers?"
    r"|bab(?:y|ies)"
    r"|men|man|women|woman|boys?|girls?|friends?|colleagues?|co-?workers?|others?|siblings?|brothers?|bros?"
    r"|sisters?|cousins?"
    r"|members?|diners?|covers?|heads?|souls|ladies|gentlemen|guys|lads|mates|buddies|students?|teens?|teenagers?"
    r"|sons?"
    r"|daughters?|seniors?|humans|individuals|attendees|top|of us|of them"
)
_NOUNS_ZH = (
    r"人|大人|成人|成年人|小孩儿?|小朋友|孩子|儿童|娃|宝宝|朋友|同事|同学|女生|男生|女士|男士|老人|客人|客户|亲戚"
    r"|兄弟|姐妹|哥们儿?|闺蜜"
)
_TICKETS = r"tickets?|seats?|places?|spots?|passengers?|张|票|座"
_COUPLES = re.compile(rf"(?P<n>{_NUM})(?: \w+)? couples\b|(?P<n2>{_NUM})[对双](?:夫妻|夫妇|情侣)")
_DOZEN = re.compile(
    r"\b(?P<n>a|one|two|\d) ?dozens?(?P<half> and a half)?\b|\b(?P<h>half a dozen|half-dozen)\b"
    r"|(?P<zh>[一两二三])打(?P<zhalf>半)?|(?P<zh2>半打)"
)
_RANGE = re.compile(
    rf"(?P<low>{_NUM})(?:\s*(?:–|~|～|to|or|到|至|或者?)\s*|(?<=\d)\s*-\s*(?=\d))(?P<high>{_NUM})"
    rf"|(?<![一二三四五六七八九十])(?P<ab>[一二两三四五六七八][二三四五六七八九])(?=[个位人名口])"
)
_PAIR = re.compile(
    r"夫妻|夫妇|情侣|小?两口子?|俩口子|我俩|咱俩|俩人|\b(?:just )?(?:the|a|one|us as a|as a|young|old"
    r"|married)? ?couple\b(?! of)"
    r"|\bboth of us\b"
    r"|\bpair of us\b|\bus two\b(?=\s*(?:$|[,.!?]))"
)
_ALONE = re.compile(
    r"就我(?:自己|一个人?|一人)?(?=$|[，,。！!吧])|我自己(?!和)|自己一个|独自|单独|一个人|没(?:有)?别人|\b(?:just"
    r"|only) (?:for )?(?:me|myself)\b(?! and| plus"
    r"| with|,)"
    r"|\balone\b|\bsolo\b|\b(?:no one|nobody) else\b"
    r"|\b(?:by|for) myself\b(?!\s*(?:,|and|plus|with|my|&))|^\s*(?:myself|me)\s*[.!]?\s*$"
)
# Numbers of other things, blanked before people are counted.
_NO_PEOPLE = re.compile(
    r"第[一二两三四五六七八九十\d]+[个位人家]?|三三两两|四川|五道口|三里屯|十分钟?|一[起下些点定样直般会共边]"
    r"|[二三四五六七八九]姑娘"
    # A part of those who are counted already.
    rf"|(?:其中|里面|当中)(?:有|的)?(?:{_NUM})\s?[个位名口]?人?"
    rf"|(?:{_NUM}|半)\s?(?:点钟?半?|刻钟?|分钟?|小时|钟头|天|晚上?|夜|周|星期|礼拜|个(?:小时|钟头|月|星期|礼拜)|月"
    rf"|年|号|日|桌|间|家|楼|路|元|块|折|岁|星|米|公里)"
    rf"|\d{{1,4}}\s?(?:[ap]\.?m\b|[:：.]\d+|st\b|nd\b|rd\b|th\b|%|°)|[$￥¥€£]\s?\d+(?:\.\d+)?|#\s?\d+|\bno\. ?\d+"
    rf"|\bnot (?:for )?\d+(?: people)?|不是\s?(?:{_NUM})\s?[个位名口]?人?|一个(?=\s*[a-z])"
    # Nor whose birthday it is, and who does not come.
    r"|(?:是|给|为)?(?:我|他|她)?的?(?:老婆|老公|太太|先生|爱人|妻子|丈夫|[女男]朋友|爸爸?|妈妈?|儿子|女儿|孩子|宝宝|朋友|同事|[爷奶外]\S)"
    r"的?(?:\d+岁)?(?:生日|纪念日|寿宴|满月)"
    r"|\b(?:my|our|his|her|their|a) (?:\w+ )?\w+['’]s? (?:\w+ )?(?:birthday|anniversary|graduation|wedding|promotion)\b"
    r"|[^，。,；;]{1,8}(?:不来|来不了|不去|去不了)了?"
    r"|[^,.;]{1,30}\b(?:isn'?t|is not|aren'?t|can'?t|won'?t|cannot)\s(?:be )?(?:coming|come|make it|joining|join)\b"
    rf"|(?:{_NUM}) (?:o'?clock|nights?|days?|weeks?|months?|years?|hours?|hrs?|minutes?|mins?|tables?|rooms?|stars?"
    rf"|yuan|dollars?|bucks|times?"
    r"|courses?|miles?|blocks?|am\b|pm\b)\b"
    r"|\b(?:option|number|choice|room|floor|no\.|phone|extension)(?: number)? (?:is )?\d+"
    r"|-\s?\d+(?![\d-]*\s*(?:people|人|位|个))(?<![\d ]-\d)(?<!\d-\d\d)|\d+e\d+"
)
_PARTS = (
    r"(?! (?:\w+ )?(?:adults?|kids?|child|children|men|man|women|woman|boys?|girls?|friends?|grown|bab(?:y|ies)"
    r"|colleagues?"
    r"|siblings?|brothers?|sisters?|couples?|buddies|mates|others?|of (?:my|our|his|her))\b)"
)
_TOTAL = re.compile(
    rf"\b(?:party|group|table|family|team|reservation|booking|total|gathering|crowd|bunch)(?: \w+){{0,2}}? (?:size )?"
    rf"(?:of|for|is|to|:)\s*(?:just |only |about |around )?(?P<a>{_NUM})(?!\s?(?:o'?clock|[ap]\.?m|:)){_PARTS}"
    rf"|\b(?:number|amount) of (?:people|guests|persons|diners)(?: \w+){{0,4}}? (?:is|to|are|:)\s*(?P<g>{_NUM})"
    rf"|(?P<h>{_NUM}) is the (?:number|amount) of|\bparty size\b[\w', ]{{0,24}}? (?P<i>{_NUM})(?=$|[\s,.!])"
    rf"|\b(?:we are|we're|we'll be|we will be|us|all|all of|the)\s+(?:just |only )?(?P<k>{_NUM})(?=\s*(?:$|[,.!?·]"
    rf"|of use?\b"
    rf"|and we\b|are\b|and have\b|seated|now\b|please)){_PARTS}"
    rf"|(?P<l>{_NUM}) (?:are |is |will be )?(?:coming|attending|joining)\b"
    rf"|(?P<b>{_NUM})(?: \w+)? (?:of us|in total|in all|altogether|total)\b"
    rf"|一家(?P<c>{_NUM})口|(?P<d>{_NUM})口(?:之家|人)?|(?:哥儿|姐儿|哥|姐妹|兄弟|爷儿|娘儿|爷"
    rf"|娘)(?P<e>{_ZH})个?(?!人?和)"
    rf"|(?:我们|咱们?|咱|总共|一共|共|全部)是?有?(?P<f>{_NUM})(?:个|位|名)?人?(?![点号日月元块])"
)
_WHOM_EN = r"(?: (?:people|persons?|guests?|seats?|tickets?|friends?|adults?|kids?|child(?:ren)?))"
_MORE = re.compile(
    rf"(?:再|多|还|另外)(?:加|来|带|多|要|添)?(?P<zh>{_NUM})(?P<whom_zh>个人|位|人|张票?)"
    rf"|加(?:上)?(?P<zh2>{_NUM})(?P<whom_zh2>个人|位)$"
    rf"|(?:再|多)(?:加|来|带|要|添)?(?P<zh3>{_NUM})个?(?=$|[吧，。！])"
    rf"|^\s*(?:please |and |ok(?:ay)?,? )*(?:add|plus) (?:another )?(?P<en>{_NUM}"
    rf"|another)(?: more)?(?P<whom>{_WHOM_EN})?(?= please|\W*$)"
    rf"|\b(?P<en2>{_NUM}|another) (?:more|extra|additional)(?:(?P<whom2>{_WHOM_EN})\b|(?= please|\W*$))"
    rf"|\b(?P<whom3>another(?P<en3>{_WHOM_EN}))\b"
)
_LESS = re.compile(
    rf"(?:少|减(?:去|掉)?|去掉)(?:来)?(?P<zh>{_NUM})(?P<whom>个人|位|人|张票?)|(?:少|减(?:去"
    rf"|掉)?)(?:来)?(?P<zh2>{_NUM})个?(?=$|[吧，。！])"
    rf"|\b(?P<en>{_NUM}) (?:fewer|less)(?:(?P<whom2>{_WHOM_EN})\b|(?= please|\W*$))"
)
_PLUS = re.compile(rf"\b(?:me|myself|i)\s*(?:plus|\+|and)\s*(?P<n>{_NUM})(?=$|[\s,.!])")
_KIN_EN = (
    r"wife|husband|partner|spouse|girl ?friend|boy ?friend|gf|bf|fianc[eé]e?|mother|mum|mom|father|dad|brother"
    r"|sister|son|daughter"
    r"|friend|colleague|co-?worker|boss|client|child|kid|baby|infant|toddler|aunt|uncle|cousin|nephew|niece"
    r"|neighbou?r|room-?mate|flat-?mate"
    r"|mate|buddy|grandma|grandpa|gran(?:ny)?|nan(?:a|ny)?|grandad|granddad|grandmother|grandfather|guest"
    r"|assistant|man|woman|lady|person|adult"
)
_ONE_EN = re.compile(
    rf"\b(?:my|our|his|her|their|a|an|one|the|another)(?: (?!and\b|or\b)\w+)? (?:{_KIN_EN})(?:-in-law)?\b(?! of)"
    rf"|(?:(?<=, )|(?<=and )|(?<=· ))(?:{_KIN_EN})\b"
)
_TWO_EN = re.compile(
    r"\b(?:(?:my|our|his|her|their|the|both|of) )*(?:grand)?parents\b|\b(?:the |my |our )?twins\b|\bin-laws\b"
)
_SELF_EN = re.compile(
    r"\b(?:me|myself)\s*(?:,|and\b|plus\b|with\b|\+|&)|(?:,|\band|\bplus|&|\+)\s*(?:me|myself)\b|\bi (?:and|plus"
    r"|with)\b"
    r"|\bi(?:'m| am|'ll be| will be)?(?: (?:coming|bringing|going|dining|eating|here|there))* with\b|\bjoining me\b"
    r"|\bi'm bringing\b"
)
# "My wife and I"; of "4 people and I want a window" the speaker is one.
_AND_I = re.compile(
    rf"\b(?:{_KIN_EN}|parents|friends|buddies|mates|kids|children|siblings|brothers|sisters|sons|daughters"
    rf"|colleagues|others"
    r"|boys|girls)\s*,?\s*(?:and|&) i\b"
)
_KIN_ZH = (
    r"老婆|老公|太太|先生|媳妇儿?|爱人|妻子|丈夫|女朋友|男朋友|女友|男友|对象|老妈|老爸|妈妈|爸爸|妈|爸|母亲|父亲"
    r"|儿子|女儿|闺女|哥哥|弟弟|姐姐|妹妹|哥|弟|姐|妹"
    r"|爷爷|奶奶|外公|外婆|姥姥|姥爷|岳父|岳母|公公|婆婆|闺蜜|室友|小孩|孩子|宝宝|朋友|同事|同学|老板|客户"
    r"|表[哥弟姐妹]|他|她"
)
_ONE_ZH = re.compile(rf"(?:我的?|一个|个|[他她]的?(?=(?:{_KIN_ZH})))?(?:{_KIN_ZH})(?!们)")
_TWO_ZH = re.compile(r"(?:我)?(?:爸妈|父母|爹妈|双亲|公婆)")
_SELF_ZH = re.compile(
    rf"(?:我|咱|我自己|本人)(?:和|跟|与|同|带着?|加上?|、|，|还有|(?=(?:{_KIN_ZH})[和、还]))|(?:和|跟|与|、|还有"
    rf"|加上?)(?:我|我自己"
    rf"|本人)(?!的?(?:{_KIN_ZH}))"
)
_VAGUE = re.compile(
    r"\b(?:several|a few|few|some|many|lots of|a lot of|a bunch of)(?: (?:people|friends|guests|others|kids|of us"
    r"|more))?\b|[好]?几(?:个|位|口)人?|十几[个位]|若干|一群|一帮|一大家子?"
)
_UNTOLD = re.compile(
    r"\b(?:and|with|plus|,) (?:the|my|our|some|her|his) (?:kids|children|friends|colleagues|family|siblings"
    r"|brothers|sisters|sons|daughters|cousins)\b"
)
_FILLERS = (
    r"(?:at|on|for|please|now|i|and|thanks?|thank|tomorrow|today|tonight|in|this|next|it|is|that|will|would|if|but"
    r"|of|the|around|should|maybe|then"
    r"|instead|only|max|altogether|ppl|guess|think|suppose|plus|are|mon|tues|wednes|thurs|fri|satur|sun|sir|mate|ok"
    r"|okay)"
)
_BARE = re.compile(
    rf"(?<![\d.:/$￥¥€£#\w-])(?P<n>\d{{1,4}}|\b{_EN}\b)(?!\s?[:：.\-/%]\s?\d)(?=\s*(?:$|[,.!?;，。！？；、)]"
    rf"|{_FILLERS}))"
    rf"|(?<![一-鿿])(?P<zh>{_ZH})(?=$|[，。！？吧啊呀呢哦了\s])|(?<=[是就共有要订定约来到成为])(?P<zh2>{_ZH})(?=$"
    rf"|[，。！？吧啊呀呢哦了\s])"
    rf"|(?P<num>(?:\d{{1,4}}|{_ZH}))(?=\s?(?:个|位|名)(?:吧|呢|啊|的)?(?:$|[，。！？\s]))"
    rf"|(?P<digits>\d{{1,4}})(?=(?:吧|呢|啊|呀"
    rf"|哦)?(?:$|[，。！？]))"
)
_ROMAN = dict(zip("ⅰⅱⅲⅳⅴⅵⅶⅷⅸ", "123456789", strict=True))
_SENTENCE_ENDS = re.compile(r"[.!?](?=\s)|[。！？]")


@dataclass
class _Tally:
    """People counted so far; text: what is left; spans: what was counted, by characters."""

    text: str
    total: int = 0
    is_alone: bool = False
    others: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)

    def take(self, pattern: re.Pattern[str], *, silently: bool = False) -> Iterator[re.Match[str]]:
        """Each match, blanked; silently: it is no piece of the count."""
        place = 0
        while (match := pattern.search(self.text, place)) is not None and match.end() > match.start():
            self.text = self.text[: match.start()] + "·" * len(match[0]) + self.text[match.end() :]
            place = match.end()
            if not silently:
                self.spans.append((match.start(), match.end()))
            yield match


@dataclass(frozen=True)
class People:
    """A count found in a sentence. start, end: its characters; reading: what it says."""

    reading: ValueReading
    start: int
    end: int


def read_people(text: str, previous: int | None = None, nouns: Iterable[str] = ()) -> ValueReading:
    """How many people a folded text means; NOTHING where it counts none.

    previous: the number before, which "one more" adds to; nouns: others than people that the slot counts

    >>> [read_people(words).value for words in ("我和我老婆还有俩孩子", "my wife, myself and 4 others", "四川人三个")]
    [4, 6, 3]
    """
    found = find_people(text, previous, nouns, is_asked=True)
    return found.reading if found is not None else NOTHING


def find_people(
    text: str, previous: int | None = None, nouns: Iterable[str] = (), *, is_asked: bool = False
) -> People | None:
    """The count in the first sentence that has one, None where none has.

    is_asked: a bare number is one, as in the answer to "how many?"
    """
    plain = text.lower() if len(text.lower()) == len(text) else text
    plain = "".join(_ROMAN.get(char, char) for char in plain)
    noun, start = _nouns(tuple(nouns)), 0
    for end in [*(match.end() for match in _SENTENCE_ENDS.finditer(plain)), len(plain)]:
        sentence = " " * start + plain[start:end]
        found = _in_sentence(_Tally(sentence), previous, noun, is_asked=is_asked)
        if found is not None:
            return found
        start = end
    return None


def _in_sentence(tally: _Tally, previous: int | None, noun: re.Pattern[str] | None, *, is_asked: bool) -> People | None:
    if (change := _changed(tally, previous, is_asked=is_asked)) is not None:
        return _people(tally, change)
    tally.total = sum(_number(match["n"] or match["n2"]) or 0 for match in tally.take(noun)) if noun else 0
    for pattern in (_BEFORE_CHANGE, _NO_PEOPLE):
        for _ in tally.take(pattern, silently=True):
            pass
    if len({match["n"] or match["n2"] for match in _GENERIC.finditer(tally.text)}) > 1:
        return _people_at(tally, _GENERIC, ValueReading(why="ambiguous"))
    number = _counted(tally)
    if is_asked:
        # "One, just me" says it twice.
        number = _bare(tally) if number is None else number if tally.is_alone else number + _leading(tally)
    untold = next(tally.take(_UNTOLD if number is not None else _VAGUE), None)
    if untold is not None and not tally.total:
        return _people(tally, ValueReading(why="partial", leftover=untold[0].strip(" ,"), instead=number))
    return _people(tally, ValueReading(number)) if number is not None else None


def _people_at(tally: _Tally, pattern: re.Pattern[str], reading: ValueReading) -> People:
    for _ in tally.take(pattern):
        pass
    return _people(tally, reading)


def _people(tally: _Tally, reading: ValueReading) -> People:
    starts, ends = zip(*tally.spans, strict=True)
    return People(reading, min(starts), max(ends))


def _changed(tally: _Tally, previous: int | None, *, is_asked: bool) -> ValueReading | None:
    """One more, one fewer; without a number before, nobody knows of what, and only of people it is meant for sure."""
    for pattern, sign in ((_MORE, 1), (_LESS, -1)):
        match = pattern.search(tally.text)
        # "Four and one more" is a sum, and needs no number before.
        if match is None or re.search(_NUM, tally.text[: match.start()] + tally.text[match.end() :]) is not None:
            continue
        groups = match.groupdict()
        if previous is None and not is_asked and not any(groups[name] for name in groups if name.startswith("whom")):
            continue
        word = next((groups[name] for name in groups if not name.startswith("whom") and groups[name]), "")
        tally.spans.append((match.start(), match.end()))
        return (
            ValueReading(previous + sign * (_number(word) or 1))
            if previous is not None
            else ValueReading(why="ambiguous")
        )
    return None


def _counted(tally: _Tally) -> int | None:
    """What the words add up to; a total that is told counts instead of its parts."""
    and_i = _AND_I.search(tally.text)
    if and_i is not None:
        tally.spans.append((and_i.end() - 1, and_i.end()))
    dozens = sum(_dozens(match) for match in tally.take(_DOZEN))
    for match in list(tally.take(_RANGE)):
        high = _number(match["high"] or "") if match["high"] else _number(match["ab"][1])
        tally.total = max(tally.total, high or 0)
    couples = sum(2 * (_number(match["n"] or match["n2"]) or 0) for match in tally.take(_COUPLES))
    totals = [_number(next(group for group in match.groups() if group)) or 0 for match in tally.take(_TOTAL)]
    tally.total = max([tally.total, *totals])
    tally.others = dozens + couples + sum(_number(match["n"] or match["n2"]) or 1 for match in tally.take(_PEOPLE))
    tally.others += sum((_number(match["n"]) or 0) + 1 for match in tally.take(_PLUS))
    tally.others += 2 * len([*tally.take(_TWO_EN), *tally.take(_TWO_ZH), *tally.take(_PAIR)])
    alone = len([*tally.take(_ALONE)])
    tally.is_alone = alone > 0 and not tally.total and tally.others <= 1
    if tally.is_alone:
        return 1
    selves = len([*tally.take(_SELF_EN), *tally.take(_SELF_ZH)][:1]) or int(and_i is not None)
    tally.others += (
        len([*tally.take(_ONE_EN), *tally.take(_ONE_ZH)])
        if tally.others or selves or _is_kin_alone(tally.text) or _ADDED.search(tally.text)
        else 0
    )
    if tally.total:
        return tally.total + (tally.others if _ADDED.search(tally.text) else 0)
    if tally.others:
        return tally.others + (1 if selves else 0)
    return None


_ADDED = re.compile(r"\bplus\b|\bas well as\b|\band (?=·+\s*$)|再加|外加|加上|还有|(?<=·)(?:和|跟|与|带上?)(?=·)")
_KIN = re.compile(
    rf"\b(?:{_KIN_EN})\b.*\b(?:and|,|plus)\b.*\b(?:{_KIN_EN})\b|(?:{_KIN_ZH})[和跟、]|[和跟、](?:我)?(?:{_KIN_ZH})"
)


def _is_kin_alone(text: str) -> bool:
    """Several persons that are named without a number: "my friend and her boyfriend"."""
    return _KIN.search(text) is not None


def _leading(tally: _Tally) -> int:
    """The two of "two and a baby"."""
    match = _LEAD.match(tally.text)
    if match is None:
        return 0
    tally.spans.append((match.start("n"), match.end("n")))
    return _number(match["n"]) or 0


def _bare(tally: _Tally) -> int | None:
    """A number that nothing says is one of anything else; None where there are several."""
    found = list(_BARE.finditer(tally.text))
    if len({match[0] for match in found}) != 1:
        return None
    number = _number(found[0][0])
    if number is not None:
        tally.spans.append((found[0].start(), found[0].end()))
    return number


def _dozens(match: re.Match[str]) -> int:
    if match["h"] or match["zh2"]:
        return 6
    number = {"a": 1, "one": 1, "two": 2}.get(match["n"] or "") or _number(match["n"] or match["zh"]) or 0
    return 12 * number + (6 if match["half"] or match["zhalf"] else 0)


def _number(word: str) -> int | None:
    word = word.strip()
    if word.isascii() and word.isdigit():
        return int(word)
    value = english_number(word) if re.fullmatch(_EN, word) else han_number(word) if re.fullmatch(_ZH, word) else None
    return int(value) if value is not None and value == int(value) else None


def _nouns(more: tuple[str, ...]) -> re.Pattern[str] | None:
    """A number with a word that this slot counts by, None where it has none."""
    if not more:
        return None
    latin = "|".join(re.escape(noun.lower()) for noun in more if noun.isascii()) or "(?!)"
    other = "|".join(re.escape(noun) for noun in more if not noun.isascii()) or "(?!)"
    return re.compile(
        rf"(?<![\d.:/$￥¥€£#-])(?P<n>\d{{1,4}}|\b{_EN}\b) (?:\w+ )?(?:{latin})(?![a-z])"
        rf"|(?<![第\d.:：])(?P<n2>\d{{1,4}}|{_ZH})\s?(?:{other})"
    )


# A number with a noun, at most two words between: "5 of my friends", 三个大人.
_PEOPLE = re.compile(
    rf"(?<![\d.:/$￥¥€£#-])(?P<n>\d{{1,4}}|\b{_EN}\b|\ba(?= (?:single|baby|child|kid|toddler)\b))[ -]?"
    rf"(?:(?:of (?:my|our|his|her) |\w+ )?(?:{_NOUNS_EN}|{_TICKETS}))(?![a-z])(?:个人)?"
    rf"|(?<![第\d.:：])(?P<n2>\d{{1,4}}|{_ZH})\s?(?:(?:个|位|名|口|来个|多个)(?:{_NOUNS_ZH})?(?!月|小时|钟|星期|礼拜)"
    rf"|(?:{_NOUNS_ZH}|大(?!厦|学|堂|道|床)|小(?!时|店|馆)|张|票|座))"
)
# Told twice with different numbers, one of them is not meant.
_GENERIC = re.compile(rf"\b(?P<n>\d{{1,4}}|{_EN}) (?:people|persons|ppl)\b|(?P<n2>\d{{1,4}}|{_ZH})(?:个人|位)")
_LEAD = re.compile(rf"^\W*(?:for |it's |just |we're |we are )*(?P<n>{_NUM})\s*(?:and|plus|\+|,)\s*·")
_BEFORE_CHANGE = re.compile(
    rf"\bfrom {_NUM}(?: (?:people|persons?|guests?|of us))? to\b|\b(?:instead of|rather than) {_NUM}(?: (?:people"
    rf"|persons?|guests?))?"
)


_WHO = re.compile(
    rf"\b(?:{_NOUNS_EN}|(?:{_KIN_EN})s?|parents|family|families|group|party|couples?|twins|in-laws)\b"
    rf"|{_KIN_ZH}|{_NOUNS_ZH}|爸妈|父母|爹妈|双亲|公婆|家人|一家人?|全家",
    re.IGNORECASE,
)


def without_people(text: str, instead: str = " ") -> str:
    """The text without the words for people.

    >>> without_people("带妈妈和同事", "·"), without_people("my wife and kids")
    ('带·和·', 'my   and  ')
    """
    return _WHO.sub(instead, text)
