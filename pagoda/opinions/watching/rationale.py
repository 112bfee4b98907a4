"""Why a story says what it says of a company, in a language model's words, each held against the text.

Beside the path, and only where somebody asks. The model quotes; a quote that does not stand in the text, letter by
letter but for white space and width, is dropped with whatever was said of it, so that no reason rests on words that
nobody wrote.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from pagoda.chat.model import ChatModel, ChatParams, Message
from pagoda.errors import ChatModelError
from pagoda.language import Language

MOST_REASONS, LONGEST_QUOTE, LONGEST_WHY = 5, 300, 400
_LONGEST_TEXT = 6_000
"""Characters that a model reads."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasons": {
            "type": "array",
            "maxItems": MOST_REASONS,
            "items": {
                "type": "object",
                "properties": {"quote": {"type": "string"}, "why": {"type": "string"}},
                "required": ["quote", "why"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["reasons"],
    "additionalProperties": False,
}
_ASKS: dict[Language, str] = {
    "en": (
        "Below is a news text. It was judged {label} for {company}. Give the passages that say so, each quoted word by "
        "word from the text, and one sentence of explanation for each. Answer with JSON: "
        '{{"reasons": [{{"quote": "...", "why": "..."}}]}}\n\nText:\n{text}'
    ),
    "zh": (
        "下面是一则新闻，对{company}的倾向判断为 {label}。请逐字引用原文中能说明这一判断的片段，并各用一句话解释。"
        '只输出 JSON：{{"reasons": [{{"quote": "……", "why": "……"}}]}}\n\n原文：\n{text}'
    ),
}


@dataclass(frozen=True)
class QuotedReason:
    """start, end: characters of the text that the quote is."""

    quote: str
    why: str
    start: int
    end: int


async def reasons(model: ChatModel, text: str, company: str, label: str, language: Language) -> list[QuotedReason]:
    """Those reasons of the model's whose quotes stand in the text. Raises ChatModelError."""
    asked = _ASKS[language].format(label=label, company=company, text=text[:_LONGEST_TEXT])
    answer = await model.chat([Message("user", asked)], ChatParams(max_tokens=600, json_schema=_SCHEMA))
    try:
        given = json.loads(answer.text)["reasons"]
        pairs = [(str(each["quote"]), str(each["why"])) for each in given]
    except (ValueError, KeyError, TypeError) as error:
        raise ChatModelError(f"{model.name} gave no reasons in the form that it was asked for: try again") from error
    return checked(text, pairs)


def checked(text: str, pairs: list[tuple[str, str]]) -> list[QuotedReason]:
    """Reasons whose quotes stand in the text, where they stand there.

    >>> [(r.quote, r.start) for r in checked("Shares  fell 9 %.", [("shares fell", "a"), ("Shares fell", "b")])]
    [('Shares  fell', 0)]
    """
    plain, places = _plain(text)
    found: list[QuotedReason] = []
    for quote, why in pairs[:MOST_REASONS]:
        wanted, _ = _plain(quote[:LONGEST_QUOTE])
        at = plain.find(wanted) if wanted else -1
        if at >= 0:
            start, end = places[at], places[at + len(wanted) - 1] + 1
            found.append(QuotedReason(text[start:end], why[:LONGEST_WHY].strip(), start, end))
    return list({reason.start: reason for reason in reversed(found)}.values())[::-1]


def as_json(found: list[QuotedReason]) -> str:
    """As it is kept."""
    return json.dumps([asdict(reason) for reason in found], ensure_ascii=False)


def _plain(text: str) -> tuple[str, list[int]]:
    """Letters without white space, of one width, and the place of each in the text."""
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        for part in unicodedata.normalize("NFKC", letter):
            if not part.isspace():
                letters.append(part)
                places.append(place)
    return "".join(letters), places
