"""A day of a service desk: 200 conversations in two languages with other people's sentences, a kill in the middle.

    python benchmarks/service_day.py DATA                         # a folder with the sets that docs/service.md names
    python benchmarks/service_day.py DATA --half develop --show   # the half that may be looked at, and what went wrong

The desk is `pagoda service` as a process of its own, asked over HTTP; the script is `service_script`'s. A turn is right
where a machine can see that it is: all results meet what was wished, by the city's file; the cited file is the
passage's; what is recommended is new to the person and refused by nothing, by the visits; a reason's counts and kinds
are those of the visits; a sentence for nobody here is declined or handed over; a person who was asked for came,
answered and gave back. After half of the day the server is killed with SIGKILL under eight customers at once, and every
turn that was acknowledged, of the whole day so far, is looked for in the server that follows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import service_script as script
from machine import provenance

from pagoda.recommend.data.city import draw_visits, read_city
from pagoda.service.shipped import handbook

OUTCOMES = ("right", "wrong", "declined", "handed over")
MOST_ANSWERS = 2
STARTS_WITHIN_S = 900.0
CUSTOMERS_AT_ONCE = 8


class Server:
    """`pagoda service` over a folder, as a process that may be killed."""

    def __init__(self, folder: Path, documents: Sequence[Path]) -> None:
        self._command = [sys.executable, "-m", "pagoda", "--lang", "en", "service", str(folder), "--port", "0"]
        for place in documents:
            self._command += ["--documents", str(place)]
        self._log = folder.with_suffix(".log")
        self.start()

    def start(self) -> float:
        """Seconds until it was ready."""
        began = time.monotonic()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        while not (found := re.search(r"page: (http://\S+)/service ", self._log.read_text(errors="replace"))):
            if self._process.poll() is not None or time.monotonic() - began > STARTS_WITHIN_S:
                raise SystemExit(f"the desk did not start: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        self.client = httpx.Client(base_url=f"{found[1]}/v1/service", timeout=900.0)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL, to the server alone."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json=body).raise_for_status().json()


@dataclass
class Tally:
    """What came of the day."""

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    spans: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    shows: bool = False

    def note(self, language: str, step: script.Step, outcome: str, entry: Mapping[str, Any]) -> None:
        self.outcomes[language, step.kind, outcome] += 1
        self.sources[step.kind, step.source] += 1
        if self.shows and (outcome != "right"):
            told = {key: entry.get(key) for key in ("source", "action", "intent", "slots", "results")}
            print(
                f"[{language} {step.kind} {outcome}] {step.text}\n    {told}\n    {entry.get('text', '')[:200]!r}",
                flush=True,
            )


class Day:
    """Holds the conversations and judges them. lock: of the tally"""

    def __init__(self, server: Server, people: Path, tally: Tally) -> None:
        self.server, self.tally, self._people = server, tally, people
        self.city, log = script.TestedCity.read(), draw_visits(read_city())
        self.visits: dict[str, set[str]] = {}
        for event in log.events():
            self.visits.setdefault(event.user, set()).add(event.item)
        self.kinds = {thing.id: {kind.id for kind in thing.kinds} for thing in read_city().things}
        self._lock = threading.Lock()

    def say(self, session: str, text: str, user: str) -> dict[str, Any]:
        """A turn over HTTP; noted once it is acknowledged."""
        began = time.perf_counter()
        entry: dict[str, Any] = self.server.post(f"/conversations/{session}/turns", text=text, user=user)
        with self._lock:
            self.tally.seconds.append(time.perf_counter() - began)
            self.tally.acknowledged.setdefault(session, []).append((text, entry["text"]))
        return entry

    def hold(self, session: str, language: str, user: str, steps: Sequence[script.Step]) -> None:
        """One customer's whole conversation."""
        last: dict[str, Any] = {}
        for step in steps:
            entry = self.say(session, step.text, user)
            if step.kind == "find":
                entry = self._answered(session, user, entry, step)
            outcome = self.judged(step, entry, user or self._own_id(session), last)
            if step.kind == "person" and outcome == "right":
                outcome = self._with_staff(session, language, user)
            last = entry if entry.get("results") else last
            with self._lock:
                self.tally.note(language, step, outcome, entry)

    def _own_id(self, session: str) -> str:
        """As whom the desk knows a customer who names nobody."""
        return f"open/{session}"

    def _answered(self, session: str, user: str, entry: dict[str, Any], step: script.Step) -> dict[str, Any]:
        """The entry after the customer has told what was asked for."""
        for _ in range(MOST_ANSWERS):
            label = {"cuisine": "Cuisine", "location": "District", "genre": "Genre"}.get(entry.get("requested", ""), "")
            told = next((each for each in step.answers if each.startswith(f"{label}:")), "") if label else ""
            if entry["action"] != "ask" or not told:
                return entry
            entry = self.say(session, told.split(":", 1)[1], user)
        return entry

    # Judging

    def judged(self, step: script.Step, entry: Mapping[str, Any], user: str, last: Mapping[str, Any]) -> str:
        """One of `OUTCOMES`."""
        handed = entry["action"] == "hand_off"
        match step.kind:
            case "find":
                is_right = entry["source"] == "graph" and self._meets(step, entry)
            case "documents":
                is_right = entry["source"] == "documents" and entry["details"]["citations"][0]["source"] == step.file
                self.tally.spans["asked"] += 1
                self.tally.spans["held"] += is_right and any(each in entry["text"] for each in step.answers)
            case "bare" | "recommend":
                is_right = self._is_fit(step, entry, user) or self._is_carried(step, entry)
            case "why":
                is_right = entry["source"] == "recommender" and (
                    self._is_borne(entry, user) if last.get("source") == "recommender" else not entry["details"]
                )
            case "refuse":
                is_right = entry["source"] == "recommender" and self._is_refused(entry, last, user)
            case "person":
                return "right" if handed or entry["handed_off"] else "wrong"
            case _:
                return self._outside(entry, handed)
        if is_right:
            return "right"
        nothing = entry["source"] == "dialogue" or (entry["source"] == "graph" and not entry["results"])
        return "handed over" if handed else "declined" if nothing else "wrong"

    def _outside(self, entry: Mapping[str, Any], handed: bool) -> str:
        """Not for this desk: handed over and declined are right, and told apart."""
        if handed:
            return "handed over"
        return "declined" if entry["source"] == "dialogue" and entry["action"] in ("say", "hand_off") else "wrong"

    def _meets(self, step: script.Step, entry: Mapping[str, Any]) -> bool:
        nodes = [self.city.named(step.label, name) for name in entry["results"]]
        return bool(nodes) and all(
            node is not None and node in self.city.fitting(step.label, step.constraints) for node in nodes
        )

    def _is_carried(self, step: script.Step, entry: Mapping[str, Any]) -> bool:
        """A search without a wish of its own that keeps the place of the one before, which the domain lets it."""
        place = self.city.named("District", str(entry["slots"].get("location", "")))
        if step.kind != "bare" or entry["source"] != "graph" or place is None:
            return False
        nodes = [self.city.named(step.label, name) for name in entry["results"]]
        return bool(nodes) and all(node is not None and place in self.city.linked[node] for node in nodes)

    def _is_fit(self, step: script.Step, entry: Mapping[str, Any], user: str) -> bool:
        """New to the person, of no kind that was refused, and of what was asked for."""
        items = [one["item"] for one in entry["details"].get("items", ())] if entry["source"] == "recommender" else []
        blocks = self._blocks(user)
        fits = [
            item not in self.visits.get(user, set()) and not ({item} | self.kinds[item]) & blocks
            and (not step.label or self.city.labels[item] == step.label)
            for item in items
        ]  # fmt: skip
        return bool(fits) and all(fits)

    def _is_borne(self, entry: Mapping[str, Any], user: str) -> bool:
        """Every path that was told is one of the visits, and every count is told as it is."""
        item, paths = entry["details"].get("item", ""), entry["details"].get("paths", ())
        return bool(paths) and all(self._is_path(user, item, path, entry["text"]) for path in paths)

    def _is_path(self, user: str, item: str, path: Mapping[str, Any], text: str) -> bool:
        past, others = path["past"], [seen for other, seen in self.visits.items() if other != user]
        if past and past not in self.visits.get(user, set()):
            return False
        if path["kind"]:
            return path["kind"] in self.kinds[item] & self.kinds[past]
        count = sum(item in seen and (not past or past in seen) for seen in others)
        return count == path["people"] and str(count) in text

    def _is_refused(self, entry: Mapping[str, Any], last: Mapping[str, Any], user: str) -> bool:
        """The block is on disk, of a kind of what was shown first, and nothing of that kind is in the new list."""
        kind = next((each["kind"] for each in entry["details"].get("blocked", ())), "")
        names = last.get("results", [])[:1]
        nodes = [
            node
            for node in self.kinds
            for name in names
            if name in (self.city.name(node, "zh"), self.city.name(node, "en"))
        ]
        items = [one["item"] for one in entry["details"].get("items", ())]
        is_kept = bool(kind) and kind in self._blocks(user) and any(kind in self.kinds[node] for node in nodes)
        return is_kept and not any(kind in self.kinds[item] for item in items)

    def _blocks(self, user: str) -> set[str]:
        with sqlite3.connect(f"file:{self._people}?mode=ro", uri=True) as store:
            return {
                item or kind for item, kind in store.execute("SELECT item, kind FROM block WHERE user = ?", (user,))
            }

    # The staff

    def _with_staff(self, session: str, language: str, user: str) -> str:
        """A person takes over, answers, reads the customer's next line, gives back; the machine goes on."""
        name = f"staff-{session}"
        number = self._number(session)
        if number is None:
            return "wrong"
        self.server.post(f"/queue/{number}/take", name=name)
        self.server.post(f"/queue/{number}/answers", name=name, text=f"here is {name}")
        kept = self.say(session, "ok" if language == "en" else "好的", user)
        seen = [each["text"] for each in self.server.get(f"/queue/{number}")["entries"] if each["source"] == "person"]
        heard = self.server.get(f"/conversations/{session}")["entries"]
        self.server.post(f"/queue/{number}/give_back", name=name)
        is_heard = any(each["text"] == f"here is {name}" for each in heard)
        return "right" if kept["source"] == "person" and kept["text"] in seen and is_heard else "wrong"

    def _number(self, session: str) -> int | None:
        """The queue's entry whose last sentences are this session's."""
        said = [text for text, _ in self.tally.acknowledged[session]]
        for one in self.server.get("/queue")["data"]:
            whole = [each["user"] for each in self.server.get(f"/queue/{one['number']}")["entries"] if "user" in each]
            if whole == said[-len(whole) :] and len(whole) == len(said):
                return int(one["number"])
        return None


def lost(day: Day) -> tuple[int, int]:
    """(turns that were acknowledged, those of them that the desk does not hold in their place)."""
    count = missing = 0
    for session, said in day.tally.acknowledged.items():
        kept = [
            (each.get("user", each["text"]), each["text"])
            for each in day.server.get(f"/conversations/{session}")["entries"]
            if each.get("speaker") != "staff"
        ]
        at = 0
        for turn in said:
            count += 1
            at = next((place + 1 for place in range(at, len(kept)) if kept[place] == turn), -1)
            if at < 0:
                missing, at = missing + 1, 0
    return count, missing


def killed(day: Day, plans: Sequence[tuple[str, str, str, Sequence[script.Step]]]) -> dict[str, Any]:
    """Kill the server under several customers, start it again, look for all that was acknowledged; then they go on."""
    queue = [(one["number"], one["staff"]) for one in day.server.get("/queue")["data"]]

    def talk(plan: tuple[str, str, str, Sequence[script.Step]]) -> int:
        session, _, user, steps = plan
        for done, step in enumerate(steps):
            try:
                day.say(session, step.text, user)
            except httpx.HTTPError:
                return done
        return len(steps)

    with ThreadPoolExecutor(len(plans)) as customers:
        under_way = [customers.submit(talk, plan) for plan in plans]
        time.sleep(1.5)
        day.server.kill()
        done = [each.result() for each in under_way]
    seconds = day.server.start()
    count, missing = lost(day)
    after = [(one["number"], one["staff"]) for one in day.server.get("/queue")["data"]]
    interrupted = sum(len(plan[3]) > number for plan, number in zip(plans, done, strict=True))
    return {
        "acknowledged": count, "lost": missing, "customers interrupted": interrupted,
        "seconds to be back": round(seconds, 1), "queue kept": after[: len(queue)] == queue,
    }  # fmt: skip


def steps_of(data: Path, half: str, documents: Path, seed: int) -> dict[str, dict[str, list[script.Step]]]:
    """All steps by kind and language; the passages are written to `documents`."""
    rng, city = random.Random(seed), script.TestedCity.read()
    found = script.find_steps(data, half, city, rng)
    asked, files = script.question_steps(data, 60, half)
    documents.mkdir()
    for name, text in files.items():
        (documents / name).write_text(text, encoding="utf-8")
    return {
        "find": {language: [step for step in steps if step.kind == "find"] for language, steps in found.items()},
        "bare": {language: [step for step in steps if step.kind == "bare"] for language, steps in found.items()},
        "documents": asked,
        "outside": script.outside_steps(data, half, rng),
        "recommend": script.recommend_steps(data, half, rng),
        "person": script.person_steps(data),
        "why": script.written_steps("why"),
        "refuse": script.written_steps("refuse"),
    }


def report(tally: Tally, kill: Mapping[str, Any], refusals: Mapping[str, int]) -> dict[str, Any]:
    """The day in figures."""
    kinds: dict[str, dict[str, int]] = {}
    for (language, kind, outcome), count in sorted(tally.outcomes.items()):
        kinds.setdefault(f"{kind} {language}", dict.fromkeys(OUTCOMES, 0))[outcome] += count
    seconds = sorted(tally.seconds)
    return {
        "kinds": kinds,
        "sources": {f"{kind}: {source}": count for (kind, source), count in sorted(tally.sources.items()) if source},
        "turns": len(seconds),
        "p50_ms": round(1000 * seconds[len(seconds) // 2]),
        "p95_ms": round(1000 * seconds[int(0.95 * len(seconds))]),
        "answers that hold a gold answer": dict(tally.spans),
        "kill": dict(kill),
        "refusals": dict(refusals),
    }


def main() -> None:
    """Hold the day, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the sets as JSON lines")
    parser.add_argument("--half", choices=("develop", "report"), default="report")
    parser.add_argument("--number", type=int, default=200, help="conversations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print every turn that was not right")
    parser.add_argument("--out", type=Path, help="JSON of the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, documents = Path(place) / "desk", Path(place) / "passages"
        steps = steps_of(options.data, options.half, documents, options.seed)
        server = Server(folder, [handbook(), documents])
        day = Day(server, folder / "recommend" / "people.db", Tally(shows=options.show))
        rng, people = random.Random(options.seed), sorted(day.visits)
        plans = []
        for number in range(options.number):
            language = ("en", "zh")[number % 2]
            user = "" if number % 10 >= 8 else rng.choice(people)
            plans.append((f"day-{number:03d}", language, user, script.conversation(number, language, steps)))
        middle = options.number // 2
        for plan in plans[:middle]:
            day.hold(*plan)
        burst = [(f"burst-{n}", plan[1], plan[2], plan[3]) for n, plan in enumerate(plans[-CUSTOMERS_AT_ONCE:])]
        kill = killed(day, burst)
        for plan in plans[middle:]:
            day.hold(*plan)
        kill["acknowledged in all"], kill["lost in all"] = lost(day)
        server.stop()
        found = report(day.tally, kill, in_graph(folder))
    print(json.dumps(found, ensure_ascii=False, indent=1))
    print(provenance())
    if options.out is not None:
        options.out.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def in_graph(folder: Path) -> dict[str, int]:
    """Blocks on disk, and the edges that say the same in the graph."""
    from pagoda.graph.graph import Graph

    with sqlite3.connect(folder / "recommend" / "people.db") as store:
        (blocks,) = store.execute("SELECT count(*) FROM block").fetchone()
    with Graph.embedded(folder / "graph") as graph:
        rows = graph.read("MATCH (:Person)-[r:REFUSES]->() RETURN count(r) AS edges")
    return {"blocks": blocks, "edges": int(rows[0]["edges"])}


if __name__ == "__main__":
    main()
