"""A document's own writing as a person reads it: without the marks of its format, and never a piece of one.

Beside what is shown: what is quoted stays to the letter in the citation, but the text of an answer holds no link's
target, no bar of a table, no fence of a code block. Markdown (CommonMark 0.31), what static sites add to it, and the
roles of reStructuredText are read; other text has none of these marks and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pagoda.rag.documents.document import ADDRESS
from pagoda.rag.documents.fences import Fences

_TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$|^\s*\|.*\|")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_CODE_SPAN = re.compile(r"(`+[^`]+`+)")
_HTML = "a|abbr|b|br|code|dd|del|details|div|dl|dt|em|hr|i|img|kbd|li|ol|p|pre|small|span|strong|sub|summary|sup|u|ul"
# Marks stand at the edges of Latin words, and anywhere in Chinese, which has no blanks; underscores only where no word
# goes on, in any script (CommonMark's flanking, but that 2*3*4, **/*.py and __init__.py are no emphasis).
_LEFT, _RIGHT = r"(?<![A-Za-z0-9_*\\/])", r"(?![A-Za-z0-9_*])"
# A path may stand between stars, and a pattern of paths begins with some.
_OPENS = r"(?:(?=[^\s*/])|(?=/[^\s*]+\*))"


def _starred(most: int) -> re.Pattern[str]:
    """Words between up to so many stars."""
    return re.compile(rf"{_LEFT}(\*{{1,{most}}}){_OPENS}(.+?)(?<=[^\s*])\1{_RIGHT}", re.DOTALL)


# Of a component; List<String> and a type's <T extends Bar = Baz> have none.
_ATTRIBUTES = r"""\s[^<>]*=\s*["'{][^<>]*"""
_INLINE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\{\{[<%].*?[>%]\}\}|<!--.*?-->"), ""),
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\((?:[^()]|\([^()]*\))*\)"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\[[^\]]*\]"), r"\1"),
    (re.compile(rf"</?(?:{_HTML})(?:\s[^<>]*)?/?>", re.I), " "),
    (re.compile(rf"<([A-Z]\w*){_ATTRIBUTES}(?<!/)>(.*?)</\1>", re.DOTALL), r"\2"),
    (re.compile(rf"<[A-Z]\w*(?:{_ATTRIBUTES}|\s*/)>|^\s*</?[A-Z]\w*>\s*$", re.MULTILINE), ""),
    # Once for the outer marks, once for those within them.
    (_starred(3), r"\2"),
    (_starred(2), r"\2"),
    (re.compile(r"(?<![\w./])__(?=[^\s_])([^_]+?)(?<=[^\s_])__(?![\w(/]|\.\w| =)"), r"\1"),
    (re.compile(r"(?<!\w)_(?=[^\s_])([^_]+?)(?<=[^\s_])_(?!\w)"), r"\1"),
    (re.compile(r"(?<![A-Za-z0-9_=)\]])==(?=[^\s=])([^=\n]+?)(?<=[^\s=])==(?![\w=])"), r"\1"),
    (re.compile(r":(?:material|octicons|fontawesome|simple)-[a-z0-9-]+:(?:\{[^{}\n]*\})? ?"), ""),
)
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{2,})\s*$")
_RULE = re.compile(r"^\s*([-*_])(?:[ \t]*\1){2,}\s*$")
_REFERENCE = re.compile(rf"^ {{0,3}}\[[^\]\n]+\]:\s*{ADDRESS}(?:\s+[\"'(].*)?$")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s|^\s*(?:#{1,6}\s|>)|^\s*$")
_ROLE = re.compile(r":[a-z:+-]+:(?=`)")
_ROLE_WITH_TARGET = re.compile(r":[a-z:+-]+:`([^`<]+?)\s*<[^`>]+>`")
_LINE_START = re.compile(r"^\s*(?:#{1,6}\s+|>\s?)+")
_FORMAT = re.compile(r"[|\n]|\]\(|\*\*|__|^#+\s|https?:|www\.|\{\{|</?\w+>|\.(?:md|html?|rst)\b|::")
_BRACKETS = ("()", "[]", "{}", "（）", "《》", "“”", "「」", "『』", "【】")
_LATIN = re.compile(r"[A-Za-z0-9]")
_GOES_ON_LEFT = re.compile(r"[A-Za-z0-9_][-_./@$\\]*\Z|[-_/@\\]+\Z")
_GOES_ON_RIGHT = re.compile(r"[-_./@$\\]*[A-Za-z0-9_]")
_REACH = 8


def readable(text: str, in_code: bool = False) -> str:
    """The text without marks of its format; lines stay lines, code stays code.

    in_code: whether it begins within a fenced block, as its document knows

    >>> readable("## Ports\\n\\nSee [the **list**](ports.md): `--port` sets it.")
    'Ports\\n\\nSee the list: `--port` sets it.'
    >>> readable("| Name | Port |\\n|---|---|\\n| web | 80 |")
    'Name: web; Port: 80'
    >>> readable("x = **y\\n```\\n**So**", in_code=True)
    'x = **y\\nSo'
    """
    told = "\n".join(_told(text.split("\n"), in_code))
    return re.sub(r"\n{3,}", "\n\n", told).strip("\n").rstrip()


def is_bare(text: str, start: int, end: int) -> bool:
    """Whether characters start to end of a text read by themselves.

    They hold words, none of them cut, and neither marks of a format nor half of a bracket.

    >>> [is_bare(text, 0, len(text)) for text in ("30 days", "[30 days](x.md)", "80 |", "(see", "`ls` or")]
    [True, False, False, False, True]
    >>> is_bare("use --no-site-file", 9, 18)
    False
    """
    span = text[start:end]
    if not any(character.isalnum() for character in span) or _FORMAT.search(span) or _cuts_word(text, start, end):
        return False
    return all(span.count(pair[0]) == span.count(pair[1]) for pair in _BRACKETS) and span.count("`") % 2 == 0


def _cuts_word(text: str, start: int, end: int) -> bool:
    """Whether a Latin word or a number goes on over an edge: `site` of --no-site-file, 12 of 3.12."""
    before = _GOES_ON_LEFT.search(text[max(0, start - _REACH) : start])
    after = _GOES_ON_RIGHT.match(text[end : end + _REACH])
    opens = before is not None and _LATIN.match(text[start : start + 1]) is not None
    closes = after is not None and _LATIN.match(text[end - 1 : end]) is not None
    return opens or closes


def _told(lines: Sequence[str], in_code: bool) -> Iterator[str]:
    """Code as it stands, and what stands between it read."""
    prose: list[str] = []
    fences = Fences(in_code)
    for line in lines:
        match fences.told(line):
            case "code":
                yield from _prose(prose)
                prose = []
                yield line
            case "":
                prose.append(line)
    yield from _prose(prose)


def _prose(lines: Sequence[str]) -> Iterator[str]:
    """Rows of tables, and paragraphs: a mark that is opened in one of their lines may close in another."""
    header, paragraph = None, list[str]()
    for number, line in enumerate(lines):
        is_row = _TABLE_ROW.match(line) is not None
        if is_row or _ITEM.match(line):
            yield from _paragraph(paragraph)
            paragraph = []
        if _TABLE_RULE.match(line) and "|" in line:
            continue
        if not is_row:
            header = None
            if not _is_mark(line, lines[number - 1] if number else ""):
                paragraph.append(line)
        elif header is None and number + 1 < len(lines) and _TABLE_RULE.match(lines[number + 1]):
            header = _cells(line)
        else:
            yield _row(header, _cells(line))
    yield from _paragraph(paragraph)


def _is_mark(line: str, above: str) -> bool:
    """Whether a line is nothing but a mark: a rule, the line below a heading, the target of a link."""
    if _UNDERLINE.match(line) and above.strip():
        return True
    return _RULE.match(line) is not None or _REFERENCE.match(line) is not None


def _paragraph(lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from _plain("\n".join(_LINE_START.sub("", line) for line in lines)).split("\n")


def _cells(line: str) -> list[str]:
    return [_plain(cell).strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _row(header: Sequence[str] | None, cells: Sequence[str]) -> str:
    """A row that names its columns."""
    names = header if header and len(header) == len(cells) else [""] * len(cells)
    told = [f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=True) if cell]
    return "; ".join(told)


def _plain(line: str) -> str:
    """Prose of a cell or of several lines; what stands between backticks is code, and stays."""
    line = _ROLE.sub("", _ROLE_WITH_TARGET.sub(r"\1", line))
    parts = _CODE_SPAN.split(line)
    if len(parts) == 1:
        return _inline(line)
    # Links and emphasis may stand around code, so code is set aside and put back.
    kept = [part for part in parts if _CODE_SPAN.fullmatch(part)]
    told = _inline("".join("\x00" if _CODE_SPAN.fullmatch(part) else part for part in parts))
    for part in kept:
        told = told.replace("\x00", part, 1)
    return told.replace("\x00", "")


def _inline(text: str) -> str:
    for pattern, instead in _INLINE:
        text = pattern.sub(instead, text)
    return "\n".join(line.rstrip() for line in text.split("\n"))
