"""What kind of thing a Chinese question seeks, and whether a text tells one: a reason, a duration, a number of them.

Beside what is shown: question and passage -> *is what is sought told there?* -> second look -> Answer. As
`showing/sought` has it for English, with Chinese words: hints to be weighed, for a reason stands in many words. After
the expected answer types of Li and Roth 2002, "Learning Question Classifiers".
"""

from __future__ import annotations

import re

from pagoda.rag.extractive.showing.sought import Sought, sought

_NUMBER = r"(?:\d[\d.,/]*|[一二两三四五六七八九十百千万亿零半几数]+)"
_TIME = r"(?:秒钟?|分钟?|小时|钟头|天|日|晚|夜|周|星期|个?月|年|季度|毫秒|ms|s|min|h|seconds?|minutes?|hours?|days?)"
_AMOUNT = r"(?:g|kg|克|千克|公斤|斤|两|ml|毫升|升|L|勺|个|片|块|滴|茶匙|汤匙|oz|杯)"
_COUNTED = re.compile(r"(?:几|多少)\s*([^\W\d_a-zA-Z的了是在有能可会要需应]{1,2})")
"""The measure word and what it counts, behind a word that asks for a number."""


KINDS = (
    sought(
        "reason",
        "为什么|为何|为啥|原因|凭什么|干嘛",
        "因为|由于|因此|所以|原因|为了|以便|以免|以防|避免|防止|否则|导致|造成|使得|从而|便于|有助|有利|不利|会影响|容易|是因|缘故|故",
    ),
    sought("frequency", "多久.{0,6}一次|多长时间.{0,6}一次|每隔|频率|多少次|几次", "每|隔|次|遍|定期|周期|频率|间隔"),
    sought(
        "duration",
        rf"多久|多长时间|(?:几|多少)个?{_TIME}|期限|时长|有效期|保质期",
        rf"{_NUMBER}\s*个?多?{_TIME}|长期|永久|无期限|立即|过夜|隔夜",
    ),
    sought("temperature", "温度|多少度|几度|摄氏|火候", r"℃|°|度|摄氏|\d\s*[CF]\b"),
    sought("money", "多少钱|价格|费用|收费|罚款|罚多少|价钱|贵", r"元|￥|¥|\$|免费|万|收费|价|费"),
    sought(
        "amount",
        "多少克|几克|多重|重量|多少斤|多少毫升|用量|放多少|加多少",
        rf"{_NUMBER}\s*{_AMOUNT}|适量|少许|若干",
    ),
    sought(
        "size",
        "多大|多长(?!时间)|多高|多宽|多厚|多深|多远|长度|宽度|高度|大小|尺寸|面积|字节|容量",
        r"\d|[一二三四五六七八九十]",
    ),
    sought("share", "百分之|比例|百分比|占比|多少成", r"%|％|百分之|比例|一半|分之|\d\s*[:：/]\s*\d"),
    sought("version", "版本|哪一?版", r"v?\d+\.\d+|版本"),
    sought(
        "date",
        "哪一?年|哪一?[天日月]|什么时候|何时|什么时间|日期|几号|几月|时候",
        r"\d{4}\s*年|\d+\s*月|\d+\s*日|之后|之前|以后|以前|时|期间|当",
    ),
    sought("default", "默认|缺省|预设", "默认|缺省|预设|default|初始"),
    sought(
        "most",
        "最多|最大|上限|至多|最长|最高|不超过|限制",
        "最多|最大|上限|至多|最长|最高|不超过|超过|以内|以下|之内|小于|少于|不大于|不多于|max|限制|≤|<",
    ),
    sought(
        "least",
        "最少|至少|最小|下限|最低|最短|起码",
        "最少|至少|最小|下限|最低|最短|以上|不少于|不低于|不小于|大于|超过|min|≥|>",
    ),
    sought("code", "错误码|状态码|退出码|返回码|错误代码|端口", r"(?<!\d)\d{2,6}(?!\d)"),
    sought("count", "几|多少", r"\d|[一二两三四五六七八九十百千万双单]"),
    sought(
        "person",
        "谁|哪个部门|什么部门|哪个机构|哪个单位|由哪|什么机构",
        "部门|机构|单位|局|委员|人民政府|管理|人员|者|作者|开发|公司|团队|医院|血站|馆|主管",
    ),
    sought(
        "place",
        "哪里|哪儿|在哪|什么地方|何处|哪个(?:文件|目录|文件夹|页面|菜单)",
        "目录|文件|路径|文件夹|页|菜单|位于|放在|在|于|/",
    ),
    sought("purchase", "购买|买|品牌|牌子|哪家", "购买|买|品牌|牌|店|超市|商"),
    sought(
        "way",
        "怎么|如何|怎样|步骤",
        "步骤|首先|然后|先|再|使用|通过|可以|需要|执行|运行|设置|配置|点击|将|把|命令|`",
    ),
)


def sought_by(question: str) -> list[Sought]:
    """All kinds that a question seeks.

    >>> [kind.name for kind in sought_by("酸奶最多放几天？")]
    ['duration', 'most', 'count']
    """
    return [kind for kind in KINDS if kind.asked.search(question)]


def lacks_count(question: str, text: str) -> bool:
    """Whether the thing whose number is asked for stands nowhere behind a number.

    >>> lacks_count("最多嵌套几层？", "请勿超过3层。"), lacks_count("放几勺糖？", "加两勺。")
    (False, False)
    >>> lacks_count("可以接几台打印机？", "一台打印机占一个端口。"), lacks_count("最多几个人？", "共三十张桌子。")
    (False, True)
    """
    asked = _COUNTED.search(question)
    if asked is None:
        return False
    unit = asked[1]
    counted = {unit, unit[0]} if unit[0] != "个" else {unit[1:] or "个"}
    return not any(re.search(rf"{_NUMBER}\s*[多余大几]?个?\s*{re.escape(each)}", text) for each in counted)
