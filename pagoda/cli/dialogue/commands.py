"""`pagoda dialogue chat | eval | train`: talk over a graph, measure how sentences are understood, train on others.

The ends of a turn's path: sentences come in here, replies go out. Replies go to stdout, everything else to stderr.
Without --graph the graph is one of our own in a folder, filled with an invented city; nothing needs a network.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pagoda.cli.console.bars import bars
from pagoda.cli.console.chat_models import chat_model
from pagoda.cli.console.graphs import opened_graph
from pagoda.cli.console.options import API_KEY_ENV, DIALOGUE_OPTIONS, AsJson, Settings, option, with_options, without
from pagoda.cli.console.terminal import Terminal, printable
from pagoda.cli.dialogue.ahead import begun_ahead
from pagoda.cli.dialogue.show import evaluation_lines, turn_lines
from pagoda.cli.dialogue.words import DialogueWords, dialogue_words
from pagoda.errors import ConfigError, InvalidRequestError

if TYPE_CHECKING:
    from pagoda.dialogue.agent import DialogueAgent
    from pagoda.dialogue.turn.turn import Turn

DEFAULT_FOLDER = Path("pagoda-dialogue")
dialogue = typer.Typer(
    help="Talk over a graph: restaurants, films and hotels of an invented city, or a domain of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Option("--folder", metavar="DIR", help="Folder of graph, sessions and understanding.")]
Strategy = Annotated[
    str | None,
    typer.Option("--strategy", help="intent_first, slots_first or hybrid; otherwise hybrid where there is a model."),
]
READER_OPTIONS = (
    option(
        "model",
        str,
        "URL of an OpenAI-compatible server, or a model of this machine, that reads hard sentences.",
        "--model",
        "-m",
    ),
    option(
        "rephrase", bool, "The model also words replies; numbers and names that the graph did not give are rejected."
    ),
    option("model_timeout", float, "Seconds that the model has for a sentence; after them the fast reading stands."),
    option("model_name", str, "What the server at the URL calls the model; otherwise its first."),
    API_KEY_ENV,
)
"""Who reads hard sentences; with what is talked over, it is `agent` in the commands below."""


@dialogue.command(short_help="Talk, sentence by sentence.")
@with_options(agent=(*DIALOGUE_OPTIONS, *READER_OPTIONS))
def chat(
    ctx: typer.Context,
    folder: Folder = DEFAULT_FOLDER,
    strategy: Strategy = None,
    session: Annotated[str | None, typer.Option(help="Go on with this conversation; otherwise a new one.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show intent, slots, state and Cypher of every turn.")] = False,
    as_json: AsJson = False,
    *,
    agent: Settings,
) -> None:
    """Talk over the graph in Chinese or English; /show tells what a turn understood, remembered, asked and found."""
    terminal: Terminal = ctx.obj
    words = dialogue_words(terminal.say)
    is_person = sys.stdin.isatty() and sys.stdout.isatty()
    if is_person:
        terminal.note(words.opening.format(folder=folder))
    with _opened(terminal, folder, strategy, agent) as opened:
        conversation = _Conversation(terminal, words, opened, session or _new_session(), shows=show, as_json=as_json)
        if is_person and agent.get("model") is not None:
            terminal.note(words.readying)
            opened.warm()
        if is_person:
            terminal.note(words.welcome)
        for line in _lines(f"{words.prompt} > ") if is_person else _piped():
            if line is None:
                terminal.error(words.not_utf8)
            elif line and not conversation.take(line):
                break
        if is_person:
            terminal.note(words.goodbye.format(session=conversation.session))


@dialogue.command(name="eval", short_help="Measure how sentences are understood.")
@with_options(agent=(*without(DIALOGUE_OPTIONS, "trained"), *READER_OPTIONS))
def evaluate(
    ctx: typer.Context,
    sentences: Annotated[
        Path,
        typer.Argument(help='JSON lines: {"text", "intent", "slots": [{"slot", "start", "end"}], "requested"}.'),
    ],
    folder: Folder = DEFAULT_FOLDER,
    trained: Annotated[
        Path | None, typer.Option("--trained", metavar="DIR", help="Measure what `train` wrote, without a graph.")
    ] = None,
    as_json: AsJson = False,
    *,
    agent: Settings,
) -> None:
    """Read every sentence of a file with each strategy and compare intents and slots with what the file says."""
    from pagoda.dialogue.reading.strategies import STRATEGIES
    from pagoda.nlu.report import evaluate as measure

    terminal: Terminal = ctx.obj
    examples = _read_lines(sentences)
    if trained is not None:
        from pagoda.nlu.fast_understanding import FastUnderstanding

        reports = {"fast": measure(FastUnderstanding.load(trained), examples)}
    else:
        with _opened(terminal, folder, "intent_first", agent) as opened:
            reports = {name: measure(opened.understander(name), examples) for name in STRATEGIES}
    if as_json:
        figures = {name: report.to_json() for name, report in reports.items()}
        terminal.result(json.dumps(figures, ensure_ascii=False, indent=2))
        return
    for name, report in reports.items():
        terminal.result("\n".join(evaluation_lines(name, report, dialogue_words(terminal.say))))


@dialogue.command(short_help="Train an understanding from labelled sentences.")
def train(
    ctx: typer.Context,
    sentences: Annotated[list[Path], typer.Argument(help="JSON lines, as for eval; several files are one set.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write it.")],
    effort: Annotated[str, typer.Option(help="heads (seconds), tuned (minutes), or auto.")] = "auto",
    test: Annotated[Path | None, typer.Option("--test", help="Sentences to measure on; otherwise a tenth.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train, write, and report on sentences that were held out: figures, and the confusion matrix as a picture."""
    from pagoda.nlu.fast_understanding import FastUnderstanding
    from pagoda.nlu.files import check_place
    from pagoda.nlu.report import draw_confusions
    from pagoda.nlu.report import evaluate as measure

    terminal: Terminal = ctx.obj
    words = dialogue_words(terminal.say)
    known = [example for path in sentences for example in _read_lines(path)]
    learned, held_out = _split(known, _read_lines(test) if test is not None else None)
    check_place(out)
    began = time.perf_counter()
    with _progress(terminal, words) as on_progress:
        understanding = FastUnderstanding.train(learned, effort=_effort(effort), seed=seed, on_progress=on_progress)
    understanding.save(out)
    seconds = time.perf_counter() - began
    report = measure(understanding, held_out)
    figures_path, picture_path = out.with_suffix(".report.json"), out.with_suffix(".confusions.png")
    figures_path.write_text(json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    is_drawn = draw_confusions(report, picture_path)
    if as_json:
        terminal.result(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
        return
    languages = ", ".join(understanding.languages)
    terminal.result(words.trained.format(count=len(learned), seconds=seconds, languages=languages, folder=out))
    terminal.result("\n".join(evaluation_lines(out.name, report, words)))
    terminal.note(words.report.format(path=figures_path))
    if is_drawn:
        terminal.note(words.picture.format(path=picture_path))


@dialogue.command(short_help="Print every entry of a domain file, with types and examples.")
def reference(ctx: typer.Context) -> None:
    """Print the reference of the domain file, in Markdown: what docs/domain-file.md holds."""
    from pagoda.dialogue.domain.reference import page

    terminal: Terminal = ctx.obj
    terminal.result(page().rstrip("\n"))


class _Conversation:
    """A chat on the terminal: sentences to the agent, commands to us."""

    def __init__(
        self,
        terminal: Terminal,
        words: DialogueWords,
        agent: DialogueAgent,
        session: str,
        *,
        shows: bool,
        as_json: bool,
    ) -> None:
        self.session = session
        self._terminal, self._words, self._agent = terminal, words, agent
        self._shows, self._as_json = shows, as_json
        self._last: Turn | None = None

    def take(self, line: str) -> bool:
        """One line; False for the last."""
        if line.startswith("/"):
            return self._command(line)
        try:
            self._last = self._agent.reply(self.session, line)
        except InvalidRequestError as error:
            self._terminal.error(str(error))
            return True
        if self._as_json:
            self._terminal.result(json.dumps(self._last.as_dict(), ensure_ascii=False))
            return True
        self._terminal.piece(f"{self._last.text}\n", style="cyan")
        if self._shows:
            self._show()
        return True

    def _command(self, line: str) -> bool:
        words, terminal = self._words, self._terminal
        match line.split():
            case ["/quit" | "/exit"]:
                return False
            case ["/show"]:
                self._show()
            case ["/show", "on" | "off" as switch]:
                self._shows = switch == "on"
                terminal.note(words.showing if self._shows else words.not_showing)
            case ["/new"]:
                self.session, self._last = _new_session(), None
                terminal.note(words.new_session)
            case ["/help"]:
                terminal.note(words.help)
            case _:
                terminal.note(words.unknown_command.format(command=line.split()[0], hint=words.help))
        return True

    def _show(self) -> None:
        if self._last is None:
            self._terminal.note(self._words.nothing_to_show)
            return
        for line in turn_lines(self._last, self._words):
            self._terminal.note(printable(line))


@contextmanager
def _opened(terminal: Terminal, folder: Path, strategy: str | None, settings: Settings) -> Iterator[DialogueAgent]:
    """The agent; graph and model are given back at the end."""
    from pagoda.chat.held import HeldModel
    from pagoda.chat.loop import LoopThread
    from pagoda.dialogue.settings import AgentSettings

    model = chat_model(settings)
    chosen = strategy or ("intent_first" if model is None else "hybrid")
    held = None if model is None else HeldModel(model, LoopThread(instead="areply"), owned=True)
    with ExitStack() as parts:
        with _progress(terminal, dialogue_words(terminal.say)) as on_progress:
            manner = AgentSettings(
                strategy=chosen,
                model_timeout_s=settings.get("model_timeout", AgentSettings.model_timeout_s),
                rephrases=bool(settings.get("rephrase")),
                timezone=settings.get("timezone") or "",
                on_progress=on_progress,
            )
            with begun_ahead(folder) if _is_usual(settings) else nullcontext():
                from pagoda.dialogue.agent import DialogueAgent

                agent = DialogueAgent(
                    settings.get("domain"),
                    opened_graph(settings),
                    settings.get("trained"),
                    held,
                    folder=folder,
                    settings=manner,
                    owns_graph=True,
                )
            parts.enter_context(agent)
        yield agent


def _is_usual(settings: Settings) -> bool:
    """Whether nothing was named that may be wrong, to be told before a graph is opened."""
    return not any(settings.get(name) for name in ("graph", "domain", "trained"))


def _new_session() -> str:
    return f"cli-{secrets.token_hex(6)}"


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Raises ConfigError, with the line's number."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read sentences from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"cannot read sentences from {path}, line {line}: it is not UTF-8 (GBK, perhaps); save it as UTF-8"
        ) from error
    # Not splitlines: a sentence may hold line ends of Unicode's.
    found = [_read_line(path, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not found:
        raise ConfigError(f'{path} holds no sentence: write a JSON object a line, such as {{"text": "hello"}}')
    return found


def _read_line(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{path}, line {number} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f'{path}, line {number} is no JSON object with "text": {line:.60}')
    return value


def _split(
    known: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]] | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(to learn from, to measure on): every tenth where no test set is given."""
    if test is not None:
        return list(known), list(test)
    if len(known) < 20:
        raise ConfigError(f"{len(known)} sentences are too few to hold some out: give more, or measure on --test FILE")
    return [e for i, e in enumerate(known) if i % 10 != 9], [e for i, e in enumerate(known) if i % 10 == 9]


def _effort(name: str) -> Any:
    if name not in ("auto", "heads", "tuned"):
        raise ConfigError(f"--effort is {name!r}, expected auto, heads or tuned")
    return name


@contextmanager
def _progress(terminal: Terminal, words: DialogueWords) -> Iterator[Any]:
    """What tells of a training."""
    parts = {"lower layers": words.part_layers, "cross-validation": words.part_folds, "training": words.part_steps}
    with bars(terminal) as tell:
        yield lambda what, done, total: tell(f"{words.training}: {parts.get(what, what)}", done, total)


def _lines(prompt: str) -> Iterator[str | None]:
    """What a person types, line by line; None for bytes that are no text."""
    while True:
        try:
            yield input(prompt).strip()
        except UnicodeDecodeError:
            yield None
        except (EOFError, KeyboardInterrupt):
            return


def _piped() -> Iterator[str | None]:
    """The lines of a pipe or a file; None for one that is no UTF-8. One such line does not spoil the next."""
    try:
        for line in sys.stdin.buffer:
            try:
                yield line.decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                yield None
    except KeyboardInterrupt:
        return
