"""What a sentence says about the values in it: wanted, excluded or not needed, and which of them stand in one list.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A value is
excluded by a cue that stands before it or behind it with nothing but small words between; cues and small words are
closed classes in both languages. Scope of negation cues by rules, after Chapman et al. 2001, "A Simple Algorithm for
Identifying Negated Findings and Diseases in Discharge Summaries" (NegEx).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Literal

from pagoda.dialogue.slots.said import folded

Role = Literal["wanted", "excluded", "unneeded"]
Span = tuple[str, int, int]
"""(slot, start, end) in characters of the sentence."""

# 要不要, 能不能: a question, no negation; 要不吃川菜 is a proposal; 少不了川菜 wants it. 特别 and 别的 are not 别.
_NOT_ZH = r"(?<!^要)(?<![少忘缺])(?<![，,。 ]要)(?:^|(?<=(?P<asked>.)))不(?!(?P=asked))"
_BEFORE_ZH = re.compile(
    rf"(?:{_NOT_ZH}(?:想要?|要|吃|去|看|住|喝|选|喜欢|爱|考虑|含|带|能|是|在|接受|和|跟|到|希望|打算)?"
    r"|(?<![特区级个分差辨识])别(?![的墅人处])|莫(?=太|要|吃|去|找|选)|甭|除去|除开|除了|除(?!夕)|讨厌|避开|避免|排除|去掉|换掉|拒绝|腻了"
    r"|(?<![有果是若一])没有?(?!事|关系|问题)|(?<![除是莫若无并])非(?!常|洲|得|要))"
    r"(?:想|要|是|在|有|吃|看|去|住|喝|选|找|推荐|给我|给|再|太|那么|那种|这种|什么|任何|的|跟|和|到|点|带|含|安排|订"
    r"|考虑|来|靠近|离|附近|类似|比如|像|提供|放|做|用|位于|属于|过于|了|我|我们)*$"
)
_AFTER_ZH = re.compile(
    r"^(?:菜|馆|店|类|片|区|料理|餐厅|酒店)?(?:(?:这|那)?[个家种类])?的?(?:以外|之外|除外|我?过敏"
    r"|(?:就|都|也|我)?(?:不要|不行|不吃|不去|不看|不住|不考虑|不喜欢|不想(?:吃|去|看|住)?|算了|免了|吃腻|吃够|看腻)"
    r"(?:了|的|啦|吧)*(?=$|[\s，,。!！；;、]))"
)
_BESIDES_ZH = re.compile(
    r"(?:除了?|除开|除去)[^，。！？,.!?]*?(?:以外|之外)?[，, ]?(?:我|我们)?(?:还|也|另外)"
    r"(?:要|得|想|需要|希望|必须|应该|能|可以|带)"
)
_NO_NEED_ZH = re.compile(r"(?:不需要|用不着|不用|不必|无需|没必要)(?:有|要|带|提供|是|在|的)*$")
_QUESTION_ZH = re.compile(r"^[^，。！,.!]*(?:吗|么|嘛|没有|[?？])")
_LACKS_ZH = re.compile(r"(?:没有?|不是)[^不别除没]*$")

_BEFORE_EN = re.compile(
    r"(?:(?<!why )(?<!if )(?<!or )\bnot(?! only)|n['’]t|\b(?:do|does|did|is|are|was|would|could|should|can)nt"
    r"|\bwithout|\bexcept(?:ing)?(?: for)?|\bother than"
    r"|\b(?:any|every)(?:thing|where|one|body)? but|\ball but|\bbut no|\bexclud(?:e|ing)|\bavoid(?:ing)?|\bhates?"
    r"|\b(?:stop|quit)(?= (?:show|recommend|suggest|offer|send|giv)\w*)|\bdislikes?|\bnothing|\bnowhere|\bnever"
    r"|\binstead of|\brather than|\bapart from|\baside from|\bneither|\bnor"
    r"|\bminus|\bleav(?:e|ing) out|\bskip(?! (?:right |straight |ahead )?to\b)|\b(?:sick|tired) of"
    r"|\b(?:allergic|averse) to)"
    r"(?:\s+(?:in|at|near|on|around|an?|the|any|more|too|very|that|so|really|ones?|something|anything|somewhere"
    r"|anywhere|likes?|want|wants|wanna|to|eat|eating|food|have|having|go|going|with|of|for|be|being|do|serves?|serving"
    r"|from|me|us|into|fan|kinds?|places?|restaurants?|hotels?|films?|movies?|fancy|care|feel|stay|see|watch|again"
    r"|another|offer(?:ing)?|show|showing|recommend|recommending|suggest|suggesting|send(?:ing)?|giv(?:e|ing)"
    r"|which|is|are|it|fond|keen|thrilled|about|looking|after|interested))*\s+$"
    r"|(?<![\w'])no(?:\s+(?:more|kind of|such|other))?\s+$"
)
_OUT_OF = r"(?:town|this world|the (?:way|city|cent(?:er|re)))"
_FINE_AFTER_NO = r"(?:problem|trouble|bad|doubt|issue|longer|more|less|far)"
_FINE_AFTER_NOT = r"(?:bad|far|wrong|open|closed|expensive|pricey|dear|unpleasant|terrible|necessary|important|full)"
_AFTER_EN = re.compile(
    r"^(?:\s+(?:food|ones?|restaurants?|places?|area|district|cuisine|hotels?|films?|movies?))?"
    rf"(?:\s+(?:is|are)\s+(?:out\b(?! of {_OUT_OF}\b)|no\b(?! {_FINE_AFTER_NO}\b)|off\b|not\b"
    rf"(?!\s+(?:(?:so|too|that|all that|very|really|at all)\s+)*{_FINE_AFTER_NOT}\b))|,?\s+(?:excluded|excepted)\b)"
)
_BESIDES_EN = re.compile(r"\b(?:besides|apart from|aside from|in addition to)\b.*\b(?:also|too|as well)\b")
_BUT = re.compile("但|而是|but")
_DENIED_ZH = re.compile(r"(?:并?不(?:是|会|能|要|可|用|必|需要?|想)?|无需|没有?|别)$")
_DENIED_EN = re.compile(
    r"(?:n['’]t|\b(?:not|never|dont|doesnt|cannot))(?:\s+(?:really|exactly|actually|go|do|be))*\s+$"
)
_NOT_WITHOUT_ZH = re.compile(r"^(?:菜|馆|店|片)?(?:可?不(?:行|可|成|吃|去|看|住|欢)|就?(?:吃|活|过)不)")
_NO_NEED_EN = re.compile(
    r"(?:n['’]t|\b(?:do|does)nt|\bnot|\bno)\s+(?:really\s+|even\s+|necessarily\s+)?"
    r"(?:need|require|have to have|need for|have to be|care about|care if|important)"
    r"(?:\s+(?:to|any|an?|the|with|have|be|it|that|has))*\s+$"
)

# Of what a reader took for a price or a distance, and no name: 太子酒店 and "Too Big to Fail" are wanted.
_TOO = re.compile(
    r"(?:(?:way|far|much|a bit|a little) )?too\s+(?:expensive|pricey|dear|costly|much|high|posh|upscale|cheap|low|far"
    r"|fancy|luxurious)\b|(?:有点|太过?|过于)(?:贵|高|远|便宜|低|豪华|高档|晚|早|长|短|吵|小|大|旧|偏)"
)
_NOUNS = r"(?:区|菜系?|料理|餐厅|餐馆|饭馆|馆子?|店|附近|周边|那边|这边|一带|片子?|电影|的|吧|呢)"
_FINE = r"(?:也行|也可以|也好|也成|都行|都可以|都好|都成|皆可|is fine|are fine|is ok(?:ay)?|works)"
_NOUNS_EN = r"(?:food|dishes|cuisine|district|area|restaurants?|places?|films?|movies?|ones?)"
_LINK = (
    r"(?:或者?是?|还是|要么|要不|要?和|与|及|以及|跟|、|/|&|\+|\band/or\b|\band\b|\bor\b|\bor else\b|\balternatively\b)"
)
_LEAD = (
    r"(?:是|在|去|吃|看|住|有|带|要|的|想|也|in|at|near|by|around|with|on|for|to|the|an?|some|any|maybe|perhaps|possibly"
    r"|either|even|also|just|something|anything|not|no|不要?|别)"
)
_JOINED = re.compile(
    rf"^\s*(?:{_NOUNS}|{_NOUNS_EN}|{_FINE})*\s*(?:[,，;；]\s*)?{_LINK}\s*(?:{_LINK}\s*)?(?:{_LEAD}\s*)*$"
    rf"|^\s*{_NOUNS}*{_FINE}\s*[,，;；、]?\s*(?:{_LEAD}\s*)*$"
)
_COMMA = re.compile(rf"^\s*(?:{_NOUNS}|{_NOUNS_EN})*\s*[,，]\s*(?:{_LEAD}\s*)*$")
_EITHER = re.compile(
    r"或|还是|要么|都行|都可以|都好|都成|也行|也可以|皆可|\bor\b|\beither\b|\bany of\b|\bboth (?:fine|ok)"
)
_MORE = re.compile(r"^\s*(?:或者?是?|要么|还可以|或|or|maybe|alternatively)\s*(?:is|are|在|吃|in|near|the|maybe)?\s*$")


def roles(text: str, spans: Sequence[Span]) -> tuple[Role, ...]:
    """What the sentence says about each value. spans: in the order of the sentence.

    >>> roles("不要川菜，粤菜吧", [("cuisine", 2, 4), ("cuisine", 5, 7)]), roles("有没有川菜", [("cuisine", 3, 5)])
    (('excluded', 'wanted'), ('wanted',))
    >>> roles("anything but Korean", [("cuisine", 13, 19)]), roles("no, in Qintai", [("location", 7, 13)])
    (('excluded',), ('wanted',))
    """
    plain = folded(text).lower()
    found: list[Role] = []
    for row, (slot, start, end) in enumerate(spans):
        role = _role(plain, start, end)
        if role == "wanted" and row and found[-1] != "wanted" and spans[row - 1][0] == slot:
            between = plain[spans[row - 1][2] : start]
            role = found[-1] if are_joined(between) and not _BUT.search(between) else role
        found.append(role)
    return _of_lists(plain, spans, found)


def _of_lists(plain: str, spans: Sequence[Span], found: Sequence[Role]) -> tuple[Role, ...]:
    """A cue before or behind a list is of all in it: "except Thai, Korean or Japanese", 川菜和湘菜都不要."""
    told = list(found)
    for slot in dict.fromkeys(slot for slot, _, _ in spans):
        own = [row for row, span in enumerate(spans) if span[0] == slot]
        for chain in lists(plain, [spans[row] for row in own]):
            rows = [own[at] for at in chain]
            between = plain[spans[rows[0]][2] : spans[rows[-1]][1]]
            is_behind = found[rows[-1]] == "excluded" and _AFTER_ZH.search(plain[spans[rows[-1]][2] :]) is not None
            if (found[rows[0]] == "excluded" or is_behind) and not _BUT.search(between):
                told = ["excluded" if row in rows else role for row, role in enumerate(told)]
    return tuple(told)


def _role(plain: str, start: int, end: int) -> Role:
    before, after = plain[:start], plain[end:]
    if _TOO.match(plain[start:end]) is not None:
        return "excluded"  # of a price that was read out: "too expensive", 太贵了
    if _NO_NEED_ZH.search(before) or _NO_NEED_EN.search(before):
        return "unneeded"
    if (cue := _BEFORE_ZH.search(before)) is not None and _DENIED_ZH.search(before[: cue.start()]):
        return "wanted"  # 不讨厌, 不能没有
    if cue is not None and cue[0][0] in "没非" and _NOT_WITHOUT_ZH.search(after) is not None:
        return "wanted"  # 非川菜不吃, 没有川菜不行
    if cue is not None:
        # 没有川菜吗 asks for it, 除了泳池还要健身房 wants both.
        is_asked = _LACKS_ZH.search(cue[0]) is not None and _QUESTION_ZH.search(after) is not None
        is_besides = cue[0].startswith("除") and _BESIDES_ZH.search(plain[cue.start() :]) is not None
        return "wanted" if is_asked or is_besides else "excluded"
    if (cue := _BEFORE_EN.search(before)) is not None and _DENIED_EN.search(before[: cue.start()]):
        return "wanted"  # "I don't dislike it", "not without"
    if cue is not None:
        return "wanted" if _BESIDES_EN.search(plain[cue.start() :]) else "excluded"
    return "excluded" if _AFTER_ZH.search(after) or _AFTER_EN.search(after) else "wanted"


def are_joined(between: str) -> bool:
    """Whether what stands between two values of a slot makes them one list.

    >>> are_joined(" or "), are_joined("或者在"), are_joined("，不，")
    (True, True, False)
    """
    return _JOINED.search(folded(between).lower()) is not None


def lists(text: str, spans: Sequence[Span]) -> list[list[int]]:
    """Rows of spans of one slot that stand in one list; a comma joins where another sign of a list stands with it.

    >>> lists("Jihong, Yunxiu or Luming", [("l", 0, 6), ("l", 8, 14), ("l", 18, 24)])
    [[0, 1, 2]]
    """
    plain = folded(text).lower()
    chains: list[list[int]] = []
    joins = [_join(plain[left[2] : right[1]]) for left, right in itertools.pairwise(spans)]
    is_list = any(join == "link" for join in joins) or _EITHER.search(plain) is not None
    for row in range(len(spans)):
        join = joins[row - 1] if row else ""
        if join == "link" or (join == "comma" and is_list):
            chains[-1].append(row)
        else:
            chains.append([row])
    return chains


def _join(between: str) -> str:
    return "link" if _JOINED.search(between) else "comma" if _COMMA.search(between) else ""


def choices(text: str, spans: Sequence[Span]) -> list[list[int]]:
    """Rows of a list of things to have, all of which are to fit, together those of which one will do.

    >>> choices("parking, and a pool or a gym", [("f", 0, 7), ("f", 15, 19), ("f", 25, 28)])
    [[0], [1, 2]]
    """
    plain = folded(text).lower()
    is_any = _EITHER.search(plain[spans[-1][2] :][:8]) is not None
    links = [_link(plain[left[2] : right[1]]) for left, right in itertools.pairwise(spans)]
    groups, is_joined = [[len(spans) - 1]], False
    # A comma is what the next word between two of them is: "a pool, a sauna or a gym".
    for row in range(len(spans) - 2, -1, -1):
        is_joined = links[row] == "or" or (links[row] == "comma" and is_joined)
        if is_joined or is_any:
            groups[0].insert(0, row)
        else:
            groups.insert(0, [row])
    return groups


def _link(between: str) -> str:
    if _EITHER.search(between) is not None:
        return "or"
    return "comma" if _COMMA.search(between) is not None else "and"


def is_one_more(text: str, start: int, end: int) -> bool:
    """Whether a value is one more that will do, besides those of before: "or Yunxiu", 粤菜也行.

    >>> is_one_more("或者粤菜", 2, 4), is_one_more("粤菜也行", 0, 2), is_one_more("粤菜", 0, 2)
    (True, True, False)
    """
    plain = folded(text).lower()
    follows = re.search(
        rf"^{_NOUNS}*(?:也行|也可以|也好|也成)|^\s*(?:is|are|would be) (?:fine|ok(?:ay)?|good),? too", plain[end:]
    )
    return _MORE.search(plain[:start]) is not None or follows is not None
