"""Who books, and who does not: sentences of others said to a booking that was read out and waits for a yes.

    python benchmarks/dialogue_yes.py FOLDER                     # the sets below, not-a-yes*.txt, yes*.txt
    python benchmarks/dialogue_yes.py FOLDER --half kept         # even rows are for looking, odd ones for measuring

Every sentence gets a conversation of its own over the embedded city: a table is asked for and read out, then the
sentence is said, and the state tells whether it was booked. In FOLDER, as far as it is there:

sgd_resto_hotel_movie.jsonl  of SGD (Rastogi et al. 2020, "Towards Scalable Multi-domain Conversational Agents"): a
                             person's turn whose acts are AFFIRM, with thanks at most, behind a CONFIRM
sgd_train*.txt.gz            SGD's dialogues without acts: what is said to "please confirm" is a yes where the answer
                             reports, and none where it asks for confirmation anew; sentences that ask or change
                             something besides are left out by their words. Even and odd go by the dialogue.
crosswoz.jsonl               of CrossWOZ (Zhu et al. 2020): the first clause of what is said to "...可以吗？", where it
                             is short and accepts
*.txt                        lines are sentences, "#" begins a remark; not-a-yes*.txt holds what must not book
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from machine import provenance

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.settings import AgentSettings
from pagoda.language import language_of

NOON = datetime(2026, 11, 28, 12, 0)
WISHES = {"zh": "订青瓦小馆明天晚上七点四个人", "en": "book Green Tile Kitchen tomorrow at 7pm for 4"}
HALVES = {"looked": slice(0, None, 2), "kept": slice(1, None, 2), "all": slice(None)}
SGD, CROSSWOZ = "sgd_resto_hotel_movie.jsonl", "crosswoz.jsonl"
CONFIRMS = re.compile(r"please confirm|\bconfirm (?:the|that|these|this|if)\b", re.IGNORECASE)
REPORTS = re.compile(
    r"\b(?:success|reserved|booked|confirmed|has been|have been|is set|made|purchased|sent|complete|done|scheduled"
    r"|added|playing|failed|unable|sorry)\b",
    re.IGNORECASE,
)
# Words of those who say more than yes; a sentence with one of them is of neither set.
BESIDES = re.compile(
    r"\?|\b(?:no|nope|not|don'?t|change|actually|but|instead|what|which|where|when|who|how|tell|find|check|let me"
    r"|get me|give|provide|also|address|phone|number|calendar|drop|sorry)\b",
    re.IGNORECASE,
)
OFFERS = re.compile(r"(?:可以|行|好|愿意|考虑)(?:吗|么|一下吗)?[？?]$")
ACCEPTS, REFUSES = re.compile(r"[好行可对嗯成恩]"), re.compile(r"[不别但没]|算了|还行|一点|吗")


@dataclass(frozen=True)
class Set:
    """Sentences that are all a yes, or all none."""

    name: str
    is_yes: bool
    sentences: Sequence[str]


def main() -> None:
    """Say everything, print what booked and should not, and the other way round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", help="where the sentences are; several folders may be named")
    parser.add_argument("--half", choices=HALVES, default="looked")
    parser.add_argument("--city", type=Path, default=Path("pagoda-dialogue"), help="folder of graph and understanding")
    given = parser.parse_args()
    print(provenance(), f"{given.half} half", sep="\n")
    settings = AgentSettings(clock=lambda: NOON, draws=False)
    with SessionStore() as sessions, DialogueAgent(folder=given.city, sessions=sessions, settings=settings) as agent:
        say = cache(partial(books, agent))
        for each in (each for folder in given.folder for each in sets(folder, given.half)):
            wrong = [text for text in each.sentences if say(text) != each.is_yes]
            told = f"{len(wrong)} {'did not book' if each.is_yes else 'booked'}"
            print(f"{each.name}: {len(each.sentences)} sentences, {told}")
            if given.half != "kept":
                print(*(f"    {text}" for text in dict.fromkeys(wrong)), sep="\n")


def sets(folder: Path, half: str) -> Iterator[Set]:
    """The sets of a folder, and of each that half."""
    for path in sorted(folder.glob("*yes*.txt")):
        yield Set(path.name, not path.name.startswith("not"), _lines(path)[HALVES[half]])
    if (folder / SGD).exists():
        yield Set(SGD, True, list(affirmations(folder / SGD))[HALVES[half]])
    for path in sorted(folder.glob("sgd_train*.txt.gz")):
        said = [list(answers(dialogue)) for dialogue in _dialogues(path)[HALVES[half]]]
        for is_yes in (True, False):
            found = [text for answered in said for text, agreed in answered if agreed is is_yes]
            yield Set(f"{path.name}, {'yes' if is_yes else 'asked to confirm anew'}", is_yes, found)
    if (folder / CROSSWOZ).exists():
        yield Set(f"{CROSSWOZ}, accepted", True, list(accepted(folder / CROSSWOZ))[HALVES[half]])


def books(agent: DialogueAgent, text: str) -> bool:
    """Whether a sentence, said to a booking that was read out, books it."""
    session = f"{len(text)} {abs(hash(text))}"
    agent.forget(session)
    proposed = agent.reply(session, WISHES[language_of(text)])
    assert proposed.facts["stage"] == "confirming", proposed.text
    return bool(agent.reply(session, text).state.bookings)


def answers(dialogue: str) -> Iterator[tuple[str, bool]]:
    """(sentence, whether it is a yes) of what is said to a read-out."""
    turns = [line.partition(": ")[::2] for line in dialogue.strip().splitlines() if ": " in line]
    for (speaker, asked), (_, said), (_, reply) in zip(turns, turns[1:], turns[2:], strict=False):
        if speaker != "Assistant" or not re.search(r"\bconfirm", asked, re.IGNORECASE):
            continue
        if CONFIRMS.search(reply):
            yield said, False
        elif REPORTS.search(reply) and not BESIDES.search(said):
            yield said, True


def accepted(path: Path) -> Iterator[str]:
    """How people of CrossWOZ accept what is offered to them, whatever they go on to say."""
    for line in path.read_text(encoding="utf-8").splitlines():
        turns = json.loads(line)["turns"]
        for offered, said in itertools.pairwise(turns):
            first = re.split(r"[，。！？,.!?]", said["text"])[0]
            is_answer = said["role"] == "usr" and OFFERS.search(offered["text"]) and len(first) <= 5
            if is_answer and ACCEPTS.search(first) and not REFUSES.search(first):
                yield first


def affirmations(path: Path) -> Iterator[str]:
    """What people of SGD say to what was read out, and nothing besides."""
    for line in path.read_text(encoding="utf-8").splitlines():
        before: set[str] = set()
        for turn in json.loads(line)["turns"]:
            acts = {act[0] for frame in turn["frames"] for act in frame["acts"]}
            if turn["spk"] == "U" and "CONFIRM" in before and "AFFIRM" in acts <= {"AFFIRM", "THANK_YOU"}:
                yield turn["text"]
            before = acts


def _dialogues(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().split("<|endoftext|>")


def _lines(path: Path) -> Sequence[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


if __name__ == "__main__":
    main()
