"""The command line as a process of its own: streams, exit codes, Ctrl-C, a terminal, a reader that leaves."""

from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from patience import HANG_S, until

COMMAND = [sys.executable, "-c", "import sys; from pagoda.cli import main; sys.exit(main())"]
WORDS = "the little fox looked at the moon and the moon looked back. 春风又绿江南岸。"
CONTEXT = 16384
KEY_AGAIN_S = 15.0
# Half a minute of a processor, so that whoever ends with less was stopped.
ENDLESS = ("--max-tokens", "16000", "--min-tokens", "16000", "--max-num-seqs", "1")


@pytest.fixture(scope="module")
def checkpoint(cli_checkpoint: Callable[[int], str]) -> str:
    """A model with a long context."""
    return cli_checkpoint(CONTEXT)


def environment(**settings: str) -> dict[str, str]:
    plain = {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "TERM": "xterm", "PAGODA_TRACEBACK": ""}
    return os.environ | plain | settings


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=environment(**settings), timeout=HANG_S,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def processor_s(pid: int) -> float:
    """What a running process has used of a processor: seconds in which it, and not its neighbours, was at work."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_s() -> float:
    """The same for all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


class TerminalSession:
    """A command at a terminal; what it shows is read as it comes."""

    def __init__(self, *arguments: str, home: Path) -> None:
        controller, terminal = pty.openpty()
        settings = environment(HOME=str(home), XDG_STATE_HOME=str(home / "state"))
        self._controller = controller
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=terminal, stdout=terminal, stderr=terminal, env=settings,
            start_new_session=True, preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(terminal)
        self.shown = ""
        # readline may write a character byte by byte.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def send(self, keys: str) -> None:
        os.write(self._controller, keys.encode())

    def wait_for(self, pattern: str, timeout_s: float = HANG_S) -> None:
        """Read until what was shown since the last call matches; fails with all of it otherwise."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self.shown):
            ready, _, _ = select.select([self._controller], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {pattern!r} within {timeout_s} s in {self.shown!r}"
            self.shown += self._decoder.decode(os.read(self._controller, 65536))
        self.shown = re.split(pattern, self.shown, maxsplit=1)[-1]

    def interrupt(self, pattern: str) -> None:
        """Press Ctrl-C until what is shown matches.

        Python's readline sleeps until the next key where a signal comes between the prompt and its select().
        """
        for _ in range(2):
            self.send("\x03")
            with suppress(AssertionError):
                return self.wait_for(pattern, KEY_AGAIN_S)
        self.send("\x03")
        self.wait_for(pattern)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._controller)


def _take_terminal() -> None:
    """Make stdin the controlling terminal, so that its Ctrl-C becomes a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_stdout_is_the_text_alone(checkpoint: str) -> None:
    arguments = ("generate", "-m", checkpoint, "--max-num-seqs", "2", "--seed", "3", "--max-tokens", "8", "the fox")
    text = run(*arguments)
    line = json.loads(run(*arguments, "--json").stdout)
    assert text.returncode == 0, text.stderr
    assert text.stdout == line["text"] + "\n"
    assert re.search(r"^1 request, \d+ tokens in [\d.]+ s: [\d,]+ tokens/s$", text.stderr, re.MULTILINE)
    assert "\x1b" not in text.stdout + text.stderr


def test_a_callers_mistake_is_exit_code_2_and_one_line() -> None:
    result = run("generate", "--temperature", "9", "x")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "error: temperature is 9.0, expected a number in [0, 2]\n"


def test_neither_help_nor_plan_imports_torch(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps(
            {"architectures": ["LlamaForCausalLM"], "vocab_size": 64, "hidden_size": 64, "intermediate_size": 64,
             "num_hidden_layers": 1, "num_attention_heads": 1}
        )
    )  # fmt: skip
    program = (
        "import sys; from pagoda.cli.app import run; code = run(sys.argv[1:]); "
        "print('imported', *{'torch', 'transformers', 'huggingface_hub', 'tokenizers'} & set(sys.modules), "
        "file=sys.stderr); sys.exit(code)"
    )
    for arguments in (["plan", str(tmp_path)], ["--help"], ["generate", "--help"], ["generate", "-t", "0"]):
        result = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment(),
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert result.stderr.splitlines()[-1] == "imported", (arguments, result.stderr)
        assert result.returncode == (2 if arguments[-1] == "0" else 0), result.stderr


def test_ctrl_c_ends_a_long_generate_at_once_with_130_and_no_traceback(checkpoint: str) -> None:
    before = children_s()
    with started("generate", "-m", checkpoint, *ENDLESS, "the fox") as process:
        assert process.stderr is not None
        assert "KV blocks" in process.stderr.readline()
        loaded = processor_s(process.pid)
        until(lambda: processor_s(process.pid) > loaded + 1)
        used = processor_s(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANG_S)
    assert children_s() - before - used < 5
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("module", ["typer", "torch"])
def test_ctrl_c_during_a_slow_import_leaves_no_traceback(module: str) -> None:
    program = (
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == sys.argv[-1]: signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from pagoda.cli import main\n"
        "sys.exit(main())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "generate", module], capture_output=True, text=True, env=environment(),
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert result.returncode == 130
    assert result.stderr == "stopped by Ctrl-C\n"


def test_a_reader_that_leaves_ends_the_command_quietly(checkpoint: str) -> None:
    arguments = ("generate", "-m", checkpoint, "--max-num-seqs", "2", "--max-tokens", "4", "the fox")
    with started(*arguments) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(timeout=HANG_S) == 141
    assert "Traceback" not in err
    assert "error" not in err


def test_a_single_prompt_is_streamed_to_a_terminal(checkpoint: str, tmp_path: Path) -> None:
    session = TerminalSession("generate", "-m", checkpoint, *ENDLESS, "the fox", home=tmp_path)
    try:
        session.wait_for(r"KV blocks[^\n]*\n")
        session.wait_for(r"(?s)\S.*\S.{20}")  # text, long before the end
        assert session.process.poll() is None
        session.send("\x03")
        session.wait_for("stopped by Ctrl-C")
        assert session.process.wait(timeout=HANG_S) == 130
    finally:
        session.close()


def test_ctrl_c_stops_an_answer_and_the_chat_goes_on(checkpoint: str, tmp_path: Path) -> None:
    session = TerminalSession("chat", "-m", checkpoint, *ENDLESS, home=tmp_path)
    try:
        session.wait_for("you > ")
        session.send("hello fox\n")
        session.wait_for(r"(?s)hello fox\r?\n.{40}")
        session.send("\x03")
        session.wait_for(r"\(stopped\)")
        session.wait_for("you > ")
        session.send(f"/save {tmp_path / 'chat.json'}\n")
        session.wait_for("Saved 2 messages")
        session.wait_for("you > ")
        session.send("once more\n")
        session.wait_for(r"(?s)once more\r?\n.{40}")
        session.send("\x03")
        session.wait_for(r"\(stopped\)")
        session.wait_for("you > ")
        session.send("\x04")
        session.wait_for("Goodbye")
        assert session.process.wait(timeout=HANG_S) == 0
    finally:
        session.close()
    question, answer = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))
    assert question == {"role": "user", "content": "hello fox"}
    assert answer["content"]
    history = tmp_path / "state" / "pagoda" / "chat_history"
    assert "hello fox" in history.read_text(encoding="utf-8")
    assert history.stat().st_mode & 0o077 == 0


def test_ctrl_c_at_the_prompt_leaves_the_chat(checkpoint: str, tmp_path: Path) -> None:
    session = TerminalSession("chat", "-m", checkpoint, "--max-num-seqs", "1", "--lang", "zh", home=tmp_path)
    try:
        session.wait_for("你 > ")
        session.interrupt("再见")
        assert session.process.wait(timeout=HANG_S) == 0
    finally:
        session.close()


def write_recipe(directory: Path, num_steps: int) -> str:
    (directory / "corpus.txt").write_text("\n<|endoftext|>\n".join([WORDS] * 300), encoding="utf-8")
    recipe = f"""
        [model]
        hidden_size = 32
        intermediate_size = 48
        num_hidden_layers = 1
        num_attention_heads = 2
        num_key_value_heads = 1
        head_dim = 16
        tie_word_embeddings = true
        bos_token_id = 0
        eos_token_ids = [0]
        [tokenizer]
        vocab_size = 320
        [train]
        tokens = {256 * num_steps}
        tokens_per_step = 256
        micro_batch_tokens = 256
        length_schedule = [[0.0, 32]]
        held_back = 50
        save_every = 100000
        eval_every = 100000
        [[sources]]
        path = "corpus.txt"
    """
    (directory / "small.toml").write_text(recipe, encoding="utf-8")
    return str(directory / "small.toml")


def test_ctrl_c_during_training_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    arguments = ("train", write_recipe(tmp_path, num_steps=300), "--out", str(tmp_path / "out"), "--device", "cpu")
    metrics = tmp_path / "out" / "metrics.jsonl"
    with started(*arguments) as process:
        until(lambda: metrics.is_file() and len(metrics.read_text().splitlines()) >= 3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "the same command goes on" in err
    (stopped,) = (tmp_path / "out").glob("step-*")
    step = int(stopped.name.removeprefix("step-"))
    assert 3 <= step < 300
    assert step == len(metrics.read_text().splitlines())

    resumed = run(*arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming after step {step}" in resumed.stderr
    final = tmp_path / "out" / "step-0000300"
    assert f"the model is in {final}" in resumed.stderr
    assert "step 300/300" in resumed.stderr
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == list(range(1, 301))
    assert run("generate", "-m", str(final), "--max-num-seqs", "1", "--max-tokens", "4", "the").returncode == 0


def test_a_recipe_that_is_wrong_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    recipe = Path(write_recipe(tmp_path, num_steps=5))
    recipe.write_text(recipe.read_text().replace("hidden_size", "hiden_size"), encoding="utf-8")
    result = run("train", str(recipe), "--out", str(tmp_path / "out"))
    assert result.returncode == 2
    assert 'did you mean "hidden_size"?' in result.stderr
    assert not (tmp_path / "out").exists()
