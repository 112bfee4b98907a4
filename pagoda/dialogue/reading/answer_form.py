"""The form of a language model's reading: `{"find_hotel":{"location":"Luming"}}`, and nothing that is not said.

First station of a turn, for `model_reader`. One intent out of a few, then its slots where something fills them; a value
is one of the stretches of whole words in the sentence. So it cannot be made up, and no answer is longer than the
longest that the schema allows: with `max_tokens` it is never cut, and is JSON whatever the model. Learned from Willard
& Louf 2023, "Efficient Guided Generation for Large Language Models" (arXiv 2307.09702).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.errors import ChatModelError
from pagoda.language import language_of
from pagoda.nlu.tagging import split_words

_LONGEST = {"en": 8, "zh": 16}
"""Words, or Han characters, of the longest value."""
_MAX_STRETCHES = 600
_MIN_LONGEST = 3
_ROOM_FOR_SPACES = 2
"""A server may let the model set spaces between the parts of its JSON."""


class AnswerForm:
    """What may be answered about one sentence. intents: {intent: its slots in the order of the answer}."""

    def __init__(self, text: str, intents: Mapping[str, Sequence[str]]) -> None:
        self._text, self._intents = text, intents
        self._places = _stretches(text)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the answer."""
        return {
            "$defs": {"words": {"enum": list(self._places)}},
            "anyOf": [
                _object({intent: _object({slot: {"$ref": "#/$defs/words"} for slot in slots})}, [intent])
                for intent, slots in self._intents.items()
            ],
        }

    @property
    def max_tokens(self) -> int:
        """Enough for every answer: a token is a byte at least."""
        longest = max(self._places, key=lambda words: len(words.encode()), default="")
        answers = (answer_text(intent, dict.fromkeys(slots, longest)) for intent, slots in self._intents.items())
        return _ROOM_FOR_SPACES * max(len(answer.encode()) for answer in answers) + 1

    def read(self, answer: str) -> tuple[str, dict[str, tuple[int, int]]]:
        """(intent, {slot: (start, end) in the sentence}). Raises ChatModelError for what does not have this form."""
        try:
            ((intent, values),) = json.loads(answer).items()
            slots = {slot: self._places[words] for slot, words in values.items()}
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise ChatModelError(f"the model's answer is not in the form it was held to: {answer:.80}") from error
        if intent not in self._intents or not slots.keys() <= set(self._intents[intent]):
            raise ChatModelError(f"the model's answer names what was not asked for: {answer:.80}")
        return intent, slots


def answer_text(intent: str, slots: Mapping[str, str]) -> str:
    """An answer as the model writes it, without a space that says nothing.

    >>> answer_text("find_hotel", {"location": "鹿鸣"})
    '{"find_hotel":{"location":"鹿鸣"}}'
    """
    return json.dumps({intent: slots}, ensure_ascii=False, separators=(",", ":"))


def _object(properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _stretches(text: str) -> dict[str, tuple[int, int]]:
    """{words: place of the first}; of a long sentence shorter ones only."""
    words = split_words(text)
    longest = min(_LONGEST[language_of(text)], max(_MIN_LONGEST, _MAX_STRETCHES // max(1, len(words))))
    found: dict[str, tuple[int, int]] = {}
    for first, word in enumerate(words):
        for last in words[first : first + longest]:
            found.setdefault(text[word.start : last.end], (word.start, last.end))
    return found
