"""`pagoda dialogue` in this process: what it prints in which language, and what it refuses."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pagoda.cli.app import app
from pagoda.cli.console import chat_models
from pagoda.cli.dialogue import commands as dialogue_commands
from pagoda.cli.dialogue.words import CHINESE, ENGLISH

EXAMPLES = [
    {"text": text.format(name), "intent": intent}
    for intent, text in (("find", "帮我找一家{}餐馆"), ("thank", "谢谢你{}"), ("greet", "你好{}"))
    for name in ("川菜", "粤菜", "湘菜", "火锅", "啊", "呀", "了", "哦", "吧", "呢")
]
TOLD = {
    "understanding": {
        "intent": "find_restaurant", "confidence": 0.97, "route": "intent_first",
        "slots": [{"slot": "cuisine", "value": "川菜"}], "acts": [{"kind": "choose", "slot": "", "value": "1"}],
    },
    "state": {"intent": "find_restaurant", "slots": {"cuisine": "川菜"}, "requested": "location",
              "missing": ["location"], "suspended": [], "results": []},
    "action": "ask", "statement": "MATCH (n)\nRETURN n LIMIT 5", "parameters": {"p0": "川菜"}, "rows": [{}],
    "timings": {"total": 0.012},
}  # fmt: skip


class Told:
    """A turn that says what it heard."""

    def __init__(self, text: str) -> None:
        self.text = text

    def as_dict(self) -> dict[str, Any]:
        return {**TOLD, "text": self.text}


class Agent:
    """Repeats what it hears; sessions: whose sentences it heard."""

    def __init__(self) -> None:
        self.sessions: list[str] = []

    def reply(self, session: str, text: str) -> Told:
        self.sessions.append(session)
        return Told(f"heard {text}")


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    """What every command opens."""
    repeating = Agent()

    @contextmanager
    def opened(*given: Any) -> Iterator[Agent]:
        yield repeating

    monkeypatch.setattr(dialogue_commands, "_opened", opened)
    return repeating


def invoke(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    runner = CliRunner(env={"LC_ALL": "C", "LANG": "C", "PAGODA_TRACEBACK": "", **environment})
    return runner.invoke(app, ["dialogue", *arguments], input=stdin)


def test_bytes_that_are_no_text_are_one_line_and_the_conversation_goes_on(agent: Agent) -> None:
    runner = CliRunner(env={"LC_ALL": "C", "LANG": "C", "PAGODA_TRACEBACK": ""})
    stdin = b"one\n" + "订餐馆\n".encode("gb18030") + b"\x80\xff\x00\n" + "两位\n".encode()
    result = runner.invoke(app, ["dialogue", "chat", "--session", "s"], input=stdin)
    assert (result.exit_code, result.stdout) == (0, "heard one\nheard 两位\n")
    assert result.stderr.count(ENGLISH.not_utf8.partition(":")[0]) == 2
    assert "Traceback" not in result.stderr


def test_every_line_is_a_turn_of_one_session_until_the_end(agent: Agent) -> None:
    result = invoke("chat", "--session", "s", stdin="one\n\ntwo\n")
    assert (result.exit_code, result.stdout) == (0, "heard one\nheard two\n")
    assert agent.sessions == ["s", "s"]


def test_show_tells_intent_slots_state_and_cypher_in_the_persons_language(agent: Agent) -> None:
    english = invoke("chat", stdin="one\n/show\n").stderr
    for line in ("find_restaurant (0.97", "cuisine=川菜", "asked for   location", "MATCH (n)", '{"p0": "川菜"}'):
        assert line in english
    chinese = invoke("chat", stdin="一\n/show\n", LC_ALL="zh_CN.UTF-8").stderr
    assert "意图    find_restaurant" in chinese
    assert "还缺    location" in chinese


def test_showing_can_be_switched_on_and_a_new_conversation_begun(agent: Agent) -> None:
    result = invoke("chat", stdin="/show\n/show on\none\n/new\ntwo\n/nonsense\n/quit\nthree\n")
    assert ENGLISH.nothing_to_show in result.stderr
    assert result.stderr.count("find_restaurant (0.97") == 2
    assert len(set(agent.sessions)) == 2
    assert "there is no command /nonsense" in result.stderr
    assert "three" not in result.stdout


def test_json_is_a_turn_a_line(agent: Agent) -> None:
    result = invoke("chat", "--json", stdin="one\n二\n")
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["heard one", "heard 二"]


def test_a_model_that_is_not_there_is_told_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_models, "_CHECK_TIMEOUT_S", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for model, code, message in ((url, 1, "is the server running"), (str(tmp_path / "no.gguf"), 2, "no.gguf")):
            result = invoke("chat", "--model", model, "--folder", str(tmp_path / "made"), stdin="hello\n")
            assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
            assert "Traceback" not in result.stderr
    assert not (tmp_path / "made").exists()


def test_both_languages_have_the_same_fields_to_fill() -> None:
    import string

    for name in vars(ENGLISH):
        fields = [
            {field for _, field, _, _ in string.Formatter().parse(getattr(words, name)) if field}
            for words in (ENGLISH, CHINESE)
        ]
        assert fields[0] == fields[1], name


def test_training_writes_an_understanding_its_figures_and_their_picture(tmp_path: Path) -> None:
    sentences, out = tmp_path / "sentences.jsonl", tmp_path / "trained"
    sentences.write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in EXAMPLES), encoding="utf-8")
    trained = invoke("train", str(sentences), "--out", str(out), "--effort", "heads")
    assert trained.exit_code == 0, trained.stderr
    assert "trained on 27 sentences" in trained.stdout
    assert json.loads((tmp_path / "trained.report.json").read_text())["num_examples"] == 3
    assert (tmp_path / "trained.confusions.png").read_bytes().startswith(b"\x89PNG")
    measured = invoke("eval", str(sentences), "--trained", str(out), "--json")
    assert json.loads(measured.stdout)["fast"]["num_examples"] == 30


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{\n", "line 1 is no JSON"),
        ("[1]\n", "line 1 is no JSON object"),
        ('{"text": "hi"}\n', "too few to hold some out"),
        ("", "holds no sentence"),
        ("\n \n", "holds no sentence"),
        ("你好\n".encode("gbk"), "line 1: it is not UTF-8 (GBK, perhaps)"),
        (b'{"text": "hi"}\n\xff\n', "line 2: it is not UTF-8"),
    ],
)
def test_sentences_that_cannot_be_used_are_told_with_their_line(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    file = tmp_path / "sentences.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = invoke("train", str(file), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert said in result.stderr


def test_sentences_without_intents_a_mark_of_byte_order_and_odd_line_ends_are_learned(tmp_path: Path) -> None:
    lines = [
        json.dumps(
            {"text": f"想吃{name}\u2028吧", "slots": [{"slot": "dish", "start": 2, "end": 4}]}, ensure_ascii=False
        )
        for name in ("川菜", "粤菜", "湘菜", "火锅") * 6
    ]
    sentences = tmp_path / "sentences.jsonl"
    sentences.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    trained = invoke("train", str(sentences), "--out", str(tmp_path / "out"), "--effort", "heads")
    assert trained.exit_code == 0, trained.stderr
    assert "slots: precision 1.000" in trained.stdout
    assert "confusion" not in trained.stderr


def test_a_folder_that_holds_something_else_is_refused_before_training(tmp_path: Path) -> None:
    sentences = tmp_path / "sentences.jsonl"
    sentences.write_text("\n".join(json.dumps(each) for each in EXAMPLES))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    result = invoke("train", str(sentences), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "holds no trained understanding and is not empty" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--timezone", "Asia/Shanghia"], 'did you mean "Asia/Shanghai"'),
        (["--domain", "none.yaml"], "the domain file none.yaml cannot be read"),
    ],
)
def test_a_wrong_setting_is_told_before_a_graph_is_opened(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = invoke("chat", "--folder", str(tmp_path / "d"), *arguments, stdin="")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "d").exists()


def test_a_server_without_a_password_is_refused_before_anything_is_opened() -> None:
    result = invoke("chat", "--graph", "bolt://localhost:1", "--graph-password-env", "NO_SUCH_VARIABLE", stdin="")
    assert result.exit_code == 2
    assert "NO_SUCH_VARIABLE is not set" in result.stderr


def test_a_misspelt_strategy_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    result = invoke("chat", "--strategy", "hybird", "--folder", str(tmp_path / "d"), stdin="")
    assert result.exit_code == 2
    assert 'did you mean "hybrid"' in result.stderr
    assert not (tmp_path / "d").exists()
