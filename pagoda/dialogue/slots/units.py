"""Units of what is no price, rating or number of stars: lengths, areas, weights, stretches of time, ages, shares.

Stands between *understanding* and *events* on the turn's path, under `numbers`. A number with such a unit is a wish of
its own: 500米以内 is no price, whatever the slot's limits allow. Kinds of quantity as the SI brochure (BIPM 2019) has
them, with what people measure by besides; each unit is a pattern that stands right behind a number.
"""

from __future__ import annotations

_MEASURES_ZH = {
    "length": "公里|千米|厘米|公分|毫米|英里|英尺|英寸|寸|米(?![饭粉线])|里地|站地?|个?路口",
    "area": "平方米|平方公里|平方|平米|㎡|平(?=$|[以的左，,。])",
    "weight": "公斤|千克|毫克|克(?!服)|斤|吨|毫升|公升",
    "temperature": "摄氏度|度(?!假)|℃|°[CF]?",
    "stretch": (
        "个?(?:小时|钟头)|分钟|秒钟?|刻钟|天|晚(?!上|餐|饭|宴|霞)|夜|周(?![一二三四五六日末])|个(?:星期|礼拜|月)"
        "|年(?!前|夜)"
    ),
    "age": "周?岁",
    "share": "%|折",
    "height": "层|楼(?!上|下)",
    "size": "页|兆|[GM]B?(?![A-Za-z])",
}
_MEASURES_EN = {
    "length": r"(?:kilo|centi|milli)?met(?:er|re)s?|km|cm|mm|miles?|feet|foot|ft|yards?|inch(?:es)?|blocks?|stops?|m",
    "area": r"(?:square|sq\.?) ?(?:met(?:er|re)s?|feet|foot|ft|m|yards?)|sqm|sqft|m2|m²",
    "weight": r"kilo(?:gram)?s?|kgs?|grams?|ounces?|oz|lbs?|lit(?:er|re)s?|ml|g",
    "temperature": r"degrees?",
    "stretch": r"hours?|hrs?|minutes?|mins?|seconds?|secs?|days?|nights?|weeks?|months?|years?|yrs?",
    "share": r"per ?cent|percent",
    "height": r"floors?|stor(?:e)?ys?|stories",
    "size": r"pages?|gb|mb|mbps",
}
_COUNTED = r"[张座间票台本]|(?:tickets?|seats?|rooms?)\b"
"""What is counted, and a slot of its own where a domain says so by `units`."""
MEASURED = (
    rf"(?:{'|'.join(_MEASURES_ZH.values())}|-?(?:{'|'.join(_MEASURES_EN.values())})(?:['’]s?|s['’])?(?![A-Za-z]))"
)
"""A unit of something that is measured, right behind its number."""
FOREIGN = rf"(?:{MEASURED}|{_COUNTED})"
"""A unit of what is no price, rating or number of stars."""
