"""Who books, and who does not: sentences of others said to a booking that was read out and waits for a yes.

    python benchmarks/dialogue_yes.py FOLDER                     # sgd_resto_hotel_movie.jsonl, not-a-yes*.txt, yes*.txt
    python benchmarks/dialogue_yes.py FOLDER --half kept         # even lines are for looking, odd ones for measuring

Every sentence gets a conversation of its own over the embedded city: a table is asked for and read out, then the
sentence is said, and the state tells whether it was booked. A yes of SGD (Rastogi et al. 2020, "Towards Scalable
Multi-domain Conversational Agents") is a person's turn whose acts are AFFIRM, with thanks at most, behind a CONFIRM.
Lines of a text file are sentences, "#" begins a remark; not-a-yes*.txt holds what must not book.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from machine import provenance

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.settings import AgentSettings
from pagoda.language import language_of

NOON = datetime(2026, 11, 28, 12, 0)
WISHES = {"zh": "订青瓦小馆明天晚上七点四个人", "en": "book Green Tile Kitchen tomorrow at 7pm for 4"}
HALVES = {"looked": slice(0, None, 2), "kept": slice(1, None, 2), "all": slice(None)}
SGD = "sgd_resto_hotel_movie.jsonl"


def main() -> None:
    """Say everything, print what booked and should not, and the other way round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the sentences are")
    parser.add_argument("--half", choices=HALVES, default="looked")
    parser.add_argument("--city", type=Path, default=Path("pagoda-dialogue"), help="folder of graph and understanding")
    given = parser.parse_args()
    sets = [(path.name, False, _lines(path)) for path in sorted(given.folder.glob("not-a-yes*.txt"))]
    sets += [(path.name, True, _lines(path)) for path in sorted(given.folder.glob("yes*.txt"))]
    if (given.folder / SGD).exists():
        sets.append((SGD, True, list(affirmations(given.folder / SGD))))
    print(provenance(), f"{given.half} half", sep="\n")
    settings = AgentSettings(clock=lambda: NOON, draws=False)
    with SessionStore() as sessions, DialogueAgent(folder=given.city, sessions=sessions, settings=settings) as agent:
        for name, is_yes, sentences in sets:
            said = sentences[HALVES[given.half]]
            wrong = [text for text in said if books(agent, text) != is_yes]
            print(f"{name}: {len(said)} sentences, {len(wrong)} {'did not book' if is_yes else 'booked'}")
            print(*(f"    {text}" for text in wrong), sep="\n")


def books(agent: DialogueAgent, text: str) -> bool:
    """Whether a sentence, said to a booking that was read out, books it."""
    session = f"{len(text)} {abs(hash(text))}"
    agent.forget(session)
    proposed = agent.reply(session, WISHES[language_of(text)])
    assert proposed.facts["stage"] == "confirming", proposed.text
    return bool(agent.reply(session, text).state.bookings)


def affirmations(path: Path) -> Iterator[str]:
    """What people of SGD say to what was read out, and nothing besides."""
    for line in path.read_text(encoding="utf-8").splitlines():
        before: set[str] = set()
        for turn in json.loads(line)["turns"]:
            acts = {act[0] for frame in turn["frames"] for act in frame["acts"]}
            if turn["spk"] == "U" and "CONFIRM" in before and "AFFIRM" in acts <= {"AFFIRM", "THANK_YOU"}:
                yield turn["text"]
            before = acts


def _lines(path: Path) -> Sequence[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


if __name__ == "__main__":
    main()
