"""Words that decide what a sentence says of a span in it: what denies, limits, conditions, excepts, doubts or asks.

Beside what is shown: hits -> spans -> *may the span stand alone?* -> showing -> Answer. "v5.0" quoted out of "was not
supported before v5.0" says the opposite. Whoever quotes must keep such words, and which of them reach a span is a
question of grammar that no list of words answers (Fancellu et al. 2016, "Neural Networks For Negation Scope
Detection"): so one of them anywhere in the sentence is taken to reach it. That errs towards quoting the whole sentence,
which costs a reader a few words. The lists are of closed classes (negation, conjunctions, focus particles) and of verbs
and adjectives that deny; none is of a subject.
"""

from __future__ import annotations

import re

_NEGATION = (
    r"not|no|never|none|neither|nor|without|nobody|nothing|nowhere|cannot|\w+n['’]t|hardly|barely|scarcely|rarely|seldom"
    r"|lack\w*|fail\w*|refus\w+|unable|instead|rather|contrary|non-?\w*|deni\w+|deny\w*|reject\w*|declin\w+"
    r"|dis(?:allow|abl|continu|courag|prov|put|miss|believ)\w*|in(?:valid|correct|compatible|sufficient|active|eligible)"
    r"\w*|im(?:possible|proper)\w*|un(?:support|avail|like|true|known|necessar|safe|success|reli|stable)\w*"
    r"|forb[ai]d\w*|prohibit\w*|banned|bans?|prevent\w*|avoid\w*|stop\w*|cease[sd]?|exempt\w*|wrong\w*|false\w*"
    r"|incorrectly|myth|mistak\w+|deprecat\w*|obsolete\w*|remov\w+|withdr\w+|abolish\w*|cancel\w*|abandon\w*|longer"
    r"|revok\w+|repeal\w*|retract\w*|void|illegal\w*|ineligible|minus|absen\w+|missing|free of"
)
_LIMIT = (
    r"only|except\w*|exclu\w+|other than|but|apart|aside|beyond|unless|until|till|save|limited|restrict\w*|solely"
    r"|just|merely|at (?:most|least)|more than|less than|up to|up until|part(?:ly|ially)|temporar\w+|almost|nearly"
    r"|mostly|usually|generally|normally|typically|sometimes|occasionally|some|few"
)
_CONDITION = (
    r"if|when\w*|while|once|where|wherever|whether|provid(?:ed|ing)|as long as|so long as|in case|in the event|assum\w+"
    r"|suppos\w+|depend\w*|require\w*|subject to|must|need\w*|before|after|since|prior|as of|start(?:s|ed|ing)? with"
    r"|from version|in versions?|otherwise|else|given that|conditional\w*|on condition|upon|during|under|for those"
)
_DOUBT = (
    r"may|might|could|would|should|however|although|though|despite|whereas|yet|alleg\w+|report\w+|claim\w*|rumou?r\w*"
    r"|propos\w+|plan(?:s|ned|ning)?|expect\w*|intend\w*|believ\w+|thought|consider\w*|assert\w*|argu\w+|suggest\w*"
    r"|original\w*|initial\w*|former\w*|previous\w*|earlier|once|used to|experimental\w*|legacy|beta|draft|seem\w*"
    r"|appear\w*|perhaps|possibl\w+|probabl\w+|likely|attempt\w*|tried|try|tries|denied|disput\w+|unofficial\w*"
)
_ENGLISH = re.compile(rf"(?<![\w-])(?:{_NEGATION}|{_LIMIT}|{_CONDITION}|{_DOUBT})(?![\w])|\?", re.I)

_CHINESE = re.compile(
    # Negation: every character that denies, alone or in a word.
    "[不没沒無无未非勿莫别否禁忌免拒难難]|[弗毋]|停止|停用|取消|废|廢|避免|防止|缺|失败|失敗|错误|錯誤|移除|删除了|撤"
    # Limits and exceptions.
    "|[仅僅只唯]|除|以外|之外|例外|至多|至少|最多|最少|限|不超|以内|以內|以下|以上|以前|之前|以后|以後|之后|之後|直到"
    "|才|部分|有时|有時|偶尔|通常|一般|大多|多数|暂|暫|临时|臨時|几乎|幾乎|将近|將近"
    # Conditions.
    "|[若如倘]|假|否则|否則|要是|条件|條件|前提|情况下|情況下|[时時][，,、 ]|的[时時]候|期间|期間|期內|取决|取決"
    "|视|需|須|须|必|当|當|一旦|凡|自[^己]|起[，,、。]|版本|经|經"
    # Contrast, doubt and what is only said.
    "|但|却|卻|然而|虽|雖|尽管|儘管|反而|而[是非]|相反|可能|也许|或许|或許|大概|据说|據說|据称|傳|传说|所谓|所謂|疑"
    "|认为|認為|声称|聲稱|主张|主張|应[该當当]|應|建议|建議|计划|計劃|预计|預計|拟|擬|曾|原本|原先|原定|本来|本來|最初|旧"
    "|舊|实验|實驗|试图|試圖|打算|希望"
    # Questions.
    "|[？?吗嗎呢么麼]"
)
# A sentence that begins so goes on about the one before it; what that one says holds only together with it.
_GOES_ON = re.compile(
    r"^\W*(?:however|but|yet|except|unless|otherwise|this does(?:n['’]t| not)|this is not|these do not|it does not"
    r"|that does not|note that|nevertheless|nonetheless|instead|although|though|only|in that case|in this case"
    r"|if (?:so|not)|if (?:it|this|that|they|you)|still|the exception|exceptions?)\b"
    r"|^\W*(?:但|不过|不過|然而|否则|否則|除|例外|此时|此時|这种情况|這種情況|如果不|若不|注意|请注意|請注意|只有|仅|唯|可是"
    r"|不适用|不適用|反之|而且不|并不|並不|其中不)",
    re.I,
)


def is_governed(sentence: str, start: int, end: int) -> bool:
    """Whether anything outside of a span, characters start to end of the sentence, may deny, limit or condition it.

    >>> sentence = "Refunds are not given after 30 days."
    >>> is_governed(sentence, 28, 35), is_governed("Refunds are given within 30 days.", 24, 31)
    (True, False)
    >>> is_governed("该接口不允许匿名访问。", 6, 10)
    True
    """
    around = sentence[:start] + " " * (end - start) + sentence[end:]
    return bool(_ENGLISH.search(around) or _CHINESE.search(around))


def governs(heading: str) -> bool:
    """Whether a heading denies, limits or conditions what stands under it.

    >>> governs("Unsupported features"), governs("Before v4.0"), governs("Features")
    (True, True, False)
    """
    return is_governed(heading, 0, 0)


def goes_on(sentence: str) -> bool:
    """Whether a sentence takes back, limits or conditions what the one before it says.

    >>> goes_on("However, tyres are excluded."), goes_on("但轮胎除外。"), goes_on("It has twenty floors.")
    (True, True, False)
    """
    return _GOES_ON.search(sentence) is not None


def denies(sentence: str) -> bool:
    """Whether a sentence denies or ends something: what may take back the one before it, in whatever words.

    >>> denies("Not on Sundays."), denies("自固件3起默认关闭。"), denies("前 45 分钟免费。")
    (True, True, False)
    """
    return _DENIES.search(sentence) is not None


def is_hearsay(sentence: str) -> bool:
    """Whether a sentence is told as what others believe, so that what it says is not said yet.

    >>> is_hearsay("Myth: Parcels are left outside."), is_hearsay("常见误解：住户可以养猫。"), is_hearsay("可以养鱼。")
    (True, True, False)
    """
    return _HEARSAY.search(sentence) is not None


def is_question(sentence: str) -> bool:
    """Whether a sentence asks, so that it tells nothing: a heading such as "Can I use it offline?" is no answer.

    >>> is_question("## 支持事务吗？"), is_question("TiDB 支持事务。")
    (True, False)
    """
    return _ASKS.search(sentence) is not None


_DENIES = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|\w+n['’]t|wrong|false|incorrect|untrue|suspended|withdrawn|revoked"
    r"|discontinued|obsolete|deprecated|removed|cancelled|closed|off)\b|^\W*(?:since|as of|from|at least)\b"
    r"|[不没沒無无未非勿莫](?![同少仅管论断过久])|除外|暂停|暫停|停止|取消|错误|錯誤|关闭|關閉|^\W*自.{1,12}起",
    re.I,
)
_HEARSAY = re.compile(
    r"^\W*(?:(?:\w+ )?(?:myth|misconception|rumou?r|legend|fallacy|claim)s?\b\s*(?:\d+\s*)?[:：-]"
    r"|(?:some|many|most)(?: people)? (?:believe|think|say|claim)\b|until (?:\w+ )?\d{4}\b|in the past\b|formerly\b)"
    r"|^\W*(?:常见|普遍)?(?:误解|誤解|误区|誤區|谣言|謠言|传言|傳言)|^\W*(?:有人|很多人|许多人|不少人)(?:认为|以为|说|觉得)",
    re.I,
)
_ASKS = re.compile(
    r"(?:[?？]|吗|嗎|(?<![什甚怎多那这要])[么麼]|呢)[\s*_#`”」）)\"']*$|^\W*(?:如何|怎么|怎样|为什么|是否)[^，,。]*$"
)
