"""`pagoda rag index | export | import | ask | chat | eval | feedback | status`: questions to documents.

The ends of both paths of retrieval: files come in here, answers go out. Answers go to stdout, everything else to
stderr. Without --model nothing but the documents' own words is printed, and nothing needs a network.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pagoda.cli.console.chat_models import chat_model as _chat_model
from pagoda.cli.console.options import API_KEY_ENV, AsJson, Settings, option, with_options
from pagoda.cli.console.terminal import Terminal, printable
from pagoda.cli.rag.indexing import FILE_OPTIONS, counting, index_settings, progress, tell_report, watch_files
from pagoda.cli.rag.words import RagWords, rag_words
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.installation import program

if TYPE_CHECKING:
    from pagoda.chat.model import Message
    from pagoda.rag.answer import Answer, Citation
    from pagoda.rag.pipeline import RAG

_HAN = r"[\u2e80-\u9fff\uf900-\ufaff\uff01-\uffee]"
_HAN_BREAK = re.compile(rf"(?<={_HAN})[ \t]*\n\s*(?={_HAN})")
DEFAULT_STORE = Path("pagoda-index")
rag = typer.Typer(help="Ask a folder of documents.", no_args_is_help=True, rich_markup_mode=None)

Store = Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder of the index.")]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store-url",
        metavar="URL",
        help="Server that keeps the vectors: http://... of Chroma, postgresql://user@host/database of pgvector.",
    ),
]
Hits = Annotated[int, typer.Option("-k", "--k", help="Chunks to read for an answer.")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Only documents with this: NAME=VALUE, also != > >= < <=, ^= (begins with), *= (contains), in A,B and not "
        "in A,B. Names: path, title, section, language, version, date and what a file says of itself. May be repeated.",
    ),
]
MapReduce = Annotated[
    bool, typer.Option("--map-reduce", help="Read sources that do not fit together in parts, instead of dropping some.")
]
EMBEDDER = option(
    "embedder",
    str,
    "sentence-transformers model by name or path, or bilingual, which reads Chinese, too; otherwise the index's own, "
    "at first the packaged MiniLM.",
)
READER_OPTIONS = (
    option(
        "model",
        str,
        "URL of an OpenAI-compatible server, or a model of this machine by directory or hub id; otherwise the "
        "documents are quoted.",
        "--model",
        "-m",
    ),
    option("model_name", str, "What the server at the URL calls the model; otherwise its first."),
    API_KEY_ENV,
    option(
        "answerer",
        str,
        "Who answers: model reads the sources, a small one the passages that are quoted; guided confirms and "
        "completes what is quoted; extractive quotes. The default is model where one is named.",
    ),
    option("deadline", float, "Seconds that a model has for an answer."),
    EMBEDDER,
    option("reranker", str, "Cross-encoder by name or path."),
)
"""Who finds and who answers: what `reader` is in the commands below."""


@rag.command(short_help="Index files and folders.")
@with_options(reader=(EMBEDDER,), files=FILE_OPTIONS)
def index(
    ctx: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files and folders: txt, md, html, pdf, docx, xlsx, pptx, odt, epub, csv, json and more."),
    ],
    store: Store = DEFAULT_STORE,
    store_url: StoreUrl = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on: index again whenever a file changes.")] = False,
    gone: Annotated[bool, typer.Option("--gone", help="Drop what the index has of a folder that is gone.")] = False,
    as_json: AsJson = False,
    *,
    reader: Settings,
    files: Settings,
) -> None:
    """Bring an index up to date with files: new and changed ones enter, deleted ones go, the others cost nothing."""
    from pagoda.rag.pipeline import RAG

    terminal: Terminal = ctx.obj
    words = rag_words(terminal.say)
    if watch and gone:
        raise ConfigError("--gone is said of one run, and --watch makes many: run it once with --gone, then --watch")
    for path in paths:
        _check_exists(path, store)
    with RAG(store, store_url=store_url, settings=index_settings(files), **reader) as documents:
        if watch:
            watch_files(terminal, words, documents, paths, store, files, as_json=as_json)
            return
        with progress(terminal, words) as on_event:
            report = documents.add(paths, on_event=on_event, drop_gone=gone)
    tell_report(terminal, words, report, store, files, as_json=as_json)
    if report.skipped and not (report.added or report.updated or report.deleted or report.unchanged):
        raise typer.Exit(1)


@rag.command(short_help="Write an index to one file.")
def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to write, JSON lines.")],
    store: Store = DEFAULT_STORE,
    vectors: Annotated[bool, typer.Option("--vectors", help="Write the vectors of the sentences, too.")] = False,
) -> None:
    """Write documents, chunks and metadata to one file, for other programs, or for `rag import`."""
    from pagoda.rag.index.index import RagIndex
    from pagoda.rag.index.interchange import export_index

    terminal: Terminal = ctx.obj
    words = rag_words(terminal.say)
    _check_is_index(store)
    with RagIndex.open(store, None) as opened, counting(terminal, words.exporting) as on_progress:
        documents, chunks = export_index(opened, file, vectors=vectors, on_progress=on_progress)
    terminal.result(words.exported.format(documents=documents, chunks=chunks, file=file))


@rag.command(name="import", short_help="Make an index from an exported file.")
@with_options(reader=(EMBEDDER,))
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="File that `rag export` wrote.")],
    store: Store = DEFAULT_STORE,
    store_url: StoreUrl = None,
    *,
    reader: Settings,
) -> None:
    """Make a new index from an exported file; sentences without a vector in it are embedded."""
    from pagoda.rag.pipeline import RAG

    terminal: Terminal = ctx.obj
    words = rag_words(terminal.say)
    if not file.exists():
        raise ConfigError(f"{file} does not exist: check the path")
    with RAG(store, store_url=store_url, **reader) as documents, counting(terminal, words.embedding) as on_progress:
        num_documents, num_chunks = documents.restore(file, on_progress)
    terminal.result(words.imported.format(documents=num_documents, chunks=num_chunks, store=store))


@rag.command(short_help="Ask one question.")
@with_options(reader=READER_OPTIONS)
def ask(
    ctx: typer.Context,
    question: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    store: Store = DEFAULT_STORE,
    k: Hits = 5,
    where: Filter = None,
    map_reduce: MapReduce = False,
    as_json: AsJson = False,
    *,
    reader: Settings,
) -> None:
    """Answer a question from the index, with its sources, or say that the documents do not hold the answer."""
    terminal: Terminal = ctx.obj
    text = sys.stdin.read().strip() if question == "-" else question
    filters = _where(where)
    with _opened(store, reader, map_reduce=map_reduce) as documents:
        answer = documents.query(text, k=k, where=filters)
    if as_json:
        terminal.result(json.dumps(answer.as_dict(), ensure_ascii=False, indent=2))
    else:
        text = _in_one_line(answer.text) if answer.shown in ("span", "sentence") else answer.text
        terminal.result(_shown(terminal, text))
        _tell_sources(terminal, answer)


@rag.command(short_help="Ask one question after the other.")
@with_options(reader=READER_OPTIONS)
def chat(
    ctx: typer.Context,
    store: Store = DEFAULT_STORE,
    k: Hits = 5,
    where: Filter = None,
    *,
    reader: Settings,
) -> None:
    """Ask questions that may lean on those before; answers are streamed where a model gives them."""
    from pagoda.chat.model import Message

    terminal: Terminal = ctx.obj
    words = rag_words(terminal.say)
    is_person = sys.stdin.isatty() and sys.stdout.isatty()
    history: list[Message] = []
    filters = _where(where)
    with _opened(store, reader) as documents:
        if is_person:
            terminal.note(words.chat_welcome)
        prompt = f"{words.chat_prompt} > " if is_person else ""
        # A person leaves by an empty line; in a file one may stand between two questions.
        while (line := _line(prompt)) is not None and (line or not is_person):
            if not line:
                continue
            try:
                answer = _answered(terminal, documents, line, history, k, filters)
            except InvalidRequestError as error:
                terminal.error(str(error))
                continue
            history += [Message("user", line), Message("assistant", answer.text)]
        if is_person:
            terminal.note(words.chat_goodbye)


@rag.command(name="eval", short_help="Measure retrieval and answers on questions of your own.")
@with_options(reader=READER_OPTIONS)
def evaluate(
    ctx: typer.Context,
    questions: Annotated[
        Path,
        typer.Argument(
            help='JSON lines: {"question", "source", "answers"}; no source and no answers: not to be found.'
        ),
    ],
    store: Store = DEFAULT_STORE,
    k: Hits = 5,
    as_json: AsJson = False,
    *,
    reader: Settings,
) -> None:
    """Ask every question of a file and compare with what it says: sources found, answers right, abstentions right."""
    from pagoda.cli.rag.evaluation import evaluation_lines
    from pagoda.rag.evaluation.answers import evaluate_questions, read_questions

    terminal: Terminal = ctx.obj
    asked = read_questions(questions)
    with _opened(store, reader) as documents:
        result = evaluate_questions(documents, asked, k)
    if as_json:
        terminal.result(json.dumps(asdict(result), ensure_ascii=False, indent=2))
    else:
        terminal.result("\n".join(evaluation_lines(result, rag_words(terminal.say))))


@rag.command(short_help="Print what people said of answers, as questions for eval.")
def feedback(ctx: typer.Context, store: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Print the questions that people said something of in the server's page, with what is right, as eval takes them.

    With --json all that they said, an entry a line.
    """
    from pagoda.rag.evaluation.feedback import FeedbackLog, feedback_file, question_lines, question_set

    terminal: Terminal = ctx.obj
    _check_is_index(store)
    entries = FeedbackLog(feedback_file(store.expanduser().absolute())).entries()
    lines = [json.dumps(asdict(entry), ensure_ascii=False) for entry in entries]
    told = lines if as_json else list(question_lines(question_set(entries)))
    if told:
        terminal.result("\n".join(told))
    if not as_json:
        terminal.note(rag_words(terminal.say).feedback.format(entries=len(entries), questions=len(told)))


@rag.command(short_help="Say what an index holds.")
def status(ctx: typer.Context, store: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Say what an index holds and what it was made with."""
    from pagoda.rag.index.index import RagIndex

    terminal: Terminal = ctx.obj
    words = rag_words(terminal.say)
    _check_is_index(store)
    with RagIndex.open(store, None) as opened:
        facts = asdict(opened.status())
    if as_json:
        terminal.result(json.dumps(facts, ensure_ascii=False, indent=2))
    elif not facts["num_documents"]:
        terminal.result(words.status_empty.format(program=program(), **facts))
    else:
        terminal.result(words.status.format(**facts, size=f"{facts['size_bytes'] / 1e6:.1f}"))


@contextmanager
def _opened(store: Path, reader: Settings, *, map_reduce: bool = False) -> Iterator[RAG]:
    """The index for questions, which must be there; the model is given back at the end."""
    from pagoda.rag.generative.answerer import GenerativeSettings
    from pagoda.rag.pipeline import RAG, RagSettings

    _check_is_index(store)
    finders = {name: reader.get(name) for name in ("embedder", "reranker")}
    given = {"deadline_s": reader["deadline"]} if "deadline" in reader else {}
    generative = GenerativeSettings(map_reduce=map_reduce, **given)
    settings = RagSettings(generative=generative, answerer=reader.get("answerer"))
    with RAG(store, _chat_model(reader), read_only=True, settings=settings, owns_model=True, **finders) as documents:
        yield documents


def _check_exists(path: Path, store: Path) -> None:
    """A misspelt path is told before the embedder is loaded; one that an index may know is the indexer's business."""
    if not path.exists() and not store.exists():
        raise ConfigError(f"{path} does not exist: check the path")


def _check_is_index(store: Path) -> None:
    if not store.exists():
        raise ConfigError(f"there is no index in {store}: make one with `{program()} rag index PATH --store {store}`")


def _where(filters: list[str] | None) -> dict[str, Any] | None:
    """What --where says, as Python and HTTP say it. Raises InvalidRequestError."""
    from pagoda.rag.retrieval.filters import parse_conditions

    return parse_conditions(filters) if filters else None


def _answered(
    terminal: Terminal, documents: RAG, line: str, history: list[Message], k: int, where: dict[str, Any] | None
) -> Answer:
    """One question of a chat, shown as it is answered."""
    from pagoda.rag.answer import Answer

    shown: list[str] = []
    answer: Answer | None = None
    for item in documents.stream(line, k=k, where=where, history=history):
        if isinstance(item, Answer):
            answer = item
        else:
            shown.append(item)
            terminal.piece(item, style="cyan")
    assert answer is not None, "a stream ends with its Answer"
    # What was streamed is the model's own; the checked text may differ from it.
    terminal.piece("\n" if "".join(shown).strip() == answer.text else f"\n=> {answer.text}\n")
    _tell_sources(terminal, answer)
    return answer


def _tell_sources(terminal: Terminal, answer: Answer) -> None:
    from pagoda.rag.extractive.showing.readable import readable

    words = rag_words(terminal.say)
    for note in answer.notes:
        if note not in answer.text:
            terminal.result(_shown(terminal, f"  {note}"))
    for citation in answer.citations:
        # What is shown as the answer is not said twice: its source tells which words of it answer, and where they are.
        is_marked = answer.shown in ("sentence", "passage")
        quote = _in_one_line(readable(citation.marked_text) if is_marked else citation.quote)
        terminal.result(_shown(terminal, f"  {_place(words, citation, is_marked=is_marked)}: {quote}"))
    for sentence in answer.unsupported:
        terminal.note(printable(words.unsupported.format(sentence=sentence)), style="yellow")
    if answer.missing:
        terminal.note(printable(words.missing.format(what=", ".join(answer.missing))))
    for what in answer.dropped:
        terminal.note(printable(words.dropped.format(what=what)))
    seconds = answer.timings.get("total", 0.0)
    told = words.confidence.format(answerer=answer.answerer, confidence=answer.confidence, seconds=seconds)
    terminal.note(told)


def _place(words: RagWords, citation: Citation, *, is_marked: bool) -> str:
    """Where the quote begins, or what is marked in it."""
    page, line = citation.pages, citation.line
    if is_marked and citation.marked_text != citation.quote:
        page, line = "" if citation.marked_page is None else str(citation.marked_page), citation.marked_line
    if citation.has_rows:
        place = words.place_sheet if page else words.place_row
    else:
        place = words.place_page if page else words.place
    return place.format(number=citation.number, source=citation.source, page=page, line=line)


def _in_one_line(quote: str) -> str:
    """A quotation without the ends of its lines; Chinese has no blank there."""
    return " ".join(_HAN_BREAK.sub("", quote).split())


def _shown(terminal: Terminal, text: str) -> str:
    """Documents and models may hold control characters, which a terminal would obey."""
    return printable(text) if terminal.out.is_terminal else text


def _line(prompt: str) -> str | None:
    """The next line; None where there is none."""
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        return None
