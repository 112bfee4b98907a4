"""Which engines there are, where each is looked for, and how it is started on a model.

None but pagoda and transformers comes with this project: the options of `peers.py` name folders and interpreters. An
engine that is not there is told with the reason, and the others are compared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pagoda.engine.args import BUILTIN_MODEL
from rivals import llama_cpp
from rivals.process import Command
from rivals.weights import file_of, folder_of

_BENCHMARKS = Path(__file__).parent.parent


class PeerAbsentError(Exception):
    """Why an engine cannot be compared."""


@dataclass(frozen=True)
class Subject:
    """What is run: a shape of the folder of models, or the model that ships with pagoda."""

    shape: str
    models: Path
    dtype: str
    threads: int

    @property
    def folder(self) -> Path:
        return BUILTIN_MODEL if self.shape == "builtin" else folder_of(self.models, self.shape)

    @property
    def file(self) -> Path:
        return file_of(self.models, self.shape)


Starter = Callable[[argparse.Namespace, Subject], Command]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the engines are."""
    parser.add_argument("--pagoda-kernels", default="native", help="of `pagoda`; `pagoda:NAME` in --peers has others")
    parser.add_argument("--pagoda-quantization", help="int8 or int4: pagoda rounds while it loads, the others do not")
    parser.add_argument("--llama-cpp", type=Path, metavar="FOLDER", help="with `include` and `lib` of a release")
    parser.add_argument("--ik-llama-cpp", type=Path, metavar="FOLDER", help="the same of ik_llama.cpp")
    parser.add_argument("--vllm-python", type=Path, metavar="PATH", help="an interpreter that has vLLM for CPUs")
    parser.add_argument("--vllm-eager", action="store_true", help="vLLM without torch.compile")
    parser.add_argument("--transformers-python", type=Path, default=sys.executable, metavar="PATH")


def command_for(name: str, arguments: argparse.Namespace, subject: Subject) -> Command:
    """How `name` is started. Raises PeerAbsentError."""
    kind, _, variant = name.partition(":")
    if kind not in STARTERS:
        raise PeerAbsentError(f"{name!r} is no engine: expected are {', '.join(STARTERS)}, or pagoda:KERNELS")
    if kind == "pagoda" and variant:
        arguments = argparse.Namespace(**{**vars(arguments), "pagoda_kernels": variant})
    return STARTERS[kind](arguments, subject)


def _pagoda(arguments: argparse.Namespace, subject: Subject) -> Command:
    given = ["--kernels", arguments.pagoda_kernels]
    if arguments.pagoda_quantization:
        given += ["--quantization", arguments.pagoda_quantization]
    return _in_python(sys.executable, "pagoda_peer", subject, *given, path=os.environ.get("PYTHONPATH", ""))


def _transformers(arguments: argparse.Namespace, subject: Subject) -> Command:
    _expect_folder(subject)
    return _in_python(str(arguments.transformers_python), "transformers_peer", subject)


def _vllm(arguments: argparse.Namespace, subject: Subject) -> Command:
    if arguments.vllm_python is None:
        raise PeerAbsentError("--vllm-python is not given")
    _expect_folder(subject)
    return _in_python(str(arguments.vllm_python), "vllm_peer", subject, *["--eager"] * arguments.vllm_eager)


def _llama_cpp(arguments: argparse.Namespace, subject: Subject) -> Command:
    return _driver("--llama-cpp", arguments.llama_cpp, subject)


def _ik_llama_cpp(arguments: argparse.Namespace, subject: Subject) -> Command:
    return _driver("--ik-llama-cpp", arguments.ik_llama_cpp, subject, is_ik=True)


STARTERS: dict[str, Starter] = {
    "pagoda": _pagoda,
    "llama.cpp": _llama_cpp,
    "ik_llama.cpp": _ik_llama_cpp,
    "vllm": _vllm,
    "transformers": _transformers,
}


def _expect_folder(subject: Subject) -> None:
    if subject.folder.is_file():
        raise PeerAbsentError(
            f"{subject.folder.name} is in codes of GGML, which are compared where they are read as such"
        )


def _driver(option: str, folder: Path | None, subject: Subject, *, is_ik: bool = False) -> Command:
    if folder is None:
        raise PeerAbsentError(f"{option} is not given")
    if not subject.file.is_file():
        raise PeerAbsentError(f"{subject.file} is not there: `peers.py prepare` writes it")
    if subject.dtype != "bfloat16":
        raise PeerAbsentError(f"its file is in bfloat16, and {subject.dtype} is compared")
    try:
        return llama_cpp.command_for(folder.resolve(), subject.file, subject.threads, is_ik=is_ik)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise PeerAbsentError(str(error)) from error


def _in_python(python: str, module: str, subject: Subject, *given: str, path: str = "") -> Command:
    words = [python, "-m", f"rivals.{module}", str(subject.folder), "--threads", str(subject.threads)]
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_BENCHMARKS), path])),
        "OMP_NUM_THREADS": str(subject.threads),
        "HF_HUB_OFFLINE": "1",
    }
    return Command([*words, "--dtype", subject.dtype, *given], environment)
