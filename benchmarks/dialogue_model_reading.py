"""A language model that reads strangers' sentences, beside the fast reader: JSON, intents, slots, time.

    python benchmarks/dialogue_model_reading.py --data DEV_FOLDER --model model.gguf --out benchmarks/results
    python benchmarks/dialogue_model_reading.py --data DEV_FOLDER --model http://127.0.0.1:8000 --sets city --number 20

Two sets of 100 (`dialogue_sentences`): SNIPS, where the fast reader and the prompts have learned the same examples, and
turns of other people's dialogues for the shipped domain. Four readers: the fast one; the model by itself, asked about
every sentence with every intent open; the model with the fast reader, as `--strategy intent_first --model` has it; and
the hybrid, which asks about hard sentences only. Sentences are read one by one, after the prompts' beginning was made
ready. A value is right by its exact words; for the shipped domain also by what these mean (`dialogue_city`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialogue_city import City
from dialogue_sentences import HALVES, Example, balanced, snips, strangers
from machine import provenance

from pagoda.chat.held import HeldModel
from pagoda.chat.loop import LoopThread
from pagoda.chat.model import ChatAnswer, ChatModel, ChatParams, Message
from pagoda.cli.console.chat_models import chat_model
from pagoda.dialogue.assembly import frames_of, lessons_of, lexicon_of
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.learned import understanding_of
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.model_prompt import Lessons
from pagoda.dialogue.reading.model_reader import ModelSettings, ModelUnderstanding
from pagoda.dialogue.reading.strategies import Frame, Frames, Hybrid, IntentFirst
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.language import language_of
from pagoda.nlu.fast_understanding import FastUnderstanding
from pagoda.nlu.tagging import score_spans
from pagoda.nlu.understanding import TurnContext, Understander, Understanding

READERS = ("fast", "alone", "model", "hybrid")
EXAMPLES_OF_SNIPS = 700
HEAD = "| set | reader | asked | JSON valid | intent | slot F1 | value F1 | median ms | 95 % ms | if asked | cached |"


class Watched:
    """A ChatModel that keeps what it was answered, and whether that is JSON. Every answer is asked for once."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self.answers: list[ChatAnswer] = []

    @property
    def name(self) -> str:
        return self._model.name

    async def max_context_tokens(self) -> int | None:
        return await self._model.max_context_tokens()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return await self._model.count_tokens(messages)

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        answer = await self._model.chat(messages, params)
        if params is not None and params.json_schema is not None:
            self.answers.append(answer)
        return answer

    async def chat_batch(
        self, conversations: Sequence[Sequence[Message]], params: ChatParams | None = None
    ) -> list[ChatAnswer]:
        return [await self.chat(messages, params) for messages in conversations]

    def stream(self, messages: Sequence[Message], params: ChatParams | None = None) -> AsyncIterator[str]:
        return self._model.stream(messages, params)

    async def aclose(self) -> None:
        await self._model.aclose()


class Remembering:
    """A reader that reads a sentence once and remembers: the hybrid's model is asked nothing twice."""

    def __init__(self, reader: Understander) -> None:
        self._reader = reader
        self.seconds: dict[str, float] = {}
        self._read: dict[str, Understanding] = {}

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """See `Understander`."""
        if text not in self._read:
            began = time.perf_counter()
            self._read[text] = self._reader.parse(text, context)
            self.seconds[text] = time.perf_counter() - began
        return self._read[text]


@dataclass(frozen=True)
class Nobody:
    """Knows the language of a sentence and nothing else: what is left of a fast reader for a model by itself."""

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """Without candidates every intent is open."""
        return Understanding(text, language_of(text), "", 0.0)


@dataclass(frozen=True)
class Task:
    """Sentences, and what readers know of their domain. meaning: of a slot's words, where there is a graph."""

    name: str
    sentences: Sequence[Example]
    frames: Frames
    fast: Understander
    lessons: Lessons
    counts: Callable[[str, str], bool] | None = None
    meaning: Callable[[str, str], str] | None = None


@dataclass
class Outcome:
    """What one reader did."""

    reader: str
    readings: list[Understanding]
    seconds: list[float]
    answers: list[ChatAnswer] = field(default_factory=list)


def snips_task(data: Path, folder: Path, half: str, number: int) -> Task:
    """SNIPS' intents as frames; readers learn the same examples."""
    train, sentences = snips(data, half, number)
    slots: dict[str, set[str]] = {row["intent"]: set() for row in train}
    for row in train:
        slots[row["intent"]] |= {slot["slot"] for slot in row["slots"]}
    frames = {intent: Frame(intent, optional=frozenset(own)) for intent, own in sorted(slots.items())}
    learned = balanced([row for row in train if language_of(row["text"]) == "en"], EXAMPLES_OF_SNIPS)
    if not (folder / "snips").exists():
        FastUnderstanding.train(learned, effort="heads").save(folder / "snips")
    return Task("snips", sentences, frames, FastUnderstanding.load(folder / "snips"), Lessons(learned))


def city_task(data: Path, folder: Path, half: str, number: int) -> Task:
    """The shipped domain as `assembly` puts it together."""
    domain = Domain.load()
    with Graph.embedded(folder / "graph") as graph:
        load(graph, city())
        linker = Linker.from_graph(domain, graph)
    fast = understanding_of(domain, lexicon_of(domain, linker), folder / "understanding")
    base = Complemented(fast, domain, linker)
    meaning = City(domain, linker).meaning
    return Task(
        "city", strangers(data, half, number), frames_of(domain), base, lessons_of(domain), base.counts, meaning
    )


TASKS: dict[str, Callable[[Path, Path, str, int], Task]] = {"snips": snips_task, "city": city_task}


def outcomes(
    task: Task, held: HeldModel, watched: Watched, names: Sequence[str], settings: ModelSettings
) -> Iterator[Outcome]:
    """Each reader over all sentences, one by one."""
    by_itself = ModelUnderstanding(held, task.frames, Nobody(), task.lessons, settings)
    model = Remembering(ModelUnderstanding(held, task.frames, task.fast, task.lessons, settings, counts=task.counts))
    readers: dict[str, Understander] = {
        "fast": IntentFirst(task.fast, task.frames),
        "alone": by_itself,
        "model": IntentFirst(model, task.frames),
        "hybrid": Hybrid(task.fast, task.frames, model),
    }
    if set(names) - {"fast"}:
        by_itself.warm()
    for name in names:
        yield read_by(name, readers[name], task, watched, model)


def read_by(name: str, reader: Understander, task: Task, watched: Watched, model: Remembering) -> Outcome:
    """One reader's readings and seconds; what was remembered counts as if it had been asked now."""
    known, num_answers = dict(model.seconds), len(watched.answers)
    outcome = Outcome(name, [], [])
    for sentence in task.sentences:
        began = time.perf_counter()
        reading = reader.parse(sentence["text"])
        seconds = time.perf_counter() - began
        if "model" in reading.route or name == "model":
            seconds += known.get(sentence["text"], 0.0)
        outcome.readings.append(reading)
        outcome.seconds.append(seconds)
    outcome.answers = watched.answers[num_answers:]
    return outcome


def figures(task: Task, outcome: Outcome) -> dict[str, Any]:
    """Everything that the table tells."""
    asked = ["model" in reading.route for reading in outcome.readings]
    milliseconds = sorted(1e3 * seconds for seconds in outcome.seconds)
    of_asked = [1e3 * seconds for seconds, was in zip(outcome.seconds, asked, strict=True) if was]
    right = [r.intent == s["intent"] for r, s in zip(outcome.readings, task.sentences, strict=True)]
    prompts = sum(answer.num_prompt_tokens for answer in outcome.answers)
    return {
        "set": task.name,
        "reader": outcome.reader,
        "num_sentences": len(task.sentences),
        "asked": sum(asked),
        "failed": sum("model_failed" in reading.route for reading in outcome.readings),
        "answers": len(outcome.answers),
        "valid": sum(_is_json(answer.text) for answer in outcome.answers),
        "intent_accuracy": statistics.mean(right),
        "slot_f1": _slot_f1(task, outcome.readings, None),
        "value_f1": _slot_f1(task, outcome.readings, task.meaning) if task.meaning is not None else None,
        "median_ms": statistics.median(milliseconds),
        "p95_ms": milliseconds[int(0.95 * (len(milliseconds) - 1))],
        "median_ms_asked": statistics.median(of_asked) if of_asked else None,
        "mean_completion_tokens": statistics.mean(a.num_completion_tokens for a in outcome.answers)
        if outcome.answers
        else None,
        "cached": sum(a.num_cached_tokens for a in outcome.answers) / prompts if prompts else None,
    }


def _slot_f1(task: Task, readings: Sequence[Understanding], meaning: Callable[[str, str], str] | None) -> float:
    """By place in the sentence, or by what the words mean."""
    golds, founds = [], []
    for sentence, reading in zip(task.sentences, readings, strict=True):
        gold = [(slot["slot"], slot["start"], slot["end"]) for slot in sentence["slots"]]
        found = [(slot.slot, slot.start, slot.end) for slot in reading.slots]
        if meaning is not None:
            words = sentence["text"]
            gold = [(slot, meaning(slot, words[start:end]), 0) for slot, start, end in gold]
            found = [(slot.slot, meaning(slot.slot, slot.value), 0) for slot in reading.slots]
        golds.append(gold)
        founds.append(found)
    return score_spans(golds, founds).f1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def row(one: Mapping[str, Any]) -> str:
    """A line of the table."""
    valid = f"{one['valid']} of {one['answers']}" if one["answers"] else "-"
    cells = [one["set"], one["reader"], f"{one['asked']} of {one['num_sentences']}", valid]
    cells += [_share(one[name]) for name in ("intent_accuracy", "slot_f1", "value_f1")]
    cells += [_whole(one[name]) for name in ("median_ms", "p95_ms", "median_ms_asked")]
    return "| " + " | ".join([*cells, _share(one["cached"])]) + " |"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of development sets")
    parser.add_argument("--model", required=True, help="what --model of pagoda dialogue takes: a path, a name, a URL")
    parser.add_argument("--title", help="what to call the model (default: its own name)")
    parser.add_argument("--folder", type=Path, help="where trained readers are kept for the next run")
    parser.add_argument("--sets", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=READERS)
    parser.add_argument("--number", type=int, default=100, help="sentences of each set")
    parser.add_argument("--timeout-s", type=float, default=30.0, help="of one call, as in a dialogue")
    parser.add_argument("--half", default=HALVES[1], choices=HALVES, help="prompts are written on the other half")
    parser.add_argument("--verbose", action="store_true", help="show every answer")
    parser.add_argument("--out", type=Path, help="folder for the table and the figures")
    options = parser.parse_args()
    opened = chat_model({"model": options.model})
    assert opened is not None
    watched, settings = Watched(opened), ModelSettings(timeout_s=options.timeout_s)
    held, line = HeldModel(watched, LoopThread(instead="areply"), owned=True), provenance()
    results = []
    with tempfile.TemporaryDirectory() as passing:
        try:
            for name in options.sets:
                task = TASKS[name](options.data, options.folder or Path(passing), options.half, options.number)
                for outcome in outcomes(task, held, watched, options.readers, settings):
                    results.append(figures(task, outcome))
                    print(json.dumps(results[-1], ensure_ascii=False), flush=True)
                    if options.verbose:
                        _show(task, outcome)
        finally:
            held.close()
    title = options.title or watched.name
    table = "\n".join([HEAD, "|---" * 11 + "|", *map(row, results)])
    print(f"{title}\n\n{table}\n\n{line}")
    if options.out is not None:
        _write(options.out, title, table, line, results)


def _show(task: Task, outcome: Outcome) -> None:
    for sentence, reading in zip(task.sentences, outcome.readings, strict=True):
        gold = {slot["slot"]: slot["value"] for slot in sentence["slots"]}
        found = {slot.slot: slot.value for slot in reading.slots}
        mark = "  " if (reading.intent, found) == (sentence["intent"], gold) else "! "
        print(f"{mark}{sentence['text']}  {sentence['intent']} {gold}  {reading.route}: {reading.intent} {found}")


def _write(folder: Path, title: str, table: str, line: str, results: Sequence[Mapping[str, Any]]) -> None:
    """Beside what was measured with other models."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dialogue_model_reading.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    kept[title] = {"provenance": line, "table": table, "results": results}
    path.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")
    parts = [f"## {name}\n\n{one['table']}\n\n{one['provenance']}\n" for name, one in kept.items()]
    (folder / "dialogue_model_reading.md").write_text("\n".join(parts), "utf-8")


if __name__ == "__main__":
    main()
