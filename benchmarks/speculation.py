"""What speculative decoding brings: answers that copy and answers that do not, with and without it, in one engine.

    python benchmarks/speculation.py --data FOLDER --model MODEL [--draft MODEL] [--streams 1,4] [--loads quote,edit]
    python benchmarks/speculation.py --data FOLDER --model MODEL --identical 1000

FOLDER holds squad11.jsonl, cmrc2018.jsonl and banking77.jsonl. Loads that copy: "quote" (the sentence of a SQuAD
paragraph that answers a question), "rag" (an answer out of three paragraphs, with quotes), "zitat" (as quote, Chinese,
CMRC) and "edit" (a function of Python's standard library, with one name changed). Loads that do not: "open" (SQuAD's
questions without a paragraph) and "chat" (BANKING77's messages). Each round answers every group of prompts without and
with speculation, in turn about who is first, greedily; without a prefix cache. Of each group the best round counts, as
what else runs on the machine only adds; "whole" is from arrival to the last token, "decoding" from the first token on.
A text that is not the same stops the script.

`--identical N` answers N prompts of all loads with all proposals fed, whether they pay or not, and counts equal texts.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import re
import statistics
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import subject
from machine import provenance

from pagoda import LLM, SamplingParams
from pagoda.engine.outputs import RequestOutput
from pagoda.engine.speculation.speculator import Prices
from pagoda.engine.speculation.step_costs import StepCosts

LIBRARY = ("textwrap", "json.decoder", "json.encoder", "shlex", "difflib", "bisect", "heapq", "fnmatch", "statistics")
MOST_CHARACTERS = 1800
MAX_TOKENS = {"quote": 64, "rag": 96, "zitat": 64, "edit": 192, "open": 96, "chat": 96}
FREE_ROWS = StepCosts((1, 2), (1.0, 1.0))


@dataclass(frozen=True)
class Timed:
    """One group of prompts, answered together: seconds, and what came."""

    whole_s: float
    decoding_s: float
    texts: list[tuple[int, ...]]


def rows_of(data: Path, name: str) -> list[dict[str, Any]]:
    lines = (data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    random.Random(0).shuffle(rows)
    return rows


def quote(data: Path) -> list[str]:
    return [
        f"{row['context']}\n\nQuote the sentence of this text, word for word, that answers: {row['qas'][0]['question']}"
        for row in rows_of(data, "squad11")
    ]


def zitat(data: Path) -> list[str]:
    return [
        f"{row['context']}\n\n请逐字引用上文中回答下面问题的句子：{row['qas'][0]['question']}"
        for row in rows_of(data, "cmrc2018")
    ]


def rag(data: Path) -> list[str]:
    rows = rows_of(data, "squad11")
    prompts = []
    for first in range(0, len(rows) - 2, 3):
        passages = "\n\n".join(f"[{place}] {row['context']}" for place, row in enumerate(rows[first : first + 3], 1))
        question = rows[first + 1]["qas"][0]["question"]
        prompts.append(
            f"{passages}\n\nAnswer the question from these passages only: quote the sentence that the answer stands "
            f"in, and name its passage.\nQuestion: {question}"
        )
    return prompts


def edit(data: Path) -> list[str]:
    """Functions of the standard library that have a parameter to rename."""
    prompts = []
    for name in LIBRARY:
        module = __import__(name, fromlist=["*"])
        owners = [
            module,
            *(value for _, value in inspect.getmembers(module, inspect.isclass) if value.__module__ == name),
        ]
        for owner in owners:
            for _, function in inspect.getmembers(owner, inspect.isfunction):
                prompts += _renaming(function) if function.__module__ == name else []
    random.Random(0).shuffle(prompts)
    return prompts


def _renaming(function: Callable[..., Any]) -> list[str]:
    code = textwrap.dedent(inspect.getsource(function))
    names = [name for name in inspect.signature(function).parameters if name != "self" and len(name) > 1]
    if not names or not 300 < len(code) < MOST_CHARACTERS:
        return []
    asked = f"Rename the parameter `{names[0]}` to `{names[0]}_value` and write the whole function again"
    return [f"```python\n{code}```\n\n{asked}, changing nothing else."]


def open_questions(data: Path) -> list[str]:
    return [row["qas"][0]["question"] for row in rows_of(data, "squad11")]


def chat(data: Path) -> list[str]:
    return [f"A customer of a bank writes: {row['text']}\nWrite the answer." for row in rows_of(data, "banking77")]


LOADS: dict[str, Callable[[Path], list[str]]] = {
    "quote": quote, "rag": rag, "zitat": zitat, "edit": edit, "open": open_questions, "chat": chat,
}  # fmt: skip


def answered(llm: LLM, prompts: Sequence[str], max_tokens: int) -> Timed:
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    conversations = [[{"role": "user", "content": prompt}] for prompt in prompts]
    began = time.perf_counter()
    outputs = llm.chat(conversations, params, use_tqdm=False)
    whole_s = time.perf_counter() - began
    return Timed(whole_s, _decoding_s(outputs), [output.outputs[0].token_ids for output in outputs])


def _decoding_s(outputs: Sequence[RequestOutput]) -> float:
    """From the first token of the last prompt that was computed to the last token of all."""
    metrics = [output.metrics for output in outputs if output.metrics is not None]
    return max(m.last_token_time or 0.0 for m in metrics) - max(m.first_token_time or 0.0 for m in metrics)


class Pair:
    """One engine, with its speculator and without."""

    def __init__(self, llm: LLM) -> None:
        self.llm = llm
        self.speculator = llm.llm_engine.core.speculator

    def compare(self, groups: Sequence[Sequence[str]], max_tokens: int, num_rounds: int) -> list[tuple[Timed, Timed]]:
        """(without, with) of each group, the best of its rounds."""
        found = []
        for number, group in enumerate(groups):
            rounds: tuple[list[Timed], list[Timed]] = [], []
            for turn in range(num_rounds):
                for is_on in (False, True) if (number + turn) % 2 else (True, False):
                    rounds[is_on].append(self.run(group, max_tokens, is_on))
            texts = [timed.texts for timed in (*rounds[0], *rounds[1])]
            if any(each != texts[0] for each in texts):
                raise SystemExit(f"with speculation the text is another: {group}")
            found.append((_best(rounds[0]), _best(rounds[1])))
        return found

    def run(self, prompts: Sequence[str], max_tokens: int, is_on: bool) -> Timed:
        self.llm.llm_engine.core.speculator = self.speculator if is_on else None
        return answered(self.llm, prompts, max_tokens)

    def counts(self) -> tuple[int, int, int]:
        stats = self.llm.llm_engine.core.scheduler.stats
        return stats.spec_decode_num_drafts, stats.spec_decode_num_draft_tokens, stats.spec_decode_num_accepted_tokens


def _best(rounds: Sequence[Timed]) -> Timed:
    return Timed(min(r.whole_s for r in rounds), min(r.decoding_s for r in rounds), rounds[0].texts)


def row(pair: Pair, load: str, prompts: Sequence[str], streams: int, arguments: argparse.Namespace) -> list[str]:
    """One line of the table."""
    groups = [prompts[first : first + streams] for first in range(0, len(prompts), streams)]
    before = pair.counts()
    found = pair.compare(groups, MAX_TOKENS[load], arguments.rounds)
    drafts, proposed, accepted = (now - then for now, then in zip(pair.counts(), before, strict=True))
    ratios = [without.decoding_s / with_.decoding_s for without, with_ in found if with_.decoding_s]
    num_tokens = sum(len(text) for without, _ in found for text in without.texts)
    whole, decoding = (
        sum(getattr(without, name) for without, _ in found) / sum(getattr(with_, name) for _, with_ in found)
        for name in ("whole_s", "decoding_s")
    )
    shares = f"{accepted / max(proposed, 1):.0%} of {proposed / arguments.rounds / max(num_tokens, 1):.2f} a token"
    return [
        load, str(streams), f"{len(prompts)}", f"{num_tokens / len(prompts):.0f}", f"{whole:.2f}", f"{decoding:.2f}",
        f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", shares, str(drafts),
    ]  # fmt: skip


HEADER = ["load", "streams", "prompts", "tokens", "x whole", "x decoding", "median", "groups", "accepted", "drafts"]


def _print_row(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def speeds(pair: Pair, arguments: argparse.Namespace) -> None:
    costs = pair.speculator._prices.step  # type: ignore[union-attr]
    told = ", ".join(f"{n}: {s * 1e3:.1f}" for n, s in zip(costs.num_rows, costs.seconds, strict=True))
    print(f"milliseconds of a step by rows: {told}")
    pair.run(["Hello"], 16, True)
    _print_row(HEADER)
    _print_row(["---"] * len(HEADER))
    for streams in map(int, arguments.streams.split(",")):
        for load in arguments.loads.split(","):
            prompts = LOADS[load](arguments.data)[: arguments.num_prompts * (1 if streams == 1 else 2)]
            _print_row(row(pair, load, prompts, streams, arguments))


def identical(pair: Pair, arguments: argparse.Namespace) -> None:
    """Texts of many prompts, answered together, with every proposal fed that there is."""
    speculator = pair.speculator
    assert speculator is not None, "asked for"
    speculator._prices = Prices(step=FREE_ROWS, most=speculator._prices.most)
    loads = arguments.loads.split(",")
    each = -(-arguments.identical // len(loads))
    prompts = [prompt for load in loads for prompt in (LOADS[load](arguments.data) * each)[:each]][
        : arguments.identical
    ]
    num_equal = num_tokens = 0
    for first in range(0, len(prompts), 100):
        part = prompts[first : first + 100]
        without, with_ = (pair.run(part, arguments.identical_tokens, is_on).texts for is_on in (False, True))
        num_equal += sum(own == its for own, its in zip(without, with_, strict=True))
        num_tokens += sum(map(len, without))
        print(f"{num_equal} of {first + len(part)} texts are the same, {num_tokens} tokens", flush=True)
    drafts, proposed, accepted = pair.counts()
    print(f"{len(set(prompts))} different prompts; {drafts} drafts, {proposed} tokens proposed, {accepted} accepted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subject.add_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--draft", help="a smaller model with the same tokenizer, instead of looking up")
    parser.add_argument("--num-speculative-tokens", type=int, default=8)
    parser.add_argument("--lookup", default="2,4", help="prompt_lookup_min and prompt_lookup_max")
    parser.add_argument("--loads", default="quote,rag,edit,open,chat", help=f"of {', '.join(LOADS)}")
    parser.add_argument("--streams", default="1", help="prompts that are answered at once, one number or several")
    parser.add_argument("--num-prompts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--identical", type=int, help="count equal texts of so many prompts instead")
    parser.add_argument("--identical-tokens", type=int, default=32)
    arguments = parser.parse_args()
    where = provenance()
    wish: dict[str, Any] = {"num_speculative_tokens": arguments.num_speculative_tokens}
    if arguments.draft:
        wish |= {"model": arguments.draft}
    else:
        least, most = map(int, arguments.lookup.split(","))
        wish |= {"method": "ngram", "prompt_lookup_min": least, "prompt_lookup_max": most}
    settings = {"max_model_len": 2048, "speculative_config": wish, "disable_log_stats": True}
    llm = subject.load(arguments, enable_prefix_caching=bool(arguments.identical), **settings)
    (identical if arguments.identical else speeds)(Pair(llm), arguments)
    shown = re.sub(r"/\S*/", "", json.dumps(wish))
    print(f"{shown}; {subject.describe(llm)}; {where}")


if __name__ == "__main__":
    main()
