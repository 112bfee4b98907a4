"""What words say nothing new in a domain: those that carry its examples, those it declares, and the talk around them.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A wish
that no slot holds is made of words that are none of these. Function words and the talk of looking for something are
closed classes; which words carry wishes in a domain its own examples tell.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.completing.dictionary import nouns_in, verbs
from pagoda.dialogue.reading.follow_ups import is_small
from pagoda.dialogue.slots.people import without_people
from pagoda.nlu.understanding import OUT_OF_SCOPE

_LATIN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_GRAMS = (4, 3, 2)
# A word that one or two examples have is what they are about.
_LEAST_EXAMPLES = 3
_SLIP, _SLIP_OF_A_NAME = 0.86, 0.8
_TALK_EN = """
    able about across after against along among behind below beyond down up onto off over per toward towards
    afraid apologies apology all better craving sooner worse database direction hankering hard large match mine mood
    neither nor nowadays seat seated seating small titles unable
    about above accommodate accommodation acceptable actually add additional advise again ago ahead already alright also
    alternative alternatives although always amazing and any anyone anyway appreciate arrange around asap ask asking
    assist assistance available availability awesome back based because been before being believe below best between
    bit book booked booking both but bye call called case category certain certainly chance change check choice choose
    come coming confirm consider correct could couple course criteria currently decide definitely depends desired detail
    details did different dine dining direct done due during each early earlier either else enjoy enough even ever every
    exactly excellent except expecting extra fact fairly fancy far feel few finally find fine first fit following food
    found free from gave general get give given glad goes going gonna good got grab great group guess had hang happy
    hardly has have having hear heard hello help helpful here hey hi hmm hold hope hopefully how however hungry idea
    ideally important impress include included includes including info information inquire inquiry instead intend
    interested into issue item kind kinda know known last late later least leave less let level like list little live
    local locate located location long look looking lookup lot lots love lovely made make many matter may maybe meal
    mean means meant meet mention might mind moment moreover most move much must name named near need needed needing
    never next nice night nothing now number occasion off offer offered offering often okay once ones online only open
    option options order other others our out over own particular particularly party past perfect perhaps person
    phone pick place places plan planned planning plans please plus point possible possibly prefer preferably
    preference preferred previous price priced probably problem provide provided put question quick quickly quite range
    rather ready really reason recommend recommendation recommendations refer reference regarding related requested
    require required reservation reservations reserve reserved reserving result results right said same save say
    schedule scheduled search searching see seem seems selection send set several she should show similar simply since
    situated sometime somewhere soon sorry sort sound sounds specific specifically spend spot start starting starving
    stay staying still stop stuff such suggest suggestion suggestions suitable suit sure system take talk tell thank
    thanks that their them then there they thing things think this those though thought through time times today
    together tomorrow tonight too took total town travel traveling travelling trip trouble try trying turn type under
    understand unfortunately until unless update upon use using usual usually various very via visit visiting wait
    wanna want wanted wanting way welcome well were what whatever when where whether which while who will willing wish
    with within without wonder wondering work works worry would wow yeah year yes yet you your
    area part side section region neighborhood neighbourhood district city zone street vicinity
    pls plz thx ty gimme gonna lemme dunno btw tho ur whats hows wheres
    price-range budget cost costs cheap cheaper expensive dollars pounds rate rated rating ratings star stars
    people persons guests guest adult adults child children kids
    monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec morning afternoon evening midday noon midnight lunch dinner
    breakfast brunch supper lunchtime dinnertime am pm weekend week weeks month months day days hour hours
    minute minutes o'clock half quarter st nd rd th date
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand dozen zero once twice
    second third fourth fifth sixth seventh eighth ninth tenth
"""
_TALK_ZH = re.compile(
    "请问|谢谢|麻烦|帮忙|帮我|给我|告诉|知道|推荐|介绍|查询|安排|准备|打算|计划|希望|需要|最好|应该|可以|能够|顺便|然后"
    "|咨询|打听|联系|方式|方便|具体|详细|大概|接下来|最后|首先|另外|好的|收到|明白|了解|比较|非常|一定|必须|条件|符合|要求|合适|适合|服务|设施|提供|地方|位置"
    "|达到|满足|挑选|接受|好评|口福|建议|办法|时候|时间|今天|明天|后天|周末|晚上|中午|早上|下午|外地|本地|过来|出去|出来|游玩|结束|休息|吃饭|用餐|就餐|聚餐"
    "|住宿|入住|住下|路线|规划|价格|价位|消费|人均|评分|星级|左右|之间|以上|以下|附近|周边|周围|名字|名称|名叫|叫做|叫"
    "|最低|最高|不高|不低|不错|喜欢|实在|真是|太好了|谢了|求|哪家|哪个|哪些|什么|多少|怎么样|如何|这道菜|这个菜|道菜|美食|特色|好吃|尝尝"
    "|品尝|一家|一个|一间|一部|一下|一些|几个|有没有|是不是|我们|咱们|你们|他们|大家|自己|晚安|您好|你好|亲|哈喽"
)

# Beside a question, and no things; in a search they are wishes.
_CHAT_ZH = re.compile("实惠|划算|便宜|问问|打过去?|打电话|打个|拨过去?|看看|想想")


class Vocabulary:
    """The words that say nothing new. Made once from a domain; never changed."""

    def __init__(self, domain: Domain) -> None:
        words: Counter[str] = Counter()
        grams: Counter[str] = Counter()
        for carrier in _carriers(domain):
            words.update({word.lower() for word in _LATIN.findall(carrier)})
            grams.update({gram for run in _HAN.findall(carrier) for gram in _grams(run)})
        declared = "\n".join(_declared(domain))
        self._words = {word for word, count in words.items() if count >= _LEAST_EXAMPLES} | set(_TALK_EN.split())
        self._words |= {word.lower() for word in _LATIN.findall(declared)}
        self._grams = {gram for gram, count in grams.items() if count >= _LEAST_EXAMPLES}
        self._grams |= {gram for run in _HAN.findall(declared) for gram in {run, *_grams(run)}}
        self._names = {word for intent in domain.intents.values() for word in domain.called(intent) if len(word) > 4}
        self.is_known = lru_cache(4096)(self._is_known)

    def has_new(self, words: str) -> bool:
        """Whether Chinese words hold something new: two characters side by side that stand in no known word."""
        left = without_people(_TALK_ZH.sub("·", words), "·")
        for size in _GRAMS:
            for gram in {left[row : row + size] for row in range(len(left) - size + 1)} & self._grams:
                left = left.replace(gram, "·" * size)
        runs = (run for run in re.findall(r"[\u4e00-\u9fff]{2,}|[A-Za-z]{2,}", left))
        return any(not is_small(run) for run in runs)

    def has_new_thing(self, text: str) -> bool:
        """Whether a text names something new: an English word, a Chinese noun, or a verb that stands by itself."""
        if not all(self.is_known(word) for word in _LATIN.findall(text)):
            return True
        runs = _HAN.findall(_CHAT_ZH.sub("·", text))
        return any(self.has_new(word) for run in runs for word in (*nouns_in(run), *({run} & verbs())))

    def _is_known(self, word: str) -> bool:
        """Whether an English word, in some form or with a slip of the pen, says nothing new."""
        forms = set(_forms(word.lower().replace("’", "'").removesuffix("'s")))
        if forms & self._words or is_small(word) or not without_people(word.removesuffix("'s")).strip():
            return True
        is_slip = difflib.get_close_matches(word.lower(), self._names, 1, _SLIP_OF_A_NAME)
        return bool(is_slip) or (len(word) > 6 and bool(difflib.get_close_matches(word.lower(), self._words, 1, _SLIP)))


def _carriers(domain: Domain) -> Iterator[str]:
    """The domain's examples without the values in them."""
    for example in domain.examples():
        if example["intent"] != OUT_OF_SCOPE:
            text = example["text"]
            for slot in sorted(example["slots"], key=lambda slot: -slot["start"]):
                text = f"{text[: slot['start']]} · {text[slot['end'] :]}"
            yield text


def _declared(domain: Domain) -> Iterator[str]:
    """Words by which a domain calls what it looks for, its slots, what it tells and what it books."""
    for intent in domain.intents.values():
        yield from (*domain.called(intent), *intent.title.values())
        for column in intent.query.columns if intent.query else ():
            yield from (*column.title.values(), *(word for held in column.words.values() for word in held))
        if intent.booking is not None:
            yield from (word for held in intent.booking.words.values() for word in held)
    for slot in domain.slots.values():
        yield from (
            *slot.title.values(),
            *(word for held in (slot.words, slot.units) for w in held.values() for word in w),
        )


def _grams(run: str) -> Iterator[str]:
    yield from (run[row : row + size] for size in _GRAMS for row in range(len(run) - size + 1))


def _forms(word: str) -> Iterator[str]:
    """A word and what it may be a form of: "staying" of "stay", "priced" of "price", "what's" of "what"."""
    yield word
    yield word.split("'")[0]
    for ending in ("s", "es", "d", "ed", "ing"):
        if word.endswith(ending) and len(word) - len(ending) > 2:
            stem = word[: -len(ending)]
            yield from (stem, f"{stem}e", stem[:-1] if stem[-1:] == stem[-2:-1] else stem)
