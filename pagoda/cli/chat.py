"""`pagoda chat`: a conversation at the terminal, streamed, with the turns so far kept in the context.

The token's path from a person and back. Ctrl-C during an answer ends that answer only: it takes effect between two
steps of the engine, whose blocks are then free again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pagoda.cli.console.environment import Language, chat_history_file
from pagoda.cli.console.first_model import first_model
from pagoda.cli.console.interrupts import StopOnInterrupt
from pagoda.cli.console.messages import messages_in
from pagoda.cli.console.options import (
    ENGINE_OPTIONS,
    SAMPLING_OPTIONS,
    Settings,
    engine_settings,
    sampling_params,
    with_options,
    without,
)
from pagoda.cli.console.prompts import require_text
from pagoda.cli.console.terminal import Terminal
from pagoda.cli.conversation import Conversation
from pagoda.engine.outputs import RequestOutput
from pagoda.errors import InvalidRequestError, nearest
from pagoda.installation import program
from pagoda.models.chat_defaults import ChatDefaults
from pagoda.sampling_params import RequestOutputKind, SamplingParams
from pagoda.startup import collector_paused

if TYPE_CHECKING:
    from pagoda.llm import LLM

COMMANDS = ("/help", "/clear", "/system", "/save", "/quit")
_HISTORY_LINES = 1000


@with_options(sampling=without(SAMPLING_OPTIONS, "n", "ignore_eos"), engine=ENGINE_OPTIONS)
def chat(
    ctx: typer.Context,
    system: Annotated[str, typer.Option("--system", help="A system message.", show_default=False)] = "",
    lang: Annotated[Language | None, typer.Option("--lang", help="Language of messages.")] = None,
    *,
    sampling: Settings,
    engine: Settings,
) -> None:
    """Talk with a model: answers are streamed, and earlier turns stay in the context as long as they fit.

    Answers go to stdout and everything else to stderr, so that lines can also be piped in.
    """
    if lang is not None:
        ctx.obj = Terminal(messages_in(lang))
    sampling_params(sampling)
    keywords = engine_settings(engine)
    if "model" not in keywords:
        keywords["model"] = first_model(ctx.obj)
    # torch takes seconds to import: only once everything that can be checked without it is sound.
    with collector_paused():
        from pagoda.llm import LLM

    llm = LLM(**keywords)
    if not llm.get_tokenizer().has_chat_template:
        raise InvalidRequestError(f"this model has no chat template, so it cannot chat: use {program()} generate")
    defaults = _chat_defaults(llm)
    params = sampling_params({**defaults.sampling, **sampling}, llm.get_default_sampling_params())
    with _line_editing(chat_history_file(os.environ)):
        ChatSession(llm, params, Conversation(system or defaults.system), ctx.obj).run()


def _chat_defaults(llm: LLM) -> ChatDefaults:
    parts = llm.llm_engine.parts
    own = parts.generation_defaults.sampling_params()
    return ChatDefaults.of(own, parts.config.num_parameters, has_chat_template=True, card=parts.card)


class ChatSession:
    """One chat, from the welcome to the goodbye."""

    def __init__(self, llm: LLM, params: SamplingParams, conversation: Conversation, terminal: Terminal) -> None:
        self.llm = llm
        self.params = params.clone(output_kind=RequestOutputKind.DELTA)
        self.conversation = conversation
        self.terminal = terminal
        self.say = terminal.say
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty()

    def run(self) -> None:
        """Read and answer lines until the person leaves."""
        if self.is_interactive:
            self.terminal.note(self.say.chat_welcome)
        while (line := self._read_line()) is not None and line != "/quit":
            try:
                self._handle(line)
            except InvalidRequestError as error:
                self.terminal.error(str(error))
        if self.is_interactive:
            self.terminal.note(self.say.chat_goodbye)

    def _read_line(self) -> str | None:
        """The next line, or None where the person leaves."""
        # \001 and \002 tell readline which characters take no room on the line.
        prompt = f"\001\033[1;32m\002{self.say.chat_prompt} > \001\033[0m\002"
        shown = prompt if self.terminal.out.color_system else f"{self.say.chat_prompt} > "
        try:
            return input(shown if self.is_interactive else "").strip()
        except (EOFError, KeyboardInterrupt):
            if self.is_interactive:
                sys.stdout.write("\n")
            return None

    def _handle(self, line: str) -> None:
        if line.startswith("/"):
            command, _, argument = line.partition(" ")
            self._command(command, argument.strip())
        elif line:
            self._answer(line)

    def _command(self, command: str, argument: str) -> None:
        if command == "/help":
            self.terminal.note(self.say.chat_help)
        elif command == "/clear":
            self.conversation.clear()
            self.terminal.note(self.say.chat_cleared)
        elif command == "/system":
            self._system(argument)
        elif command == "/save":
            self._save(argument)
        else:
            hint = nearest(command, COMMANDS)
            self.terminal.error(self.say.chat_unknown_command.format(command=command, hint=hint))

    def _system(self, text: str) -> None:
        if text:
            self.conversation.system = "" if text == "-" else text
        if text and text != "-":
            self.terminal.note(self.say.chat_system_set)
        elif self.conversation.system:
            self.terminal.note(self.say.chat_system_is.format(text=self.conversation.system))
        else:
            self.terminal.note(self.say.chat_system_none)

    def _save(self, name: str) -> None:
        if not name:
            raise InvalidRequestError("/save needs the name of a file: /save chat.json")
        path = Path(name).expanduser()
        self.conversation.save(path)
        self.terminal.note(self.say.chat_saved.format(count=len(self.conversation.messages), path=path))

    def _answer(self, question: str) -> None:
        """One question and its answer; where there can be no answer, the question is forgotten too."""
        require_text(question, "the message")
        self.conversation.add_user(question)
        text = ""
        try:
            with StopOnInterrupt() as interrupt:
                self._make_room()
                text = self._stream_answer(interrupt)
        finally:
            self.conversation.add_assistant(text)

    def _make_room(self) -> None:
        """Drop the oldest turns, so that the prompt leaves room for an answer."""
        limit = self.llm.llm_engine.max_model_len
        reserve = min(self.params.max_tokens or limit, limit // 4)
        tokenizer = self.llm.get_tokenizer()
        dropped = self.conversation.drop_to_fit(lambda messages: len(tokenizer.encode_chat(messages)), limit - reserve)
        if dropped:
            self.terminal.note(self.say.chat_dropped.format(limit=limit, count=dropped))

    def _stream_answer(self, interrupt: StopOnInterrupt) -> str:
        """Print the answer while it grows; its text, which is a part of it after Ctrl-C."""
        texts: list[str] = []
        num_tokens, finish_reason = 0, None
        began = time.perf_counter()
        stream = self.llm.stream_chat(self.conversation.messages, self.params)
        # A generator: closing it ends the request, however the loop is left.
        with closing(cast(Generator[RequestOutput], stream)):
            for output in stream:
                completion = output.outputs[0]
                texts.append(completion.text)
                num_tokens += len(completion.token_ids)
                finish_reason = completion.finish_reason
                self.terminal.piece(completion.text, style="cyan")
                if interrupt.requested:
                    break
        self.terminal.piece("\n")
        self._tell_end(finish_reason, num_tokens, time.perf_counter() - began)
        return "".join(texts)

    def _tell_end(self, finish_reason: str | None, num_tokens: int, seconds: float) -> None:
        if finish_reason is None:
            self.terminal.note(self.say.chat_stopped)
        elif finish_reason == "length":
            self.terminal.note(self.say.chat_cut.format(tokens=num_tokens))
        elif self.is_interactive:
            self.terminal.note(self.say.chat_rate.format(tokens=num_tokens, rate=num_tokens / max(seconds, 1e-9)))


@contextmanager
def _line_editing(history_file: Path) -> Iterator[None]:
    """Editing and history of typed lines, where Python has readline and a person types."""
    try:
        import readline
    except ImportError:
        readline = None  # type: ignore[assignment]
    if readline is None or not sys.stdin.isatty():
        yield
        return
    readline.set_history_length(_HISTORY_LINES)
    _quietly(lambda: readline.read_history_file(history_file))
    try:
        yield
    finally:
        _quietly(lambda: _write_history(history_file))


def _write_history(path: Path) -> None:
    import readline

    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    readline.write_history_file(path)


def _quietly(action: Callable[[], None]) -> None:
    """A home that cannot be read or written costs the history, not the chat."""
    try:
        action()
    except OSError:
        return
