"""A language model that words replies (`--rephrase`): how many wordings are believed, how many thrown away, how slow.

    python benchmarks/dialogue_rephrasing.py --model model.gguf
    python benchmarks/dialogue_rephrasing.py --model http://127.0.0.1:8000 --number 10 --verbose

Last station of a turn. The replies are templates filled from the shipped city's rows, as a dialogue says them to the
sentences of data/city_heldout.jsonl, half of them Chinese; each is rephrased once. "same": the model gave the template
back; "thrown away": the wording held a number or a name that the rows do not, or was cut; "believed" is what a person
would have heard, and --verbose shows it, since the check is by form and a reader has to judge the rest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dialogue_city import held_out
from machine import provenance

from pagoda.chat.held import HeldModel
from pagoda.chat.loop import LoopThread
from pagoda.cli.console.chat_models import chat_model
from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reply.rephraser import Rephraser
from pagoda.dialogue.turn.turn import Turn
from pagoda.language import Language, language_of


@dataclass(frozen=True)
class Wording:
    """One reply in the model's words. verdict: "believed", "same" or "thrown away"."""

    language: Language
    template: str
    said: str
    verdict: str
    seconds: float


def replies(agent: DialogueAgent, language: Language, number: int) -> list[Turn]:
    """Turns that told rows."""
    sentences = (one["text"] for one in held_out(agent.domain) if language_of(one["text"]) == language)
    turns = (agent.reply(f"{language}-{place}", text) for place, text in enumerate(sentences))
    return list(islice((turn for turn in turns if turn.taken.rows), number))


def worded(rephraser: Rephraser, turns: list[Turn]) -> Iterator[Wording]:
    """Each reply once, as `DialogueAgent` has it said."""
    for turn in turns:
        began = time.perf_counter()
        wording = rephraser.worded(turn.text, turn.taken.rows, turn.language)
        seconds = time.perf_counter() - began
        verdict = "thrown away" if wording is None else "same" if wording == turn.text else "believed"
        yield Wording(turn.language, turn.text, wording or "", verdict, seconds)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="what --model of pagoda dialogue takes: a path, a name, a URL")
    parser.add_argument("--number", type=int, default=20, help="replies of each language")
    parser.add_argument("--timeout-s", type=float, default=20.0, help="of one call, as in a dialogue")
    parser.add_argument("--folder", type=Path, help="a dialogue's folder that is there already")
    parser.add_argument("--verbose", action="store_true", help="show every wording")
    options = parser.parse_args()
    line, opened = provenance(), chat_model({"model": options.model})
    assert opened is not None
    held = HeldModel(opened, LoopThread(instead="areply"), owned=True)
    try:
        with tempfile.TemporaryDirectory() as passing, DialogueAgent(folder=options.folder or passing) as agent:
            turns = [turn for language in ("en", "zh") for turn in replies(agent, language, options.number)]
            names = Linker.from_graph(agent.domain, agent.graph).names(agent.domain.labels)
            rephraser = Rephraser(held, agent.domain, names, timeout_s=options.timeout_s)
            print("| replies | believed | same | thrown away | median ms | 95 % ms |\n" + "|---" * 6 + "|")
            told = []
            for language in ("en", "zh"):
                own = list(worded(rephraser, [turn for turn in turns if turn.language == language]))
                told += own
                print(_row(language, own), flush=True)
            print(_row("both", told))
            for one in told if options.verbose else ():
                print(f"\n{one.verdict}: {one.template}\n  -> {one.said}")
    finally:
        held.close()
    print(f"\n{line}")


def _row(title: str, wordings: list[Wording]) -> str:
    verdicts = Counter(one.verdict for one in wordings)
    milliseconds = sorted(1e3 * one.seconds for one in wordings)
    counts = [str(verdicts[name]) for name in ("believed", "same", "thrown away")]
    times = [f"{at:.0f}" for at in (statistics.median(milliseconds), milliseconds[int(0.95 * (len(wordings) - 1))])]
    return "| " + " | ".join([f"{title}, {len(wordings)}", *counts, *times]) + " |"


if __name__ == "__main__":
    main()
