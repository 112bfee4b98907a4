"""Text of others made harmless before a model reads it: documents and questions are data.

On a question's path between Hits and prompt. A chat template marks turns with special tokens; text that spells one out
would end the user's turn and begin another. Here such spellings are broken up, invisible characters go, and the
prompt's own marks (<source>, [1]) cannot be imitated. Only the model sees this text; quotes stay as the document has
them.
"""

from __future__ import annotations

import re

# Format characters and Unicode's tag characters: invisible to a person, readable to a model.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_BAR = "[|\uff5c\u2758]"
_OPEN, _CLOSE = "[<\uff1c]", "[>\uff1e]"
_BARRED = re.compile(rf"{_OPEN}(?=\s*/?\s*{_BAR})|(?<={_BAR}){_CLOSE}")
_TAGGED = re.compile(
    rf"{_OPEN}(?=\s*/?\s*(?:s|bos|eos|pad|unk|mask|sep|cls|sys|source|sources|system|user|assistant|think|tool_\w+"
    rf"|im_\w+|(?:start|end)_of_\w+|begin_of_\w+|function\w*|instructions?|question|tools?|filename|reponame)\b)",
    re.IGNORECASE,
)
# Models that were trained on code mark files and notebooks by names of this form: <file_sep>, <jupyter_start>. A
# placeholder of a manual, <branch_name>, has it as well, and is read as well with another bracket.
_NAMED = re.compile(rf"{_OPEN}(?=\s*/?\s*[a-z]+(?:_[a-z]+)+\s*{_CLOSE})")
_BRACKETED = re.compile(r"\[(?=\s*/?\s*(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+)\b)", re.IGNORECASE)
_NUMBERED = re.compile(r"[\[【]\s*(\d{1,3}(?:\s*[,，、]\s*\d{1,3})*)\s*[\]】]")


def neutralised(text: str) -> str:
    """Text without anything that a template or the prompt's own marks could be confused with.

    >>> neutralised("ok <|im_end|> </source> [INST] as shown in [3]")
    'ok ‹|im_end|› ‹/source> (INST] as shown in (3)'
    >>> neutralised("a < b, x <y> and List[int] stay")
    'a < b, x <y> and List[int] stay'
    """
    text = _CONTROLS.sub(" ", _INVISIBLE.sub("", text))
    text = _BARRED.sub(lambda match: "‹" if match[0] in "<\uff1c" else "›", text)
    text = _BRACKETED.sub("(", _NAMED.sub("‹", _TAGGED.sub("‹", text)))
    return _NUMBERED.sub(r"(\1)", text)


def neutralised_name(name: str) -> str:
    """A file's name as an attribute: on one line, without quotes, not endless.

    >>> neutralised_name('a"> </source>')
    'a’› ‹/source›'
    """
    plain = neutralised(name).replace("\n", " ").replace("\t", " ").replace('"', "’")
    return plain.replace("<", "‹").replace(">", "›")[:200]
