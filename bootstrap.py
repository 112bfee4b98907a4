"""Sets pagoda up in `.venv`: what `make` runs first, and what a person without make runs: `python3 bootstrap.py`.

Before every path: it needs Python alone and says what it does while it does it. torch comes first and apart, since the
build that pip takes by itself on Linux brings CUDA with it, gigabytes that a machine without an NVIDIA GPU cannot use:
there the CPU build is taken from TORCH_INDEX, PyTorch's own by default. Where that index cannot be reached, or
TORCH_INDEX=pypi, it is pip's own build after all.

Written for old versions of Python too, so that one of them can say that it is too old.
"""

import glob
import os
import platform
import shutil
import subprocess
import sys
import threading
import time

try:
    import pty
except ImportError:  # Windows
    pty = None  # type: ignore[assignment]

OLDEST, NEWEST = (3, 11), (3, 14)  # the newest that torch has builds for
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
BIN = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
PYTHON = os.path.join(BIN, "python")
PLACE = os.path.join(VENV, ".place")  # holds where the environment was made: one that was moved does not run

ENGLISH = {
    "version": "pagoda needs Python {oldest} to {newest}, this is {given} ({python}): make PYTHON=python{newest} run",
    "platform": "torch, which pagoda computes with, has no builds for {given}: use {instead}",
    "venv": "[1/3] a Python environment in .venv",
    "again": "      (the one there was made in another folder or does not run: it is made anew)",
    "no_venv": "Python's venv module failed, see above: on Debian and Ubuntu, `apt install python3-venv` brings it",
    "cpu": "[2/3] torch, the build for CPUs, as there is no NVIDIA GPU: 190 MB to fetch, 0.75 GB on disk",
    "default": "[2/3] torch comes with the rest, as pip takes it: on Linux with CUDA, about 3 GB to fetch",
    "unreachable": "      the build for CPUs cannot be had from {index}: TORCH_INDEX=... names a mirror",
    "there": "[2/3] torch is there",
    "rest": "[3/3] pagoda and what it needs ({extras})",
    "time": "Setting up pagoda, once. It takes minutes, most of them for fetching; stopped, it goes on next time.",
    "failed": (
        "pip could not finish, its own words stand above. Nothing can be fetched without network; PIP_INDEX_URL=... "
        "names a mirror, HTTPS_PROXY=... a proxy. The same command goes on from here."
    ),
    "done": "Set up in {seconds:.0f} s.",
}
CHINESE = {
    "version": "pagoda 需要 Python {oldest} 到 {newest}，这是 {given}（{python}）：make PYTHON=python{newest} run",
    "platform": "pagoda 所依赖的 torch 没有 {given} 的安装包：请改用 {instead}",
    "venv": "[1/3] 在 .venv 中建立 Python 环境",
    "again": "      （已有的环境是在别的目录建立的，或无法运行：重新建立）",
    "no_venv": "Python 的 venv 模块失败，见上文：在 Debian 和 Ubuntu 上可用 `apt install python3-venv` 安装",
    "cpu": "[2/3] torch 的 CPU 版（没有发现 NVIDIA 显卡）：下载 190 MB，占磁盘 0.75 GB",
    "default": "[2/3] torch 随其余依赖安装，按 pip 的默认选择：在 Linux 上带 CUDA，约下载 3 GB",
    "unreachable": "      无法从 {index} 取得 CPU 版：可用 TORCH_INDEX=... 指定镜像",
    "there": "[2/3] torch 已安装",
    "rest": "[3/3] pagoda 及其依赖（{extras}）",
    "time": "首次安装 pagoda：需要几分钟，主要是下载；中断后再次运行即可继续。",
    "failed": (
        "pip 未能完成，原因见上文。没有网络就无法下载；可用 PIP_INDEX_URL=... 指定镜像，HTTPS_PROXY=... 指定代理。"
        "再次运行同一命令即可继续。"
    ),
    "done": "安装完成，用时 {seconds:.0f} 秒。",
}


def say(name: str, **values: object) -> None:
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    words = CHINESE if locale.lower().startswith("zh") else ENGLISH
    text = words[name].format(**values)
    print(text.encode(sys.stdout.encoding or "ascii", "replace").decode(sys.stdout.encoding or "ascii"), flush=True)


def leave(name: str, **values: object) -> None:
    say(name, **values)
    sys.exit(1)


def check_machine() -> None:
    """Leaves where pip could only say that it found no torch."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        oldest, newest, given = ("{}.{}".format(*each) for each in (OLDEST, NEWEST, version))
        leave("version", oldest=oldest, newest=newest, given=given, python=sys.executable)
    system, machine = platform.system(), platform.machine()
    if system == "Darwin" and machine == "x86_64":
        leave("platform", given="Macs with Intel processors", instead="Linux, or a Mac with an Apple processor")
    if system == "Linux" and glob.glob("/lib/ld-musl-*") and not platform.libc_ver()[0]:
        leave("platform", given="musl (Alpine Linux)", instead="a distribution with glibc, such as Debian")
    if sys.maxsize < 2**32:
        leave("platform", given="32-bit Python", instead="a 64-bit one")


def has_nvidia_gpu() -> bool:
    if glob.glob("/dev/nvidia[0-9]*") or glob.glob("/proc/driver/nvidia/gpus/*"):
        return True
    tool = shutil.which("nvidia-smi") or shutil.which("/usr/lib/wsl/lib/nvidia-smi")  # under WSL it alone tells
    if tool is None:
        return False
    try:
        told = subprocess.run([tool, "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.returncode == 0 and b"GPU" in told.stdout


def make_environment() -> None:
    say("venv")
    is_ours = not os.path.islink(VENV)  # a link was laid by somebody who knows better
    fits = works("-m", "pip", "--version") and place() in (None, ROOT)
    if fits or not is_ours:
        return
    if os.path.exists(VENV):
        say("again")
    if followed([sys.executable, "-m", "venv", "--clear", VENV]):
        leave("no_venv")
    with open(PLACE, "w", encoding="utf-8") as file:
        file.write(ROOT + "\n")


def place() -> object:
    """Where the environment was made; None where nobody wrote it down."""
    try:
        with open(PLACE, encoding="utf-8") as file:
            return file.read().rstrip("\n")
    except OSError:
        return None


def works(*arguments: str, **environment: str) -> bool:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.run([PYTHON, *arguments], env={**os.environ, **environment}, **silent).returncode == 0
    except OSError:
        return False


def holds_torch(index: str) -> bool:
    """Whether this index, and not another place of pip's settings, answers and has torch for this interpreter."""
    asked = ("-m", "pip", "index", "versions", "torch", "--index-url", index, "--retries", "0", "--timeout", "15")
    return not followed([PYTHON, *asked], is_heard=False, PIP_EXTRA_INDEX_URL=index, PIP_FIND_LINKS=BIN)


def pip(*arguments: str) -> None:
    if followed([PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments]):
        leave("failed")


def followed(command: list, is_heard: bool = True, **environment: str) -> int:
    """Runs it, passes on what it says, its bars too, and counts the seconds where it is silent; its exit code."""
    ours, theirs = pty.openpty() if pty and sys.stdout.isatty() else os.pipe()
    said = theirs if is_heard else subprocess.DEVNULL
    environ = {"COLUMNS": str(shutil.get_terminal_size().columns), **os.environ, **environment}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=said, stderr=said)
    os.close(theirs)
    relay = Relay(ours)
    relay.start()
    while process.poll() is None:
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            relay.count()
    relay.close()
    return process.returncode


class Relay(threading.Thread):
    """What a process says, on its way to stdout, and the seconds that pass while it says nothing."""

    def __init__(self, source: int) -> None:
        super().__init__(daemon=True)
        self.source, self.lock = source, threading.Lock()
        self.began = self.said_at = time.monotonic()
        self.is_line_open = self.is_counting = False

    def run(self) -> None:
        while True:
            try:
                data = os.read(self.source, 65536)
            except OSError:  # how a terminal ends on Linux
                return
            if not data:
                return
            with self.lock:
                self.write(data)
                self.is_line_open = not data.endswith(b"\n")

    def count(self) -> None:
        """On a terminal each second in place, elsewhere a line now and then; never into a line that is not whole."""
        with self.lock:
            now, is_terminal = time.monotonic(), sys.stdout.isatty()
            if self.is_line_open or now - self.said_at < (0.9 if is_terminal else 4.9):
                return
            counted = f"      {now - self.began:.0f} s"
            self.write((counted if is_terminal else counted + "\n").encode())
            self.is_counting = is_terminal
            if is_terminal:
                self.said_at = now - 0.9

    def write(self, data: bytes) -> None:
        out = getattr(sys.stdout, "buffer", None)
        erased = b"\r\033[K" + data if self.is_counting else data
        self.is_counting, self.said_at = False, time.monotonic()
        if out is None:
            sys.stdout.write(erased.decode("utf-8", "replace"))
        else:
            out.write(erased)
        sys.stdout.flush()

    def close(self) -> None:
        self.join(5)
        if self.is_counting:
            self.write(b"")


def install_torch() -> None:
    if works("-c", "import importlib.metadata as m; m.version('torch')"):
        say("there")
        return
    index = os.environ.get("TORCH_INDEX", CPU_INDEX)
    if index in ("", "pypi") or sys.platform != "linux" or has_nvidia_gpu():
        say("default")  # on other systems it is the CPU's or Apple's
    elif holds_torch(index):
        say("cpu")
        # What torch itself needs comes with the rest, from the index that this machine uses.
        pip("install", "--no-deps", "--index-url", index, torch_requirement())
    else:
        say("default")
        say("unreachable", index=index)


def torch_requirement() -> str:
    import tomllib

    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        needed = tomllib.load(file)["project"]["dependencies"]
    return next(each for each in needed if each.startswith("torch"))


def main(extras: list) -> None:
    started = time.monotonic()
    check_machine()
    if not os.path.exists(PYTHON):
        say("time")
    make_environment()
    install_torch()
    say("rest", extras=", ".join(extras))
    pip("install", "--editable", ".[{}]".format(",".join(extras)))
    say("done", seconds=time.monotonic() - started)


if __name__ == "__main__":
    main(sys.argv[1:] or ["server"])
