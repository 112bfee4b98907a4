"""What form of answer a question wants: a few words, a sentence that affirms or denies, or a whole block.

First look of what is shown: *question* -> form; hits -> spans -> showing -> Answer. "When ...?" is answered by words;
"Does ...?" and its like in Chinese by a sentence, whose words alone say neither yes nor no; "How do I ...?" by steps, a
list, a code block. After the expected answer types of Li and Roth 2002, "Learning Question Classifiers", coarsened to
what differs in how much must be shown.
"""

from __future__ import annotations

import re
from typing import Literal

from pagoda.language import language_of

Form = Literal["words", "polar", "block"]

_AUXILIARY = (
    "is|are|was|were|am|do|does|did|can|could|will|would|shall|should|may|might|must|has|have|had|need"
    "|(?:is|are|was|were|do|does|did|ca|could|wo|would|should|must|has|have|had)n['’]t|cannot"
)
# At the beginning, or behind "In version 4,": what begins a clause there asks yes or no.
_POLAR_ENGLISH = re.compile(
    rf"^\W*(?:(?!(?:which|what|who\w*|where|why|how)\b)[^?]*,\s*)?(?:so|and|but|or)?\s*(?:{_AUXILIARY})\b", re.I
)
_WHETHER = re.compile(r"\bwhether\b|,\s*(?:right|correct|yes|no)\s*\?", re.I)
_MEASURE = (
    "many|much|long|old|far|often|large|big|tall|fast|high|deep|wide|heavy|late|early|soon|few|hot|cold|thick|small"
    "|strong|loud|quickly|frequently|close|near|likely"
)
_HOW = re.compile(rf"\bhow\b(?!\s+(?:{_MEASURE})\b)|^\W*why\b", re.I)
_KINDS = (
    "commands?|options?|flags?|switch(?:es)?|parameters?|arguments?|syntax|steps?|ways?|methods?|differences?|values"
    "|requirements?|limitations?|restrictions?|conditions?|settings?|variables?|statements?|prerequisites?|reasons?"
    "|happens?|mean|means|meaning|purpose|used for"
)
_WHAT_BLOCK = re.compile(rf"\b(?:what|which)\b[^?]{{0,60}}\b(?:{_KINDS})\b", re.I)

_POLAR_CHINESE = re.compile(
    r"(?:吗|嗎|(?<![什甚怎多那这要])[么麼])[\s。？?！!”」）)]*$|是否|能否|可否|会否|會否|有无|有無|有没有|有沒有"
    r"|([\u4e00-\u9fff]{1,2})[不没沒]\1"
)
_BLOCK_CHINESE = re.compile(
    "如何|怎么|怎麼|怎样|怎樣|咋|为什么|為什麼|为何|為何|为啥|哪些|哪几|哪幾|什么是|什麼是|何为|有什么|有什麼"
    "|什么(?:命令|选项|参数|方法|步骤|方式|语句|语法|区别|作用|含义|意思|条件|限制|原因)"
    "|(?:命令|选项|参数|方法|步骤|方式|语句|语法|区别|作用|含义|意思|条件|限制|原因)(?:是|有)(?:什么|哪|啥)"
)


def form_of(question: str) -> Form:
    """The form of answer that a question wants.

    >>> [form_of(q) for q in ("When does it open?", "Does it open on Sundays?", "How do I open it?")]
    ['words', 'polar', 'block']
    >>> [form_of(q) for q in ("几点开门？", "周日开门吗？", "怎么开门？", "支不支持事务？")]
    ['words', 'polar', 'block', 'polar']
    """
    asked = question.strip()
    if language_of(asked) == "zh":
        return _chinese(asked)
    if _POLAR_ENGLISH.search(asked) or _WHETHER.search(asked):
        return "polar"
    return "block" if _HOW.search(asked) or _WHAT_BLOCK.search(asked) else "words"


def _chinese(asked: str) -> Form:
    block = _BLOCK_CHINESE.search(asked)
    polar = _POLAR_CHINESE.search(asked)
    if polar is not None and (block is None or polar.start() < block.start() or polar.end() == len(asked)):
        return "polar"
    return "block" if block else "words"
