"""How a company's name is written elsewhere: without its legal form and share class, with "and" for "&", without dots.

On the path *item -> opinion of a company*, under linking. A user's list has names as registers and exchanges write them
(Walt Disney Co/The, 万科A, Toys "R" Us); headlines have them as people say them. Width, case and accents are
`reading.spelling`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LEGAL = re.compile(
    r"[\s,]+(?:inc|incorporated|ltd|limited|corp|corporation|co|company|plc|ag|se|sa|nv|group|holdings?|llc|kgaa|oyj|ab|"
    r"asa|tbk|sca|spa|gmbh|bhd|pjsc|a/s|p\.l\.c|s\.a|n\.v|s\.p\.a|s\.e|co/the|inc/the|(?:& ?|and )co|"
    r"(?:sponsored )?(?:adr|ads|gdr)|(?:class|cl\.?|series) [abc])\.?$",
    re.I,
)
_LEGAL_ZH = re.compile(r"(?:集团)?(?:股份)?(?:有限责任|有限)?公司$|集团$")
_ASIDE = re.compile(r"(?<=[^\s,])[\s,]*[(（][^()（）]{1,40}[)）]$")
"""What an encyclopaedia or an exchange adds: (retailer), (Class A), （港股）."""
_BEFORE = re.compile(r"^(?:the|pt)\s+(?=\w)", re.I)
_HAN = r"[\u3400-\u9fff]"
_CLASS_ZH = re.compile(rf"(?<={_HAN})(?:[-－](?:SW?|W|B|R)|[ABＡＢ])$")
_MARK_ZH = re.compile(rf"^(?:S?\*?ST|XD|XR|DR)(?={_HAN}{{3}})")
"""What an exchange puts before a name for a time."""
_LATIN_BESIDE_HAN = re.compile(rf"(?<=[A-Za-z])(?={_HAN})|(?<={_HAN})(?=[A-Za-z])")
_ORNAMENT = re.compile(r"""[!?"“”]""")
_DOTTED = re.compile(r"\b(?:[A-Z]\.){2,}")
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe", "Ø": "Oe"}
)


def without_legal_form(name: str) -> str:
    """What a name is without its legal form; the name itself where little would be left.

    >>> without_legal_form("Apple Inc."), without_legal_form("贵州茅台酒股份有限公司"), without_legal_form("3M Co")
    ('Apple', '贵州茅台酒', '3M')
    >>> without_legal_form("The Coca-Cola Company"), without_legal_form("阿里巴巴-SW"), without_legal_form("AB SA")
    ('Coca-Cola', '阿里巴巴', 'AB SA')
    >>> without_legal_form("小米集团-W"), without_legal_form("XD小米集团")
    ('小米', '小米')
    """
    short = name
    for pattern in (_ASIDE, _CLASS_ZH, _MARK_ZH, _LEGAL_ZH, _CLASS_ZH):  # a class stands behind a form, or before it
        short = pattern.sub("", short)
    while (next_one := _LEGAL.sub("", short)) != short:
        short = next_one
    if short != name:
        short = _BEFORE.sub("", short)
    short = short.strip(" ,.&")
    is_told = len(short) >= 3 or (len(short) == 2 and (not short.isascii() or short[0].isdigit() != short[1].isdigit()))
    return short if is_told else name


def spellings(name: str) -> Iterator[str]:
    """Other ways to write a name.

    >>> list(spellings("Yum! Brands")), list(spellings("Marks & Spencer")), list(spellings("U.S. Steel"))
    (['Yum Brands'], ['Marks and Spencer'], ['US Steel'])
    >>> list(spellings("TCL科技")), list(spellings("Münchener Rück"))
    (['TCL 科技'], ['Muenchener Rueck'])
    """
    for other in (
        " ".join(_ORNAMENT.sub("", name).split()),
        name.replace(" & ", " and ") if " & " in name else name.replace(" and ", " & "),
        name.replace(" + ", " & "),
        _DOTTED.sub(lambda found: found.group().replace(".", ""), name),
        _LATIN_BESIDE_HAN.sub(" ", name),
        name.translate(_UMLAUTS),
    ):
        if other != name:
            yield other


def forms(name: str) -> Iterator[tuple[str, bool]]:
    """(form, whether it is ours) of a name, itself first; a form may come twice."""
    yield name, False
    short = without_legal_form(name)
    yield short, True
    for each in (name, short):
        for other in spellings(each):
            yield other, True
