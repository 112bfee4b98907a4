"""`pagoda quantize MODEL`: a smaller copy of a model, and what it lost.

Beside the token's path. What is done is kept after every layer, so after a Ctrl-C the same command goes on. Nothing is
written to the output folder's place before the plan is found to be within what was asked.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pagoda.cli.console.options import AsJson, Settings, option, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.cli.quantize.words import QuantizeWords, quantize_words
from pagoda.engine.args import BUILTIN_MODEL
from pagoda.errors import ConfigError
from pagoda.installation import program
from pagoda.models.checkpoint.hub import resolve_model
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.gguf.container import SUFFIX, Checkpoint, GGUFFile, opened

if TYPE_CHECKING:
    from pagoda.models.config import ModelConfig
    from pagoda.models.quantise.job import Texts, Told
    from pagoda.models.quantise.running import QuantisationRequest, Quantised
    from pagoda.models.quantise.streamed import StreamedNetwork

_WORK = ".quantising"
_SECONDS_BETWEEN_LINES = 15.0
_WINDOWS, _LENGTH = 64, 512


TEXT_OPTIONS = (
    option(
        "calibration",
        list[Path],
        "Text, or .jsonl of `messages` or `text`, that GPTQ and mixed plans learn from; may be repeated.",
    ),
    option("evaluation", list[Path], "Text to measure on; may be repeated. Otherwise a fifth of the other."),
    option(
        "windows",
        int,
        "Windows of the calibration, all its files together; of each evaluation a quarter of it.",
        default=_WINDOWS,
    ),
    option("length", int, "Tokens of a window.", default=_LENGTH),
)
PLAN_OPTIONS = (
    option("to", str, "int8, int4, or mixed: bits chosen for each matrix.", default="int4"),
    option("method", str, "gptq, or rtn: round to nearest.", default="gptq"),
    option("group_size", int, "Inputs that share a scale in a folder's int4: 32, 64, 128.", default=64),
    option(
        "symmetric",
        bool,
        "Codes around zero, which is all that transformers loads: of int4 by default, in a GGUF file Q4_0 for Q4_K.",
        "--symmetric/--asymmetric",
    ),
    option("target_bits", float, "Bits a weight at most, on average over all weights; 5.2 for mixed alone."),
    option("max_kl", float, "KL from the source at most, in nats a token."),
)


@with_options(texts=TEXT_OPTIONS, plan=PLAN_OPTIONS)
def quantize(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="As for --model elsewhere.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write (compressed-tensors), or a file NAME.gguf.")],
    as_json: AsJson = False,
    *,
    texts: Settings,
    plan: Settings,
) -> None:
    """Write a model in fewer bits, and say what that cost: perplexity, KL and agreement with the source."""
    from pagoda.models.quantise.running import Quantiser
    from pagoda.models.quantise.streamed import StreamedNetwork

    terminal: Terminal = ctx.obj
    words = quantize_words(terminal.say)
    request = _request(out, plan)
    checkpoint = opened(resolve_model(BUILTIN_MODEL if model == "builtin" else model))
    config, windows = _config_and_texts(checkpoint, **texts)
    if config.coded != ALL_FLOATS:
        terminal.note(words.again.format(model=model, how=_stored(checkpoint, config, words)), style="yellow")
    network = StreamedNetwork(checkpoint, config)
    save = _output(out, request, network, checkpoint)
    work = out.with_name(f"{out.name}{_WORK}")
    with _progress(terminal, words) as told:
        try:
            quantised = Quantiser(network, checkpoint, windows, work).run(request, told)
        except (KeyboardInterrupt, ConfigError):
            if work.exists():
                terminal.note(words.kept.format(work=work))
            raise
    facts = _written(quantised, request, save(quantised))
    shutil.rmtree(work, ignore_errors=True)
    _tell(terminal, facts, out, as_json=as_json)


def _request(out: Path, plan: Settings) -> QuantisationRequest:
    from pagoda.models.quantise.running import GGUF, Bounds, QuantisationRequest

    bounds = Bounds(plan.pop("target_bits", None), plan.pop("max_kl", None))
    layout = {"layout": GGUF} if out.suffix == SUFFIX else {}
    return QuantisationRequest(**{"to": "int4", **plan, **layout}, bounds=bounds)


def _config_and_texts(
    checkpoint: Checkpoint,
    calibration: Sequence[Path] = (),
    evaluation: Sequence[Path] = (),
    windows: int = _WINDOWS,
    length: int = _LENGTH,
) -> tuple[ModelConfig, Texts]:
    from pagoda.models.checkpoint.loading import load_config, load_tokenizer
    from pagoda.models.quantise.running import texts_of
    from pagoda.models.quantise.texts import read_all_windows, read_windows

    config = load_config(checkpoint)
    if length > config.max_position_embeddings:
        raise ConfigError(f"length={length}, but the model's context holds {config.max_position_embeddings} tokens")
    if not calibration and not evaluation:
        return config, texts_of(None, {}, length)
    tokenizer = load_tokenizer(checkpoint)
    measured = {path.name: read_windows(path, tokenizer, max(1, windows // 4), length) for path in evaluation}
    calibrating = read_all_windows(calibration, tokenizer, windows, length) if calibration else None
    return config, texts_of(calibrating, measured, length)


def _stored(checkpoint: Checkpoint, config: ModelConfig, words: QuantizeWords) -> str:
    """How a checkpoint with codes in it is quantised, for a person."""
    from pagoda.models.quantization_config import quantization_in

    found = None if isinstance(checkpoint, GGUFFile) else quantization_in(config.source or {})
    return words.stored_gguf if found is None else words.stored_method.format(method=found.method)


def _output(
    out: Path, request: QuantisationRequest, network: StreamedNetwork, checkpoint: Checkpoint
) -> Callable[[Quantised], Path]:
    """What writes the outcome, and tells the folder for its report; what could not be written is told now."""
    if out.exists() and (out.is_file() or out.suffix == SUFFIX or any(out.iterdir())):
        raise ConfigError(f"{out} exists already: give a name that does not")
    if out.suffix == SUFFIX:
        return _as_gguf(out, network, checkpoint)
    from pagoda.models.checkpoint.quantised_saving import check_writable, copy_beside, save_compressed_tensors

    check_writable(network.config)

    def save(quantised: Quantised) -> Path:
        tensors = quantised.job.tensors(packed_head=request.packs_head)
        save_compressed_tensors(tensors, network.config, out)
        copy_beside(checkpoint, network.config, out)
        return out

    return save


def _as_gguf(out: Path, network: StreamedNetwork, checkpoint: Checkpoint) -> Callable[[Quantised], Path]:
    from pagoda.models.checkpoint.gguf_saving import GGUFCopy, GGUFDraft
    from pagoda.models.checkpoint.loading import load_generation, load_tokenizer
    from pagoda.models.gguf.block_encoding import type_for
    from pagoda.models.gguf.generation import metadata_of_sampling
    from pagoda.models.tokenizer.gguf_writing import tokenizer_metadata

    config = network.config
    file: GGUFCopy | GGUFDraft
    if isinstance(checkpoint, GGUFFile):
        file = GGUFCopy(checkpoint, config, network.matrices)
    else:
        generation, folder = load_generation(checkpoint), Path(checkpoint)
        ends = generation.eos_token_ids or config.eos_token_ids
        tokens = tokenizer_metadata(load_tokenizer(checkpoint), folder, config.vocab_size, ends)
        tokens |= metadata_of_sampling(generation.sampling_params())
        file = GGUFDraft(config, network.shapes, tokens, network.tensor)

    def save(quantised: Quantised) -> Path:
        types = {name: type_for(*astuple(scheme)) for name, scheme in quantised.job.coded_tensors.items()}
        out.parent.mkdir(parents=True, exist_ok=True)
        file.save(types, quantised.job.codes_of, out)
        report = out.with_name(f"{out.stem}-report")
        report.mkdir(exist_ok=True)
        return report

    return save


def _written(quantised: Quantised, request: QuantisationRequest, directory: Path) -> dict[str, Any]:
    from pagoda.models.quantise.report import facts_of, write_report

    facts = facts_of(
        quantised.outcome, quantised.size, {"to": request.to, "method": request.method}, packed_head=request.packs_head
    )
    write_report(directory, facts)
    return facts


def _tell(terminal: Terminal, facts: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    if as_json:
        terminal.result(json.dumps({**facts, "out": str(out)}, indent=2))
        return
    words = quantize_words(terminal.say)
    schemes = ", ".join(words.matrices.format(count=count, scheme=scheme) for scheme, count in facts["schemes"].items())
    size, bits = facts["num_bytes"] / 1e6, facts["bits_per_weight"]
    terminal.result(words.written.format(out=out, size=size, bits=bits, schemes=schemes, head=facts["head"]))
    if facts["quality"]:
        terminal.out.print(_quality_table(facts["quality"], words))
    terminal.note(words.try_it.format(program=program(), out=out))


def _quality_table(quality: Mapping[str, Mapping[str, float]], words: QuantizeWords) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(words.columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    for name, found in quality.items():
        table.add_row(
            name,
            f"{found['num_tokens']:,}",
            f"{found['source_perplexity']:.3f}",
            f"{found['perplexity']:.3f}",
            f"{found['perplexity_change']:+.2%}",
            f"{found['kl']:.4f}",
            f"{found['top1_agreement']:.1%}",
        )
    return table


@contextmanager
def _progress(terminal: Terminal, words: QuantizeWords) -> Iterator[Told]:
    """A bar for a person, a line now and then for a log."""
    if not terminal.err.is_terminal:
        yield _Lines(terminal, words)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.err) as bar:
        tasks = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(getattr(words, stage))
            bar.update(tasks[stage], completed=done, total=total)

        yield told


class _Lines:
    """A line every few seconds."""

    def __init__(self, terminal: Terminal, words: QuantizeWords) -> None:
        self._terminal, self._words, self._told = terminal, words, time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN_LINES or done == total:
            self._told = now
            told = self._words.line.format(stage=getattr(self._words, stage), done=done, total=total)
            self._terminal.note(told)
