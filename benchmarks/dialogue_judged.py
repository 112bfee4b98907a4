"""A dialogue on sentences of other people, every turn judged by what the sentence means: right, acceptable or wrong.

    python benchmarks/dialogue_judged.py --half develop --verbose
    python benchmarks/dialogue_judged.py --half report --data FOLDER --json verdicts.json

The whole path of a turn, from outside. `data/judged` holds conversations of CrossWOZ, MultiWOZ, Restaurant-8k and, with
--data, SGD, with the shipped city's names put in, and the right state after each turn (README.md there). A turn is
right; acceptable, where it asks or says that it did not understand; wrong; or wrong in silence, where something that
was said is gone and nobody says so. --verbose prints the failing turns of the half `develop`, never of the other.
"""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from judged.labels import Conversation, read, sentences
from judged.observed import Seen, seen
from judged.running import Ruled, Run
from judged.table import as_json, failing, tables
from judged.town import Town
from machine import provenance

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.settings import AgentSettings

NOW = datetime(2026, 11, 28, 10, 0)


def talker(agent: DialogueAgent) -> Callable[[str], Seen]:
    """A new session: sentence to what was seen."""
    session = f"judged-{uuid.uuid4().hex[:12]}"
    return lambda text: seen(agent.reply(session, text))


def ruled(agent: DialogueAgent, conversations: list[Conversation], town: Town, data: Path | None) -> Iterator[Ruled]:
    """Every turn of every conversation whose sentences are there."""
    for conversation in conversations:
        texts = sentences(conversation, data)
        if texts is None:
            continue
        yield from Run(conversation, texts, talker(agent), town).turns()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["develop", "report"], default="develop")
    parser.add_argument("--data", type=Path, help="folder of the sets, for sentences that are not kept here")
    parser.add_argument("--language", choices=["zh", "en"])
    parser.add_argument("--only", default="", help="conversations whose name begins with this")
    parser.add_argument("--folder", type=Path, default=Path("pagoda-judged"), help="kept between runs")
    parser.add_argument("--json", type=Path, help="every verdict")
    parser.add_argument("--verbose", action="store_true", help="failing turns of the half develop")
    options = parser.parse_args()
    town = Town()
    chosen = [
        each
        for each in read(town)
        if each.half == options.half
        and options.language in (None, each.language)
        and each.name.startswith(options.only)
    ]
    settings = AgentSettings(clock=lambda: NOW, draws=False)
    with DialogueAgent(folder=options.folder, settings=settings) as agent:
        found = list(ruled(agent, chosen, town, options.data))
    if options.verbose and options.half == "develop":
        print("\n".join(failing(found)), end="\n\n")
    print(f"half {options.half}\n\n{tables(found)}\n\n{provenance()}")
    if options.json:
        options.json.write_text(json.dumps(as_json(found), ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    main()
