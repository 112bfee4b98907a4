"""Numbers with what they count: 64 KB is not 64 MB, and 16 columns (16 列) are not 16 indexes (16 个索引).

On a question's path behind the model: question -> prompt -> model -> *checked* Answer. A small model takes a number
from one sentence and its subject from another; where source and answer count different things, the number is not borne.
Only units of closed classes are known; where one side has none, nothing is said against it. What counts anything (个,
条, 种, 位) is none: five records are 5 个记录 as well as 5 条记录.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

_SPELLINGS = """
byte bytes 字节 位元组
kb kib kilobyte kilobytes
mb mib megabyte megabytes 兆
gb gib gigabyte gigabytes
tb tib terabyte terabytes
bit bits 比特
ms msec millisecond milliseconds 毫秒
us µs μs microsecond microseconds 微秒
s sec secs second seconds 秒 秒钟 秒鐘
min mins minute minutes 分钟 分鐘
h hr hrs hour hours 小时 小時
day days 天 日
week weeks 周 週 星期
month months 个月 個月
year years 年
% percent 百分点
row rows line lines 行
column columns 列
time times 次
character characters 字符 字元
index indexes indices 索引
key keys 键
file files 文件
table tables 表
page pages 页 頁
euro euros €
dollar dollars 美元
元 块 塊
人 名
级 級
"""
_UNIT_OF = {spelling: line.split()[0] for line in _SPELLINGS.strip().splitlines() for spelling in line.split()}
_HAN_UNITS = sorted((word for word in _UNIT_OF if word >= "\u2e80"), key=len, reverse=True)
_NUMBER = r"(?<![\w.])(\d+(?:[.,]\d+)*)"
_COUNTED = re.compile(rf"{_NUMBER}[ \t\u00a0-]?(?:[个個]?({'|'.join(_HAN_UNITS)})|([A-Za-zµμ]+|[%€]))?")


def units_of(text: str) -> Mapping[str, set[str]]:
    """Each number of a text with its units in one spelling; an empty one where none is known.

    >>> dict(units_of("32 kilobytes, 16 个索引, 3 Suppliers")) == {"32": {"kb"}, "16": {"index"}, "3": {""}}
    True
    """
    found: dict[str, set[str]] = defaultdict(set)
    for match in _COUNTED.finditer(text):
        unit = match[2] or (match[3] or "").lower()
        found[match[1].replace(",", "")].add(_UNIT_OF.get(unit, ""))
    return found


def counts_otherwise(sentence: str, quote: str) -> bool:
    """Whether a number of the sentence counts something else wherever the quotation has it.

    >>> counts_otherwise("一张表最多 16 个索引。", "单个索引最多可包含 16 列。")
    True
    >>> counts_otherwise("It is 64 KB.", "64 kilobytes"), counts_otherwise("It is 64 KB.", "64 MB")
    (False, True)
    """
    there = units_of(quote)
    return any(
        "" not in units and units.isdisjoint(there[number]) and "" not in there[number]
        for number, units in units_of(sentence).items()
        if number in there
    )
