"""`pagoda generate`: prompts in, the text alone on stdout.

The whole token's path from a shell. All prompts go into the engine at once; progress, the start-up line and
tokens/s go to stderr, so that the output can be piped.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pagoda.cli.console.options import (
    ENGINE_OPTIONS,
    SAMPLING_OPTIONS,
    Settings,
    engine_settings,
    sampling_params,
    with_options,
)
from pagoda.cli.console.prompts import read_prompts
from pagoda.cli.console.terminal import Terminal
from pagoda.engine.outputs import CompletionOutput, RequestOutput
from pagoda.sampling_params import RequestOutputKind, SamplingParams
from pagoda.startup import collector_paused

if TYPE_CHECKING:
    from pagoda.llm import LLM


@with_options(sampling=SAMPLING_OPTIONS, engine=ENGINE_OPTIONS)
def generate(
    ctx: typer.Context,
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="Texts to go on with.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="One prompt a line; - is stdin.")] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Take stdin as one prompt a line, not as one.")] = False,
    echo: Annotated[bool, typer.Option("--echo", help="Print every completion under its prompt.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a completion and line.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    *,
    sampling: Settings,
    engine: Settings,
) -> None:
    """Complete prompts: the text alone goes to stdout, everything else to stderr.

    Without PROMPT and --file, all of stdin is one prompt. Several completions are divided by an empty line. A single
    one is streamed where stdout is a terminal.
    """
    all_prompts = read_prompts(prompts or [], file, lines)
    sampling_params(sampling)
    keywords = engine_settings(engine)
    # torch takes seconds to import: only once everything that can be checked without it is sound.
    with collector_paused():
        from pagoda.llm import LLM

    llm = LLM(**keywords, disable_log_stats=quiet)
    params = sampling_params(sampling, llm.get_default_sampling_params())
    terminal: Terminal = ctx.obj
    began = time.perf_counter()
    if len(all_prompts) == params.n == 1 and not as_json and terminal.out.is_terminal:
        outputs = [_stream(llm, all_prompts[0], params, terminal, echo)]
    else:
        outputs = llm.generate(all_prompts, params, use_tqdm=not quiet)
        for line in _lines(outputs, echo, as_json):
            terminal.result(line)
    if not quiet:
        sys.stdout.flush()
        terminal.note(summary(outputs, time.perf_counter() - began, terminal))
    _report_failures(outputs, terminal)


def summary(outputs: Sequence[RequestOutput], seconds: float, terminal: Terminal) -> str:
    """How much was generated, and how fast."""
    tokens = sum(len(completion.token_ids) for output in outputs for completion in output.outputs)
    sentence = terminal.say.summary_one if len(outputs) == 1 else terminal.say.summary_many
    return sentence.format(requests=len(outputs), tokens=tokens, seconds=seconds, rate=tokens / max(seconds, 1e-9))


def _stream(llm: LLM, prompt: str, params: SamplingParams, terminal: Terminal, echo: bool) -> RequestOutput:
    """Print a completion while it grows; returns one output with all its tokens."""
    if echo:
        terminal.piece(_heading(prompt) + "\n", style="bold")
    token_ids: list[int] = []
    last = None
    for last in llm.stream(prompt, params.clone(output_kind=RequestOutputKind.DELTA)):
        token_ids += last.outputs[0].token_ids
        terminal.piece(last.outputs[0].text)
    terminal.piece("\n")
    assert last is not None, "a stream ends with an output that says why"
    return _with_tokens(last, tuple(token_ids))


def _with_tokens(output: RequestOutput, token_ids: tuple[int, ...]) -> RequestOutput:
    end = output.outputs[0]
    whole = CompletionOutput(0, "", token_ids, finish_reason=end.finish_reason, stop_reason=end.stop_reason)
    return RequestOutput(output.request_id, output.prompt, output.prompt_token_ids, None, (whole,), output.finished)


def _lines(outputs: Sequence[RequestOutput], echo: bool, as_json: bool) -> Iterator[str]:
    """The result, to be printed line by line."""
    if as_json:
        for output in outputs:
            yield from (_as_json(output, completion) for completion in output.outputs)
        return
    blocks = (
        (_heading(output.prompt or "") + "\n" if echo else "") + completion.text
        for output in outputs
        for completion in output.outputs
    )
    for number, block in enumerate(blocks):
        yield block if number == 0 else "\n" + block


def _heading(prompt: str) -> str:
    return "> " + prompt.replace("\n", "\n> ")


def _as_json(output: RequestOutput, completion: CompletionOutput) -> str:
    fields = {
        "prompt": output.prompt,
        "index": completion.index,
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "stop_reason": completion.stop_reason,
        "num_prompt_tokens": len(output.prompt_token_ids),
        "num_completion_tokens": len(completion.token_ids),
    }
    return json.dumps(fields, ensure_ascii=False)


def _report_failures(outputs: Sequence[RequestOutput], terminal: Terminal) -> None:
    """A completion that ended with an error is said, and makes the command fail."""
    failed = [
        (number, completion.stop_reason)
        for number, output in enumerate(outputs, start=1)
        for completion in output.outputs
        if completion.finish_reason == "error"
    ]
    for number, reason in failed:
        terminal.error(terminal.say.generation_failed.format(number=number, reason=reason))
    if failed:
        raise typer.Exit(1)
