"""The words of days and hours, as patterns over lower-case text: what `times` listens for.

Stands between *understanding* and *events* on the turn's path. DAYS: (days from today, words), the longer ones first.
"""

from __future__ import annotations

import re

HAN = "零〇一二两三四五六七八九十"
N = rf"(?:\d{{1,2}}|[{HAN}]{{1,3}})"
HOURS_EN = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
WEEKDAYS_EN = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MONTHS_EN = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = (
    (
        0,
        r"今天|今晚|今日|今早|今儿|当晚|\btoday\b|\bto-?night\b|\btonite\b|\b2nite\b"
        r"|\bthis (?:morning|afternoon|evening)\b",
    ),
    (3, r"大后天"),
    (2, r"(?<!大)后天|后晚|\bday after tomorrow\b"),
    (1, r"明天|明晚|明日|明早|明儿|\btomorrow\b|\btmrw\b|\btmr\b|\btomorow\b|\btommorow\b|\btommorrow\b"),
)
PAST = re.compile(r"昨天|昨晚|前天|上周|\byesterday\b|\blast (?:night|week)\b|\bago\b")
ZH_WEEKDAY = re.compile(r"(?P<next>下个?|这个?|本)?(?:周|星期|礼拜)(?P<day>[一二三四五六日天末])")
THIS_WEEKDAY = re.compile(r"(?:这个?|本)(?:周|星期|礼拜)|\bthis (?:mon|tue|wed|thu|fri|sat|sun|weekend)")
EN_WEEKDAY = re.compile(
    r"\b(?P<next>next |this |coming )?(?P<day>mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs(?:day)?)?"
    r"|fri(?:day)?"
    r"|sat(?:urday)?|sun(?:day)?|weekend)\b"
)
DATE_ZH = re.compile(rf"(?:(?P<month>{N})月)?(?P<day>\d{{1,2}}|[{HAN}]{{1,3}})[日号]")
DATE_EN = re.compile(
    r"\b(?:(?P<m1>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? (?P<d1>\d{1,2})(?:st|nd|rd|th)?"
    r"|(?:the )?(?P<d2>\d{1,2})(?:st|nd|rd|th)(?: of)?(?: "
    r"(?P<m2>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)?)\b"
)
ISO = re.compile(r"\b(?P<y>20\d\d)-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:[t ](?P<h>\d{1,2}):(?P<min>\d\d))?")
CLOCK = re.compile(r"(?<![\d.])(?P<h>[01]?\d|2[0-4])\s?[:：.]\s?(?P<m>[0-5]\d)(?!\d)")
ZH_CLOCK = re.compile(
    rf"(?P<h>{N})\s?[点时點](?!间)(?:钟|整)?(?:(?P<half>半)|(?P<quarter>[一三])刻|(?P<m>\d{{1,2}}|[{HAN}]{{1,3}})分?)?"
)
EN_RELATIVE = re.compile(
    r"\b(?P<what>half|quarter|twenty|ten|five|\d{1,2})(?: minutes?)? (?P<side>past|after|to|before) "
    rf"(?P<h>\d{{1,2}}|{'|'.join(HOURS_EN)})\b"
)
EN_HALF = re.compile(rf"\bhalf (?P<h>{'|'.join(HOURS_EN)})\b")
EN_CLOCK = re.compile(
    rf"(?:\b(?:at|by|around|about|for|from|after|till|until|@)\s*)?\b(?P<h>\d{{1,2}}|{'|'.join(HOURS_EN)})"
    r"(?:\s(?P<m>thirty|fifteen|forty[- ]five|[0-5]\d))?\s*(?P<mark>o'?\s?clock|a\.?m\b|p\.?m\b|ish\b)?"
)
AFTER_EN = re.compile(
    r"\bin (?P<n>an?|half an|\d+|[a-z]+)(?: and a half)? (?P<unit>minutes?|mins?|hours?|hrs?|days?|weeks?)\b"
)
AFTER_ZH = re.compile(
    rf"(?P<n>\d+(?:\.\d+)?|[{HAN}半]+)个?(?P<half>半)?(?P<unit>分钟|小时|钟头|天|周|星期)(?:以?后|之后)"
)
NOW = re.compile(r"现在|马上|立刻|\bright now\b|\bnow\b|\basap\b")
