"""`pagoda rag` in this process: what it prints in which language, what it refuses, and with which exit code."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import pagoda.rag.pipeline
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.cli.app import app
from pagoda.cli.rag import commands as rag_commands
from pagoda.cli.rag.words import CHINESE, ENGLISH
from pagoda.rag.evaluation.feedback import Feedback, FeedbackLog, feedback_file
from word_embedder import WordEmbedder

HANDBOOK = Path(__file__).resolve().parents[3] / "examples" / "handbook"


class EnglishEmbedder(WordEmbedder):
    """Reads no Chinese, whose characters are a token each."""

    dimension = 24

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + len(re.findall(r"[\u4e00-\u9fff]", text)) for text in texts]

    def unknown_share(self, text: str) -> float:
        return 1.0 if re.search(r"[\u4e00-\u9fff]", text) else 0.0


@pytest.fixture(autouse=True)
def _no_real_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagoda.rag.pipeline, "embedder_of", lambda name: EnglishEmbedder())


def invoke(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    runner = CliRunner(env={"LC_ALL": "C", "LANG": "C", "PAGODA_TRACEBACK": "", **environment})
    return runner.invoke(app, ["rag", *arguments], input=stdin)


@pytest.fixture
def store(tmp_path: Path) -> str:
    folder = str(tmp_path / "store")
    result = invoke("index", str(HANDBOOK), "--store", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_the_handbook_is_indexed_once_and_then_costs_nothing(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    first = invoke("index", str(HANDBOOK), "--store", folder)
    assert first.stdout.startswith("8 added, 0 updated, 0 deleted, 0 unchanged, 0 skipped: ")
    again = json.loads(invoke("index", str(HANDBOOK), "--store", folder, "--json").stdout)
    assert len(again["unchanged"]) == 8
    assert again["num_embedded"] == 0


def test_watching_tells_the_first_run_and_those_that_changed_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("One.", encoding="utf-8")

    def changes(*_: Any) -> Iterator[None]:
        yield
        yield
        (folder / "b.md").write_text("Two.", encoding="utf-8")
        yield
        raise KeyboardInterrupt

    monkeypatch.setattr("pagoda.rag.index.watching.changes", changes)
    result = invoke("index", str(folder), "--watch", "--store", str(tmp_path / "store"))
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["1 added", "1 added"]
    assert "Ctrl-C ends" in result.stderr
    assert result.exit_code == 130


def test_an_answer_goes_to_stdout_with_its_source_and_the_rest_to_stderr(store: str) -> None:
    result = invoke("ask", "How long are repairs guaranteed?", "--store", store)
    assert result.exit_code == 0
    assert "[1]" in result.stdout
    assert "repairs.md, line" in result.stdout
    assert "Repairs are guaranteed for six months." in result.stdout
    assert "confidence" in result.stderr
    assert "confidence" not in result.stdout


def test_messages_and_places_are_chinese_where_the_person_is(store: str) -> None:
    result = invoke("ask", "会员年费是多少？", "--store", store, LC_ALL="zh_CN.UTF-8")
    assert "会员.md 第 3 行" in result.stdout
    assert "置信度" in result.stderr


def test_json_is_the_whole_answer(store: str) -> None:
    answer = json.loads(invoke("ask", "会员年费是多少？", "--store", store, "--json").stdout)
    assert answer["citations"][0]["source"] == "会员.md"
    assert set(answer) >= {"text", "abstained", "confidence", "unsupported", "dropped", "timings"}


def test_a_question_may_come_from_standard_input(store: str) -> None:
    assert "six months" in invoke("ask", "-", "--store", store, stdin="How long are repairs guaranteed?\n").stdout


def test_a_model_answers_and_what_no_source_bears_is_told(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Repairs are guaranteed for six months [1]. They are done on Mars."
    monkeypatch.setattr(rag_commands, "_chat_model", lambda *given: ScriptedChatModel([said]))
    result = invoke("ask", "How long are repairs guaranteed?", "--store", store, "--model", "any")
    assert "for six months. [1]" in result.stdout
    assert "no source bears this: They are done on Mars." in result.stderr


def test_a_blank_line_in_a_file_of_questions_ends_nothing(store: str) -> None:
    lines = "\nHow long are repairs guaranteed?\n\n  \nHow long are repairs guaranteed?\n"
    result = invoke("chat", "--store", store, stdin=lines)
    assert result.stderr.count("confidence") == 2


def test_the_status_needs_no_embedder(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagoda.rag.pipeline, "embedder_of", lambda name: pytest.fail("an embedder was loaded"))
    assert json.loads(invoke("status", "--store", store, "--json").stdout)["num_documents"] == 8


def test_files_are_chosen_and_read_as_the_options_say(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "old").mkdir(parents=True)
    (folder / "a.txt").write_bytes("Zażółć gęślą jaźń, proszę.".encode("cp1250"))
    for name in ("b.md", "old/c.txt"):
        (folder / name).write_text("One. Two. Three. Four. Five. Six. Seven. Eight. Nine. Ten.", encoding="utf-8")
    options = ("--store", str(tmp_path / "store"), "--json")
    report = json.loads(invoke("index", str(folder), *options, "--include", "*.txt", "--exclude", "old").stdout)
    assert (report["added"], [name for name, _ in report["skipped"]]) == ([], ["a.txt"])
    everything = ("--include", "", "--exclude", "")
    given = ("--encoding", "cp1250", "--chunk-tokens", "8")
    report = json.loads(invoke("index", str(folder), *options, *everything, *given).stdout)
    assert (sorted(report["added"]), report["skipped"]) == (["a.txt", "b.md", "old/c.txt"], [])
    assert report["num_chunks"] == 5
    refused = invoke("index", str(folder), *options, "--max-bytes", "20")
    assert "raise the limit with --max-bytes" in refused.stderr


def test_a_slip_in_a_pattern_empties_no_index(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "store"))
    invoke("index", str(HANDBOOK), *store, "--overlap", "0")
    before = invoke("status", *store, "--json").stdout
    for option in ("--include", "--exclude"):
        refused = invoke("index", str(HANDBOOK), *store, option, "nothing*" if option == "--include" else "*")
        assert refused.exit_code == 2
        assert "nothing was changed" in refused.stderr
        assert invoke("status", *store, "--json").stdout == before
    unknown = invoke("index", str(HANDBOOK), *store, "--encoding", "nosuch")
    assert (unknown.exit_code, "expected one that Python knows" in unknown.stderr) == (2, True)
    again = invoke("index", str(HANDBOOK), *store)
    assert "as this index was made: --overlap 0\n" in again.stderr
    assert "0 added, 0 updated, 0 deleted" in again.stdout


def test_options_of_the_first_run_are_kept_and_told(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "store"))
    first = invoke("index", str(HANDBOOK), *store, "--chunk-tokens", "40", "--exclude", "*.txt", "--exclude", "drafts")
    assert "as this index was made" not in first.stderr
    again = invoke("index", str(HANDBOOK), *store)
    assert "0 added, 0 updated, 0 deleted" in again.stdout
    assert "as this index was made: --chunk-tokens 40, --exclude *.txt drafts" in again.stderr
    changed = invoke("index", str(HANDBOOK), *store, "--chunk-tokens", "80", "--exclude", "")
    assert "--chunk-tokens was 40 for this index and is 80 from now on" in changed.stderr
    assert '--exclude was *.txt drafts for this index and is "" from now on' in changed.stderr
    told = invoke("index", str(HANDBOOK), *store, LC_ALL="zh_CN.UTF-8")
    assert "沿用此索引的选项：--chunk-tokens 80" in told.stderr


def test_hard_wrapped_chinese_is_shown_without_its_line_ends() -> None:
    assert rag_commands._in_one_line("设备保修期\n为三年。\nIt is\nlong.") == "设备保修期为三年。 It is long."


def test_a_chat_answers_line_by_line_and_follow_ups_lean_on_the_line_before(store: str) -> None:
    lines = "How long are repairs guaranteed?\n\n"
    result = invoke("chat", "--store", store, stdin=lines)
    assert result.exit_code == 0
    assert "six months" in result.stdout


def test_status_tells_what_is_there(store: str) -> None:
    assert "8 documents" in invoke("status", "--store", store).stdout
    assert json.loads(invoke("status", "--store", store, "--json").stdout)["num_documents"] == 8


def test_eval_measures_retrieval_answers_and_abstention(store: str) -> None:
    questions = str(HANDBOOK.parent / "handbook-questions.jsonl")
    result = json.loads(invoke("eval", questions, "--store", store, "--json").stdout)
    assert result["num_questions"] == 20
    assert result["recall_at_k"] >= 0.9
    assert result["num_unanswerable"] == 4
    assert "right source among the first 1" in invoke("eval", questions, "--store", store).stdout


def test_feedback_is_printed_as_questions_that_eval_takes(store: str, tmp_path: Path) -> None:
    assert invoke("feedback", "--store", store).stdout == ""
    log = FeedbackLog(feedback_file(Path(store)))
    log.add(Feedback(question="How long are repairs guaranteed?", rating="down", right_answer="six months"))
    log.add(Feedback(question="Who rides?", rating="down"))
    printed = invoke("feedback", "--store", store)
    assert "2 ratings, 1 questions" in printed.stderr
    (tmp_path / "questions.jsonl").write_text(printed.stdout, "utf-8")
    result = json.loads(invoke("eval", str(tmp_path / "questions.jsonl"), "--store", store, "--json").stdout)
    assert (result["num_questions"], result["num_with_answers"]) == (1, 1)
    entries = [json.loads(line) for line in invoke("feedback", "--store", store, "--json").stdout.splitlines()]
    assert [entry["rating"] for entry in entries] == ["down", "down"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "When?", "--store", "nowhere"], "there is no index in nowhere: make one with `"),
        (["status", "--store", "nowhere"], "there is no index in nowhere"),
        (["feedback", "--store", "nowhere"], "there is no index in nowhere"),
        (["index", "nothing.md", "--store", "nowhere"], "nothing.md does not exist"),
        (["index", ".", "--watch", "--gone", "--store", "nowhere"], "--gone is said of one run"),
        (["ask", "--store", "nowhere"], "Missing argument"),
    ],
)
def test_a_mistake_of_the_callers_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", ""], "the question is empty"),
        (["ask", "When?", "-k", "0"], "k is 0"),
        (["ask", "When?", "--where", "title"], "expected NAME=VALUE"),
        (["ask", "When?", "--model", "http://127.0.0.1:1", "--api-key-env", "NO_SUCH_VARIABLE"], "no such variable"),
        (["eval", "missing.jsonl"], "cannot read questions"),
    ],
)
def test_a_bad_question_is_one_line_and_exit_code_2(store: str, arguments: list[str], message: str) -> None:
    result = invoke(*arguments, "--store", store)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_folder_of_something_else_is_refused_as_a_store(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear John", "utf-8")
    result = invoke("index", str(HANDBOOK), "--store", str(tmp_path / "letters"))
    assert result.exit_code == 2
    assert "holds other files" in result.stderr


def test_a_dead_endpoint_is_one_line_and_exit_code_1(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pagoda.chat.openai_client import OpenAIChatModel

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        model = OpenAIChatModel(f"http://127.0.0.1:{taken.getsockname()[1]}", timeout_s=1.0)
        monkeypatch.setattr(rag_commands, "_chat_model", lambda *given: model)
        result = invoke("ask", "How long are repairs guaranteed?", "--store", store, "--model", model.url)
    assert result.exit_code == 1
    assert "is the server running" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_empty_folder_is_told_and_leaves_an_empty_index(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = invoke("index", str(tmp_path / "empty"), "--store", str(tmp_path / "store"))
    assert result.exit_code == 1
    assert "holds no files" in result.stderr
    assert "holds no documents" in invoke("ask", "When?", "--store", str(tmp_path / "store")).stderr


def test_both_languages_fill_in_the_same_names() -> None:
    for name in vars(ENGLISH):
        names = [set(re.findall(r"\{(\w+)", getattr(words, name))) for words in (ENGLISH, CHINESE)]
        assert names[0] == names[1], name


def test_an_index_is_exported_and_imported(store: str, tmp_path: Path) -> None:
    file, other = str(tmp_path / "handbook.jsonl"), str(tmp_path / "other")
    assert re.fullmatch(
        r"8 documents, \d+ chunks written to .*handbook.jsonl\n", invoke("export", file, "--store", store).stdout
    )
    written = invoke("import", file, "--store", other, LC_ALL="zh_CN.UTF-8", PAGODA_LANG="zh")
    assert written.exit_code == 0, written.output
    asked = [invoke("ask", "How long are repairs guaranteed?", "--store", folder).stdout for folder in (store, other)]
    assert asked[0] == asked[1] != ""
    again = invoke("import", file, "--store", other)
    assert (again.exit_code, "holds documents already" in again.stderr) == (2, True)
    assert "does not exist" in invoke("import", f"{file}.not", "--store", str(tmp_path / "third")).stderr


def test_a_name_with_escape_codes_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.bin").write_bytes(b"x")
    result = invoke("index", str(tmp_path), "--store", str(tmp_path / "store"))
    assert "skipped a\ufffd[2J.bin: " in result.stderr
    assert "\x1b" not in result.output


def test_a_source_is_the_line_of_the_words_that_are_marked(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(
        "# Stalls\n\n- Bread is at the gate.\n- Fish is by the river.\n- Tea is upstairs.\n", "utf-8"
    )
    (tmp_path / "摊位.md").write_text("# 摊位\n\n- 面包在大门口。\n- 鱼在河边。\n- 茶在楼上。\n", "utf-8")
    store = str(tmp_path / "store")
    assert invoke("index", *(str(tmp_path / name) for name in ("notes.md", "摊位.md")), "--store", store).exit_code == 0
    for question, words, place in (
        ("Where is fish?", "river", "notes.md, line 4"),
        ("鱼在哪里？", "河", "摊位.md, line 4"),
    ):
        told = invoke("ask", question, "--store", store).stdout
        assert re.search(rf"{place}: .*{words}", told), told


def test_a_source_in_a_workbook_is_a_row(tmp_path: Path) -> None:
    from openpyxl import Workbook

    for name, sheets in (("one.xlsx", ["Fees"]), ("two.xlsx", ["Staff", "Fees"])):
        book = Workbook()
        book.active.title = sheets[0]
        for title in sheets[1:]:
            book.create_sheet(title)
        for sheet in book.worksheets:
            for row in (["Item", "Fee"], ["tent", 4], ["kayak", 9]):
                sheet.append([f"{sheet.title} {row[0]}" if row[1] != "Fee" else row[0], row[1]])
        book.save(tmp_path / name)
        store = str(tmp_path / name.removesuffix(".xlsx"))
        invoke("index", str(tmp_path / name), "--store", store)
        told = invoke("ask", "What fee is Fees kayak?", "--store", store).stdout
        assert ("one.xlsx, row 3" if name == "one.xlsx" else "two.xlsx, sheet 2, row 3") in told, told
        told = invoke(
            "ask", "Fees kayak 的 Fee 是多少？", "--store", store, LC_ALL="zh_CN.UTF-8", LANG="zh_CN.UTF-8"
        ).stdout
        assert ("one.xlsx 第 3 行" if name == "one.xlsx" else "two.xlsx 第 2 张表第 3 行") in told, told


def test_a_filter_on_a_name_that_no_document_has_is_told(store: str) -> None:
    told = invoke("ask", "How much is a bicycle?", "--store", store, "--where", "team=shop")
    assert "because none has team, which the filter names; there are: " in told.stderr
    assert "path" in told.stderr
    told = invoke("ask", "会员年费是多少？", "--store", store, "--where", "team=shop", "--where", "path*=md")
    assert "因为没有一个文档有过滤条件中的 team" in told.stderr
    # A name that some have, with another value, is a plain filter.
    assert "filter names" not in invoke("ask", "How much?", "--store", store, "--where", "format=xyz").stderr
