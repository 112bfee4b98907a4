"""A language model reads the sentence: intent and slots in one short JSON answer, by constrained decoding.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. The model
only proposes, and among what the fast reading leaves open: it chooses where several intents are nearly as likely, and
adds values where they are missing, if they can be read as such or the graph knows them. `model_prompt` says what the
model is told, `answer_form` what it may answer. Where the model fails, the fast reading stands, and `route` says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pagoda.chat.held import HeldModel
from pagoda.chat.model import ChatParams
from pagoda.dialogue.reading.answer_form import AnswerForm
from pagoda.dialogue.reading.model_prompt import Lessons, ModelPrompt
from pagoda.dialogue.reading.strategies import Frames
from pagoda.errors import ChatModelError, InvalidRequestError
from pagoda.language import Language
from pagoda.nlu.understanding import SlotValue, TurnContext, Understander, Understanding

logger = logging.getLogger(__name__)

_GREETINGS: dict[Language, str] = {"en": "hello", "zh": "你好"}


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How the model is asked.

    num_shown: examples of each intent in every prompt; num_nearest: examples chosen for the sentence
    open_from: an intent is open to the model if the fast reading gives it this share of its likeliest one's confidence
    timeout_s: of one call; after it the fast reading stands
    """

    num_shown: int = 1
    num_nearest: int = 3
    open_from: float = 0.2
    timeout_s: float = 30.0


class ModelUnderstanding:
    """Reads with a language model.

    fast: gives language, acts, intents and their likelihood, and stands in where the model fails
    counts: whether words are a value of a slot, (slot, words); None where whatever was said is one
    """

    def __init__(
        self,
        model: HeldModel,
        frames: Frames,
        fast: Understander,
        lessons: Lessons | None = None,
        settings: ModelSettings | None = None,
        *,
        counts: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._model, self._fast, self._counts = model, fast, counts
        self._settings = settings or ModelSettings()
        self._prompt = ModelPrompt(frames, lessons or Lessons(), self._settings.num_shown, self._settings.num_nearest)

    def warm(self) -> None:
        """Have the model's engine compute what every prompt begins with, so that the first turn need not wait for it.

        Raises nothing: a model that does not answer now is told of when it is needed.
        """
        for language in self._prompt.languages:
            messages = self._prompt.messages(_GREETINGS[language], language, ())
            try:
                self._model.chat(messages, ChatParams(max_tokens=1))
            except (ChatModelError, InvalidRequestError) as error:
                logger.warning("the model could not be made ready: %s", error)
                return

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """One reading. Its `route` is "model", or "model_failed" where the fast one stands in.

        Where nothing is open, since one intent alone is likely and has no slots, nobody is asked.
        """
        fast = self._fast.parse(text, context)
        intents = {intent: self._wanted(intent, context) for intent in self._open(fast)}
        if len(intents) == 1 and not any(intents.values()):
            return fast
        try:
            return self._asked(fast, context, intents)
        except (ChatModelError, InvalidRequestError) as error:
            logger.warning("the model could not read a sentence, the fast reading stands: %s", error)
            return replace(fast, route="model_failed")

    def _open(self, fast: Understanding) -> Iterable[str]:
        """Intents that the model may choose."""
        ranked = fast.candidates or ((fast.intent, fast.confidence),)
        likely = [(intent, chance) for intent, chance in ranked if intent in self._prompt.slots]
        least = self._settings.open_from * max((chance for _, chance in likely), default=0.0)
        return [intent for intent, chance in likely if chance >= least] or self._prompt.slots

    def _wanted(self, intent: str, context: TurnContext | None) -> Sequence[str]:
        """An intent without slots leaves those of the task under way."""
        return self._prompt.slots[intent] or self._prompt.slots.get(context.intent if context else "", ())

    def _asked(
        self, fast: Understanding, context: TurnContext | None, intents: Mapping[str, Sequence[str]]
    ) -> Understanding:
        form = AnswerForm(fast.text, intents)
        messages = self._prompt.messages(fast.text, fast.language, intents, context)
        params = ChatParams(max_tokens=form.max_tokens, json_schema=form.schema)
        intent, places = form.read(self._model.chat(messages, params, timeout_s=self._settings.timeout_s).text)
        said = [SlotValue(slot, fast.text[start:end], start, end) for slot, (start, end) in places.items()]
        believed = [slot for slot in said if self._counts is None or self._counts(slot.slot, slot.value)]
        return replace(_relabelled(fast, intent), slots=_completed(fast, believed, intents[intent]), route="model")


def _relabelled(fast: Understanding, intent: str) -> Understanding:
    """The model's label in front. No probability passes the seam: it is half sure, and the fast reading's share more"""
    prior = dict(fast.candidates).get(intent, fast.confidence if intent == fast.intent else 0.0)
    confidence = 0.5 + 0.5 * prior
    others = tuple((name, p * (1 - confidence)) for name, p in fast.candidates if name != intent)
    return replace(fast, intent=intent, confidence=confidence, candidates=((intent, confidence), *others))


def _completed(fast: Understanding, said: Iterable[SlotValue], wanted: Collection[str]) -> tuple[SlotValue, ...]:
    """What the fast reading found for the intent, and what the model found beside it."""
    kept = [slot for slot in fast.slots if slot.slot in wanted]
    filled = {slot.slot for slot in kept}
    added = [
        new
        for new in said
        if new.slot not in filled and not any(new.start < slot.end and slot.start < new.end for slot in kept)
    ]
    return tuple(sorted((*kept, *added), key=lambda slot: slot.start))
