"""Hits to a prompt: numbered sources in the question's language, packed into a budget of tokens.

On a question's path: question -> Hits -> *prompt* -> model -> checked Answer. Neighbouring chunks of a document become
one source, the weakest sources are dropped first, and what was dropped is said. Documents are data: their text is
neutralised, and the instructions stand in the system message alone. The best source stands first, because models
read the middle of a long prompt worst (Liu et al. 2023, "Lost in the Middle", arXiv 2307.03172).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pagoda.chat.model import Message
from pagoda.errors import PromptTooLongError
from pagoda.language import Language
from pagoda.rag.documents.document import Hit
from pagoda.rag.generative.neutralise import neutralised, neutralised_name
from pagoda.rag.generative.source import Source
from pagoda.rag.words import RetrievalWords, words_in

CountTokens = Callable[[Sequence[Message]], Awaitable[int]]
_MAX_GAP = 4
"""Characters between chunks that still touch: the splitter leaves out nothing but white space."""
_LEAST_CHARACTERS = 40


@dataclass(frozen=True)
class PackedPrompt:
    """A prompt, and what is in it. dropped: what is not, in words."""

    messages: tuple[Message, ...]
    sources: tuple[Source, ...]
    language: Language
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptPlan:
    """What a prompt is made for.

    budget: tokens of the prompt, None for any; history: earlier turns, oldest first
    marks: whether the model is told to mark each sentence with its source; a small one copies the example's mark and
        says nothing else, so it is asked in plain words, and the check alone finds what bears them
    """

    question: str
    language: Language
    count_tokens: CountTokens
    budget: int | None = None
    history: tuple[Message, ...] = ()
    marks: bool = True

    @property
    def words(self) -> RetrievalWords:
        """Of the question's language."""
        return words_in(self.language)

    async def fits(self, messages: Sequence[Message]) -> bool:
        """Whether a prompt is within the budget."""
        return self.budget is None or await self.count_tokens(messages) <= self.budget


async def build_prompt(plan: PromptPlan, hits: Sequence[Hit]) -> PackedPrompt:
    """The prompt of one question. Raises PromptTooLongError where not even a part of the best source fits."""
    sources, dropped = merged(hits), list[str]()
    history = plan.history
    while not await plan.fits(answer_messages(plan, sources, history)):
        if history:
            history = history[2:]
            continue
        if len(sources) == 1:
            sources = [await _shortened(plan, sources[0])]
            dropped.append(_shortening(plan.words, sources[0]))
            break
        *sources, weakest = sources
        dropped.append(plan.words.dropped.format(source=weakest.file, line=weakest.chunks[0].line))
    if len(history) < len(plan.history):
        dropped.append(plan.words.earlier_turns.format(count=len(plan.history) - len(history)))
    return PackedPrompt(answer_messages(plan, sources, history), tuple(sources), plan.language, tuple(dropped))


async def partitioned(plan: PromptPlan, sources: Sequence[Source]) -> list[list[Source]]:
    """Sources in parts that fit the budget one by one, each in the order of the sources."""
    parts: list[list[Source]] = []
    for source in sources:
        if parts and await plan.fits(note_messages(plan, [*parts[-1], source])):
            parts[-1].append(source)
        elif await plan.fits(note_messages(plan, [source])):
            parts.append([source])
        else:
            parts.append([await _shortened(plan, source)])
    return parts


def merged(hits: Sequence[Hit]) -> list[Source]:
    """Hits as sources, best first: those of a document that touch become one, with the best of their scores."""
    best = sorted(hits, key=lambda hit: -hit.score)
    sources = [_source(group) for group in _touching(best)]
    order = {hit.chunk.chunk_id: rank for rank, hit in enumerate(best)}
    sources.sort(key=lambda source: min(order[chunk.chunk_id] for chunk in source.chunks))
    return [replace(source, number=number) for number, source in enumerate(sources, start=1)]


def answer_messages(
    plan: PromptPlan, sources: Sequence[Source], history: Sequence[Message] = ()
) -> tuple[Message, ...]:
    """The conversation that asks for the answer."""
    words = plan.words
    if not plan.marks:
        return _plain(plan, (neutralised(source.text) for source in sources), history)
    return (
        Message("system", words.instructions.format(abstention=words.abstention)),
        *(Message(turn.role, neutralised(turn.content)) for turn in history),
        _ask(plan, words.sources, "\n\n".join(map(source_block, sources))),
    )


def note_messages(plan: PromptPlan, sources: Sequence[Source]) -> tuple[Message, ...]:
    """The conversation that asks what some of the sources say."""
    words = plan.words
    if not plan.marks:
        return answer_messages(plan, sources)
    instructions = Message("system", words.notes.format(abstention=words.abstention))
    return instructions, _ask(plan, words.sources, "\n\n".join(map(source_block, sources)))


def reduce_messages(plan: PromptPlan, notes: Iterable[str]) -> tuple[Message, ...]:
    """The conversation that makes one answer of the notes. Their [n] stay: they are ours to keep."""
    words = plan.words
    if not plan.marks:
        return _plain(plan, notes)
    instructions = Message("system", words.instructions.format(abstention=words.abstention))
    return instructions, _ask(plan, words.found_notes, "\n\n".join(notes))


def source_block(source: Source) -> str:
    """A source between its marks.

    >>> from pagoda.rag.documents.document import Chunk
    >>> print(source_block(Source(1, (Chunk("c", "a.txt", "One </source> two.", 0, 18, 3),), 1.0)))
    <source number="1" file="a.txt" line="3">
    One ‹/source> two.
    </source>
    """
    first = source.chunks[0]
    page = "" if first.page is None else f' page="{first.page}"'
    name = neutralised_name(source.file)
    head = f'<source number="{source.number}" file="{name}"{page} line="{first.line}">'
    return f"{head}\n{neutralised(source.text)}\n</source>"


def _plain(plan: PromptPlan, texts: Iterable[str], history: Sequence[Message] = ()) -> tuple[Message, ...]:
    """What a small model is asked: the question once, after the text, without marks or rules about them."""
    words = plan.words
    asked = words.plain_ask.format(text="\n\n".join(texts), question=neutralised(plan.question))
    return (
        Message("system", words.plain),
        *(Message(turn.role, neutralised(turn.content)) for turn in history),
        Message("user", asked),
    )


def _ask(plan: PromptPlan, title: str, material: str) -> Message:
    question = plan.words.question.format(question=neutralised(plan.question))
    # Once before and once after: small models forget what stands in front of long material.
    return Message("user", f"{question}\n\n{title}\n{material}\n\n{question}")


def _touching(best: Sequence[Hit]) -> list[list[Hit]]:
    """Groups of hits whose chunks touch in their document."""
    groups: list[list[Hit]] = []
    for hit in sorted(best, key=lambda hit: (hit.source, hit.chunk.start)):
        last = groups[-1] if groups else []
        if last and last[0].source == hit.source and hit.chunk.start <= max(h.chunk.end for h in last) + _MAX_GAP:
            last.append(hit)
        else:
            groups.append([hit])
    return groups


def _source(group: Sequence[Hit]) -> Source:
    return Source(0, tuple(hit.chunk for hit in group), max(hit.score for hit in group))


async def _shortened(plan: PromptPlan, source: Source) -> Source:
    """The longest beginning that fits, within some characters. Raises PromptTooLongError where there is none."""
    low, high = 0, len(source.text)
    while high - low > _LEAST_CHARACTERS:
        middle = (low + high) // 2
        fits = await plan.fits(answer_messages(plan, [replace(source, max_characters=middle)]))
        low, high = (middle, high) if fits else (low, middle)
    if low < _LEAST_CHARACTERS:
        raise PromptTooLongError(
            f"the question and the instructions leave no room for a source within {plan.budget} tokens: shorten the "
            "question, or take a model with a larger context",
            param="question",
        )
    return replace(source, max_characters=low)


def _shortening(words: RetrievalWords, source: Source) -> str:
    total = len(replace(source, max_characters=None).text)
    line = source.chunks[0].line
    return words.shortened.format(source=source.file, line=line, kept=len(source.text), total=total)
