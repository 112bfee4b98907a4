"""pagoda beside llama.cpp, ik_llama.cpp, vLLM and transformers: same weights, requests and cores, in alternation.

    python benchmarks/peers.py prepare --models FOLDER --from S=smollm2.gguf --random M
    python benchmarks/peers.py compare --models FOLDER --shapes S,M --llama-cpp FOLDER --vllm-python PATH --out FOLDER
    python benchmarks/peers.py compare --models FOLDER --shapes S --peers pagoda,llama.cpp --only prefill,decode1

`prepare` writes each model in bf16 as safetensors and as GGUF; a shape may also be the name of a GGUF file in codes
that lies beside them (`--shapes S-Q4_0` of S-Q4_0.gguf), which pagoda and llama.cpp both read as it is. `compare` runs
every engine in a process of its own and asks each in every round; the others stand still meanwhile. Measures:
prefill512 (a prompt of 512 tokens); decode1, decode8, decode32 (so many rows, 128 tokens deep); depth4096, depth16384
(one row at that depth); b8, b32 (whole lists of requests, output tokens a second); memory (peak of a fresh process
that ran the longest list); start (fresh process to first token). An engine that is not given is told as absent.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from machine import provenance
from rivals import catalogue, weights
from rivals.catalogue import PeerAbsentError, Subject
from rivals.comparison import Comparison, Limits
from rivals.measures import Measure, all_measures
from rivals.process import Command, PeerFailedError, PeerProcess, seconds_to_first_token
from rivals.report import HEADER, Fact, Row, as_json, draw, rows_of
from rivals.workload import drawn_lists, read_lists

from pagoda.errors import ConfigError
from pagoda.kernels.interface import Kernels
from pagoda.kernels.machine_limits import ProductPeak, read_bandwidth, reading_buffer
from pagoda.kernels.select import select_kernels
from pagoda.models.checkpoint.loading import load_config

MEMORY, START = "memory", "start"
PRODUCTS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


def say(line: str) -> None:
    print(line, flush=True)


class Run:
    """One call of `compare`."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.lists = drawn_lists() if arguments.workload is None else read_lists(arguments.workload)
        self.measures = all_measures(self.lists)
        self.rows: list[Row] = []
        self.facts: list[Fact] = []
        self._buffer = reading_buffer()
        kernels = _kernels(arguments.pagoda_kernels)
        self._peaks = {name: ProductPeak(dtype, kernels) for name, dtype in PRODUCTS.items()}
        self.peaks = {name: peak.measure() for name, peak in self._peaks.items()}
        self._logs = Path(tempfile.mkdtemp(prefix="peers-"))

    def compare(self, shape: str) -> None:
        """Everything that was asked for, on one model."""
        arguments = self.arguments
        subject = Subject(shape, arguments.models, arguments.dtype, arguments.threads)
        commands = self._commands(subject)
        measures = [measure for name, measure in self.measures.items() if self._is_wanted(name)]
        if measures:
            self._compare_speeds(shape, commands, measures)
        if self._is_wanted(MEMORY):
            self._tell([self._memory(shape, name, command) for name, command in commands.items()])
        if self._is_wanted(START):
            self._tell(self._starts(shape, commands))

    def _compare_speeds(self, shape: str, commands: dict[str, Command], measures: Sequence[Measure]) -> None:
        peers = self._started(shape, commands)
        config = load_config(Subject(shape, self.arguments.models, "", 0).folder)
        comparison = Comparison(peers, self.arguments.rounds, self._limits, say)
        try:
            for measure in measures:
                if measure.depth + 2 * measure.steps > config.max_position_embeddings:
                    say(f"{shape}: no {measure.name}, its context ends at {config.max_position_embeddings}")
                    continue
                samples = comparison.measure(measure)
                rows = rows_of(shape, measure, samples, config, self.arguments.dtype)
                self.rows += rows
                for row in rows:
                    say(_with_parts(row, measure))
        finally:
            for peer in peers:
                peer.close()

    def _limits(self) -> Limits:
        """What the machine can just now, in the dtype that is compared."""
        return Limits(read_bandwidth(self._buffer), self._peaks[self.arguments.dtype].measure())

    def _commands(self, subject: Subject) -> dict[str, Command]:
        commands = {}
        for name in self.arguments.peers.split(","):
            try:
                commands[name] = catalogue.command_for(name, self.arguments, subject)
            except PeerAbsentError as absent:
                say(f"{subject.shape}: without {name}: {absent}")
        return commands

    def _started(self, shape: str, commands: dict[str, Command]) -> list[PeerProcess]:
        peers = []
        for name, command in commands.items():
            try:
                peer = PeerProcess(name, command, self._log(shape, name))
            except PeerFailedError as failed:
                say(f"{shape}: without {name}: {failed}")
                continue
            say(f"{shape}: {name} loaded in {peer.start_s:.1f} s ({peer.about})")
            peers.append(peer)
        return peers

    def _memory(self, shape: str, name: str, command: Command) -> Fact:
        """Of a fresh process that did nothing but the longest list."""
        process = PeerProcess(name, command, self._log(shape, name))
        try:
            process.ask(list(self.measures.values())[-1].question)
            peak = process.peak_bytes()
            return Fact(shape, MEMORY, name, peak, [peak])
        finally:
            process.close()

    def _starts(self, shape: str, commands: dict[str, Command]) -> list[Fact]:
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(self.arguments.rounds):
            for name, command in commands.items():
                seconds[name].append(seconds_to_first_token(name, command, self._log(shape, name)))
        return [Fact(shape, START, name, statistics.median(tries), tries) for name, tries in seconds.items()]

    def _tell(self, facts: list[Fact]) -> None:
        self.facts += facts
        for fact in facts:
            say(str(fact))

    def _log(self, shape: str, name: str) -> Path:
        return self._logs / f"{shape}-{name.replace(':', '-')}.log"

    def _is_wanted(self, name: str) -> bool:
        return self.arguments.only is None or name.startswith(tuple(self.arguments.only.split(",")))

    def write(self, folder: Path, where: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        about = {"where": where, "threads": self.arguments.threads, "dtype": self.arguments.dtype, "peaks": self.peaks}
        content = as_json(self.rows, self.facts, **about)
        (folder / "peers.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        lines = [HEADER, *map(str, self.rows), *map(str, self.facts), "", where]
        (folder / "peers.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if self.rows:
            draw(self.rows, folder / "peers.png")


def _with_parts(row: Row, measure: Measure) -> str:
    """The row, and milliseconds a step of the parts that the engine told."""
    parts = ", ".join(f"{name} {1e3 * value / measure.steps:.2f} ms" for name, value in row.told.items())
    whole = 1e3 * measure.tokens / measure.steps / row.tokens_per_s
    return f"{row}" + (f" {whole:.2f} ms: {parts}" if parts else "")


def _kernels(name: str) -> Kernels | None:
    """Those whose products may be faster than torch's, where they were built."""
    try:
        return select_kernels(name)
    except ConfigError:
        return None


def compare(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    where = provenance()
    run = Run(arguments)
    peaks = ", ".join(f"{name} {peak / 1e9:.0f}" for name, peak in run.peaks.items())
    say(f"{where}\npeaks in GFLOP/s: {peaks}\n\n{HEADER}")
    for shape in arguments.shapes.split(","):
        run.compare(shape)
    if arguments.out is not None:
        run.write(arguments.out, where)


def prepare(arguments: argparse.Namespace) -> None:
    arguments.models.mkdir(parents=True, exist_ok=True)
    for given in arguments.sources:
        shape, _, source = given.partition("=")
        weights.write_from_gguf(Path(source), arguments.models, shape)
    if arguments.random is not None:
        weights.write_random(arguments.models, arguments.random)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    preparing = commands.add_parser("prepare")
    preparing.add_argument("--models", type=Path, required=True)
    preparing.add_argument("--from", dest="sources", action="append", default=[], metavar="SHAPE=FILE.gguf")
    preparing.add_argument("--random", metavar="SHAPE", help="a model of 1.04B, drawn at random, under this name")
    preparing.set_defaults(run=prepare)
    comparing = commands.add_parser("compare")
    comparing.add_argument("--models", type=Path, required=True)
    comparing.add_argument("--shapes", default="S,M", help="names under --models, or `builtin`")
    comparing.add_argument("--peers", default=",".join(catalogue.STARTERS))
    comparing.add_argument("--only", help="measures, or how their names begin, with commas between")
    comparing.add_argument("--rounds", type=int, default=5)
    comparing.add_argument("--threads", type=int, default=2)
    comparing.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    comparing.add_argument("--workload", type=Path, help="a file of lists of requests; otherwise drawn from a seed")
    comparing.add_argument("--out", type=Path)
    catalogue.add_arguments(comparing)
    comparing.set_defaults(run=compare)
    return parser


def main() -> None:
    arguments = _parser().parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
