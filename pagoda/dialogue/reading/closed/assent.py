"""Whether a sentence is a yes and nothing else: the only thing upon which something irreversible is done.

First station of a turn, beside `acts`: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows ->
reply. A trained reader is right most of the time, which is not enough to write a booking on. So this is a closed
grammar of both languages, and what it does not take whole is no yes: a question, a condition, a doubt or a change is
always a remainder. Explicit verification before what cannot be undone: Larsson 2002, "Issue-based Dialogue
Management", and McTear 2020, "Conversational AI".

A sentence falls into clauses, a clause into stretches of one script, a stretch into units. A unit is an answer ("yes",
"that is correct", 就这样), an order to do it ("please book it", 帮我订吧), or what may go with one: thanks, praise.
Every unit must be known, and one of them must be an answer or an order. Praise with thanks alone ("great, thanks") is
how people end a conversation, not how they agree; "that is great, thanks" speaks of what was read out, and agrees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from pagoda.dialogue.slots.said import folded

MAX_LENGTH = 200
"""Nobody needs more characters to say yes."""
_AGREEING = "👍👌✅🆗💯☑✔🙆🫡"
_FRIENDLY = (
    "😊🙂😀😁😄😃😆😉😍🥰🤗🙏❤💕🎉👏✨🌹😋😎☺😌🤝💪♂♀\ufe0f\u200d\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
)
_HESITATION = re.compile(r"…|\.{2,}|。{2,}|——|--")
_CLAUSE = re.compile(r"([^.!?;,\n-]+)([.!?;,\n-]*)")
_STRETCH = re.compile(r"[a-z'][a-z' ]*|[^\sa-z']+")
_TRADITIONAL, _SIMPLE = (
    "對沒確認訂預謝個這樣嗎題問錯單無誤麼當給幫請煩辦約們說時間點",
    "对没确认订预谢个这样吗题问错单无误么当给帮请烦办约们说时间点",
)
_PLAIN = str.maketrans(
    _TRADITIONAL + '。、；：·~～’‘“”"「」《》()（）', _SIMPLE + ".,;,,  ''" + " " * (len('“”"「」《》()（）'))
)
_CONTRACTIONS = (
    (re.compile(r"\b(that|it|this|what|everything|all|here|there) ?'?s\b"), r"\1 is"),
    (re.compile(r"\blet ?'?s\b"), "let us"),
    (re.compile(r"\bi ?'?m\b"), "i am"),
    (re.compile(r" ?'d\b"), " would"),
    (re.compile(r" ?'ll\b"), " will"),
    (re.compile(r" ?'ve\b"), " have"),
    (re.compile(r" ?'re\b"), " are"),
)

# English

_PRAISE_EN = (
    "great|good|nice|excellent|wonderful|lovely|awesome|fantastic|amazing|brilliant|delightful|super|superb|cool|"
    "splendid|terrific|sweet|marvell?ous|beautiful|outstanding|incredible|fabulous|per+fect|ideal|neat"
)
_GOOD = (
    rf"{_PRAISE_EN}|right|correct|fine|ok|okay|alright|all right|accurate|true|confirmed|acceptable|spot on|"
    "on point|flawless|the one|good to go|a (?:definite |clear )?yes|a go|"
    "a (?:good|great|perfect|wonderful|nice) (?:choice|idea|plan|option|deal)"
)
_HOW = (
    "(?:all|just|absolutely|very|really|so|pretty|quite|totally|exactly|perfectly|completely|entirely|definitely|about)"
)
_FOR = "(?:(?:for|to|with|by) (?:me|us))"
_PRIME_EN = (
    "y|ye+s+|ye+a+h*|ye+p+|yu+p+|yah?|aye|uh huh|mm ?hmm|mhm|sure(?: thing)?|surely|of course|"
    "right(?: on| you are)?(?! now| after| before| next| away)|correct|exactly|precisely|absolutely|"
    "definitely|certainly|indeed|very much so|on point|spot on|affirmative|"
    "agreed|confirm(?:ed)?|totally|for sure|you bet|by all means|deal|"
    "true|approved|roger(?: that)?|naturally|(?:absolutely )?perfect(?:ly)?|no (?:problems?|worries)(?: at all)?|"
    "ye|confirming (?:it|this|that)"
)
# Also said to what was only heard: no yes where the conversation is ended with it.
_WEAK_EN = "o+k+(?:ay+|ey|ie)?|okey dokey|k|alrighty?|all right|very well|fine"
_ABOUT = (
    "(?:all(?: of)? (?:it|that|this|(?:the|those|these) (?:details|information))|"
    "(?:the|that|this|those|these|my) (?:{things}|details|information|time|date|day)(?: all)?|"
    "that all|it all|that|it|this|everything|all|they|those|these|details|the (?:whole )?(?:thing|booking))"
)
_IT = (
    "(?:(?:(?:the|that|this|my|our) )?(?:{things})|(?:this|that|the) one|all of (?:it|that|them)|"
    "all (?:that|this)|it|that|this|them|those|these|everything|so|the same)"
)
_TO_DO = " to (?:proceed|continue|go ahead|book|reserve)(?: further)?(?: with (?:the |my )?(?:{things})(?: process)?)?"
_ANSWER_EN = (
    rf"(?:{_ABOUT} (?:all )?(?:is|are|was|(?:will|would|should) be|looks?|sounds?|seems?)"
    "|sounds?|looks?|seems|is|all|(?:would|will) be)"
    rf"(?: {_HOW})*(?: (?:{_GOOD}))(?: {_FOR})?(?:{_TO_DO})?",
    rf"confirmed{_TO_DO}",
    rf"(?:{_ABOUT} )?(?:(?:works|checks) out|should do it|works|(?:will|would|should) (?:work|do)"
    "|(?:would |will )?suits?|fits)"
    rf"(?: me| us)?(?: too)?(?: (?:just )?(?:great|well|fine|perfectly|nicely|perfect|good))?(?: {_FOR})?",
    rf"(?:ok|okay|fine|good|great|alright) {_FOR}",
    rf"i am (?:{_HOW} )*(?:happy|good|ok|okay|fine|satisfied|pleased) with {_IT}",
    rf"you (?:have |are |did )?(?:got(?:ten)? |get |have |understood )?(?:it |that |everything )?(?:all )?(?:{_HOW} )*"
    "(?:right|correct|correctly)|you (?:have )?(?:got|nailed) it(?: again)?",
    rf"{_ABOUT} is the (?:right|correct) (?:one|details?|information|booking|date|time|day|number|{{things}})",
    "(?:(?:it|that|this) (?:is|does)|they are)(?! all| everything)",
    rf"i (?:do |can |hereby |would like to |want to )?(?:confirm|agree|approve|accept)(?: {_IT})?",
    "i (?:want|need|would like) (?:exactly )?(?:the same|exactly that|that exactly)",
    rf"i (?:would (?:love|like) {_IT}(?: very much| a lot)?|(?:will|would) (?:take|have|go with) {_IT})",
)
_VERBS = "book|reserve|confirm|make|do|get|schedule|order|place|complete|finali[sz]e|submit|secure|arrange|buy|process"
_ASKED = (
    "(?:(?:please|just|kindly|so|then|now|and|let us|help me(?: to)?|"
    "i (?:want|need|would (?:like|love))(?: for)?(?: you)? to|"
    "we (?:want|would like) to|you (?:can|may|should)|i am ready to|feel free to) )*"
)
_AFTER = f"(?: (?:{_FOR}|right now|now|right away|please|then|asap|immediately|at once|as (?:it )?is|too))*"
_DO = (
    f"(?:(?:proceed|continue|go ahead) with {_IT}|go ahead(?: (?:and|with))?(?: please)?|go on(?: with {_IT})?|"
    f"proceed(?: further)?|continue|set {_IT} up|go (?:for|with) {_IT}|"
    rf"(?:(?:go ahead(?: and)?|proceed(?: to| with)?|continue(?: with)?|go on and) )?"
    rf"(?:(?:{_VERBS})(?: (?:me|us))? {_IT}|book|buy|reserve|confirm|do|proceed|{_IT}))"
)
_ORDER_EN = rf"{_ASKED}(?!{_IT}(?: |$)){_DO}{_AFTER}"
_WANTED_EN = (
    "it|(?:exactly |just )?what i (?:(?:want|would like)(?: you)? to (?:do|reserve|book)|wanted|want|needed|need|said"
    "|meant|asked for|would like)"
)
# "Make a reservation" alone may be a new wish.
_ORDER_OF_ANY_EN = rf"{_ASKED}(?:{_VERBS})(?: (?:me|us))? (?:a|an|one|some) (?:{{things}}){_AFTER}"
_PRAISED_EN = rf"(?!per+fect)(?:{_PRAISE_EN})|(?:that|it|this) (?:is|was|would be) (?:{_HOW} )*(?:{_WANTED_EN})"
_POLITE_EN = (
    rf"(?:please )?(?:can|could|would|will) you(?: please)? (?:go ahead and )?(?:{_VERBS})(?: (?:me|us))? {_IT}{_AFTER}"
)
_THANKS_EN = (
    "(?:many |much )?(?:thank y(?:ou|a)|thank u|thanks?|thx|tks|ty|cheers)"
    "(?: (?:so|very) much| a lot| a million| kindly| again)*"
    "(?: for (?:this|that|everything|it))?|much appreciated"
    r"|(?:i )?(?:really )?appreciate (?:it|(?:all )?(?:your|the) \w+)"
)
_CLOSING_EN = (
    "for (?:all (?:of )?)?(?:your|the) (?:(?:kind|great) )?(?:help|assistance|time)"
    "|(?:that is|this is|it is|that will be) (?:all|everything)"
    "(?: (?:for now|today|thanks|i (?:need|needed|want|wanted)))*|nothing else|no more questions|"
    "(?:good ?)?bye(?: bye)?|"
    "(?:have|enjoy) (?:a|your) (?:good|great|nice|lovely) (?:day|one|evening|time|rest)"
)
# No yes, whatever stands beside it.
_LATER_EN = "not (?:now|right now|today|yet)|no thanks?|no thank you"
_NUMBER_EN = (
    "(?:(?:and|then|please|also) )*"
    "(?:(?:i (?:will |would |also )*(?:need|like|want|have)|(?:give|send|get|tell|provide))(?: (?:me|us))?(?: with)? )?"
    "(?:the|my|a|our) (?:reference|confirmation|ref|booking) (?:number|code|id)(?: too| as well)?"
)
_BESIDE_EN = (
    rf"{_NUMBER_EN}|please|pl[sz]|plese|pleas|oh|ah|then|now|and|so|just|no issues?|"
    "sir|madam|ma'?am|mate|man|dear|buddy|bro|(?:my )?friend|"
    "i (?:do|am|would|will)|we (?:do|are|would)|(?:as )?i (?:already |just )?(?:said|told you)|again|"
    rf"(?:that|it|this) (?:{_GOOD})|{_FOR}|{_HOW}|(?:the|that|this|my) (?:{{things}})"
)

# Chinese

_AFTER_ZH = "[的呀啊哦噢喔嘞咧哈哒滴呢哪哟呦啦咯喽诶耶]"
_ANSWER_ZH = (
    "(?:请|我|我们)?(?:确认|确定|同意|赞成|没意见|没异议)(?:无误|了|订|预订|下单|这个|这家|没错|没问题|{things})*[的啊呀哦哈啦]*",
    rf"(?:是这[样个家]|是|对|可以了|可以(?!吧)|可(?![以能是否不惜怜爱])|成了?|妥了?|没错|没有?问题|没毛病|当然(?:可以|行|好)了?|当然|正确|无误|必须|要得|要|ok){_AFTER_ZH}*",
    "(?!都(?:可以|行|好|成|ok))(?:信息|内容|这些|上面|以上|时间|人数|地点|日期|都|全部|全|完全|一切|这样|这个|这家|就|也)+"
    rf"(?:都|也|是|很|完全|全)*(?:对|正确|没错|无误|没有?问题|可以了?|行|准确|合适|ok){_AFTER_ZH}*",
    "那?(?:就|按|照)(?:要|选|定|订|按|照|是)?(?:这|它|那(?!样)|您说|你说|上面|以上|刚才)(?:一)?[个家间部场样么里趟位些]?(?:时间)?"
    "(?:来|办|定|订|弄|安排|预订|走|做|说|行|可以|好了|吧|了|的|啊|啦)*",
)
_WEAK_ZH = rf"(?:好|行|可以)吧|也(?:行|好|可以|成){_AFTER_ZH}*|(?:嗯|恩|好|行){_AFTER_ZH}*"
_VERBS_ZH = "预订|预定|预约|下单|安排|提交|办理|保留|订|定|约|办|留"
_ASKED_ZH = (
    "(?:请|麻烦(?:您|你)?|劳烦(?:您|你)?|烦请|帮忙|帮|给|替|我们|我|那就|那|就|可以|直接|现在|马上|赶紧|快|要|"
    "需要|想|先)*"
)
_DONE_ZH = "一下|下|上|好了|好|了|吧|它|这一?[个家间桌单]|那一?[个家间桌单]|的|啊|呀|哈|啦|呗"
_ORDER_ZH = rf"{_ASKED_ZH}(?:{_VERBS_ZH}|确认)(?:{_DONE_ZH})*"
# "I want to book a table" alone may be a new wish.
_ANY_ZH = "[座位桌单个]|{things}"
_ORDER_OF_ANY_ZH = rf"{_ASKED_ZH}(?:{_VERBS_ZH})(?:{_DONE_ZH})*(?:{_ANY_ZH})(?:{_DONE_ZH}|{_ANY_ZH})*"
_POLITE_ZH = (
    rf"(?:可以|能|可否|能否|能不能)?(?:请|麻烦)?(?:您|你)?帮(?:我|我们|忙)(?:{_VERBS_ZH}|确认)(?:一下|下|好|上)*[吗么]"
)
_THANKS_ZH = (
    "(?:非常|十分|太|真是|实在|真的|真|很)*(?:谢谢|感谢|多谢|谢|辛苦|麻烦|拜托|劳驾)"
    "(?:了|你们|您们|你|您|啊|啦|哈|呀|咯|哦)*"
)
_CLOSING_ZH = (
    "的?(?:帮助|帮忙|推荐|服务)(?:了|啊|啦|哦)*"
    "|(?:我|现在|目前|暂时)*没有?(?:任何|什么|别的|其[他它]的?)*(?:问题|要求|需要|事)?了|就这些|再见|拜拜|88+6?"
)
_PRAISE_ZH = "(?:很好|非常好|太好了|真好|挺好的?|不错|太棒了|真棒|棒|完美)[的啊呀哈]*"
_BESIDE_ZH = "知道了|明白了?|收到了?|了解了?|清楚了|您好|你好|亲|老板|哈+|嘿+|嘻+|嗯|哦|噢|喔|啊|呀|那|就|请|的"


def is_yes(text: str, things: Iterable[str] = ()) -> bool:
    """Whether the whole sentence means yes. things: words for what is agreed upon, such as "table", "booking".

    >>> is_yes("好的，就这样，谢谢！"), is_yes("Yes, that's right. Please book it."), is_yes("👌")
    (True, True, True)
    >>> is_yes("yes but at 8"), is_yes("可以改时间吗"), is_yes("嗯……"), is_yes("great, thank you")
    (False, False, False, False)
    """
    if len(text) > MAX_LENGTH or _HESITATION.search(text):
        return False
    grammar = _grammar(tuple(sorted({folded(thing).lower() for thing in things})))
    agreed = any(sign in text for sign in _AGREEING)
    clauses = list(_clauses(text))
    kinds = [kind for clause, is_asked in clauses for kind in grammar.kinds(clause, is_question=is_asked)]
    is_left_alone = "?" in folded(text) and not any(is_asked for _, is_asked in clauses)
    if not {"", "later"}.isdisjoint(kinds) or is_left_alone:
        return False
    # "Okay" and "great" agree, "okay, that is all" and "great, thank you" say goodbye.
    if "closing" in kinds:
        return kinds[0] == "yes"
    return agreed or "yes" in kinds or "weak" in kinds or ("praised" in kinds and "thanks" not in kinds)


def is_goodbye(text: str) -> bool:
    """Whether the whole sentence only thanks, praises or ends the conversation.

    >>> is_goodbye("好。我现在没有任何问题了。"), is_goodbye("Not now. I appreciate your efforts.")
    (True, True)
    >>> is_goodbye("thanks, and tea"), is_goodbye("yes")
    (False, False)
    """
    if len(text) > MAX_LENGTH:
        return False
    kinds = [kind for clause, asked in _clauses(text) for kind in _grammar(()).kinds(clause, is_question=asked)]
    return "" not in kinds and not {"thanks", "closing"}.isdisjoint(kinds)


class _Grammar:
    """The units of both languages, with the domain's words for what is agreed upon."""

    def __init__(self, things: Sequence[str]) -> None:
        named = "|".join(re.escape(thing) for thing in (*_THINGS, *things))
        answers_zh = [answer.replace("{things}", named) for answer in (_ORDER_ZH, *_ANSWER_ZH)]
        answers_en = [answer.replace("{things}", named) for answer in (*_ANSWER_EN, _ORDER_EN)]
        self._latin = _units(
            {
                "praised": _PRAISED_EN,
                "order_of_any": _ORDER_OF_ANY_EN.replace("{things}", named),
                "yes": "|".join([*answers_en, _PRIME_EN]),
                "polite": _POLITE_EN.replace("{things}", named),
                "weak": _WEAK_EN,
                "later": _LATER_EN,
                "closing": _CLOSING_EN,
                "thanks": _THANKS_EN,
                "beside": _BESIDE_EN.replace("{things}", named),
            },
            end="(?: +|$)",
        )
        self._han = _units(
            {
                "closing": _CLOSING_ZH,
                "thanks": _THANKS_ZH,
                "praised": "完美[的啊呀]*",
                "polite": _POLITE_ZH,
                "order_of_any": _ORDER_OF_ANY_ZH.replace("{things}", named),
                "yes": "|".join(answers_zh),
                "weak": _WEAK_ZH,
                "beside": f"{_PRAISE_ZH}|{_BESIDE_ZH}",
            },
            end="",
        )

    def kinds(self, clause: str, *, is_question: bool) -> Iterator[str]:
        """The kind of each unit of a clause; "" for what is none, and for a question that is no polite order."""
        found = [kind for stretch in _STRETCH.findall(clause) for kind in self._stretch(stretch.strip())]
        if is_question and "polite" not in found:
            yield ""
        yield from found

    def _stretch(self, stretch: str) -> Iterator[str]:
        pattern, place = self._latin if stretch[0].isascii() else self._han, 0
        while place < len(stretch):
            unit = pattern.match(stretch, place)
            if unit is None or unit.end() == place:
                yield ""
                return
            yield unit.lastgroup or ""
            place = unit.end()


_THINGS = ("booking", "reservation", "order", "appointment", "request", "arrangement", "process")


@lru_cache(16)
def _grammar(things: tuple[str, ...]) -> _Grammar:
    return _Grammar(things)


def _units(kinds: dict[str, str], *, end: str) -> re.Pattern[str]:
    """One unit of any kind, the first that fits."""
    return re.compile("|".join(f"(?P<{kind}>(?:{words}){end})" for kind, words in kinds.items()))


def _clauses(text: str) -> Iterator[tuple[str, bool]]:
    """(clause in plain letters, whether it is a question) of each clause."""
    plain = folded(text).lower().translate(_PLAIN).replace("？", "?").replace("！", "!").replace("，", ",")
    for sign in _AGREEING + _FRIENDLY:
        plain = plain.replace(sign, " ")
    for pattern, words in _CONTRACTIONS:
        plain = pattern.sub(words, plain)
    plain = re.sub(r" *([.!?;,\n-]) *", r"\1", re.sub(r"[^\S\n]+", " ", plain))
    for clause, marks in _CLAUSE.findall(plain):
        if clause.strip():
            yield clause.strip(), "?" in marks
