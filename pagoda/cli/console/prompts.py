"""Prompts of a command line: from arguments, a file or stdin, checked before any model is loaded.

First station of the token's path from a shell.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pagoda.errors import InvalidRequestError

_STDIN = Path("-")


def read_prompts(given: Sequence[str], file: Path | None, lines: bool) -> list[str]:
    """All prompts of a command line, from arguments, file and stdin. Raises InvalidRequestError, also for none."""
    prompts = list(given)
    if file is not None and file != _STDIN:
        prompts += _split_lines(_decode(_read_bytes(file), str(file)))
    elif file is not None or (not prompts and not sys.stdin.isatty()):
        text = _decode(sys.stdin.buffer.read(), "stdin")
        prompts += _split_lines(text) if lines else [text.removesuffix("\n")]
    if not prompts:
        raise InvalidRequestError("there is no prompt: give one as an argument, with --file or on stdin")
    for number, prompt in enumerate(prompts, start=1):
        if not prompt:
            raise InvalidRequestError(f"prompt {number} is empty: give some text", param="prompt")
        require_text(prompt, f"prompt {number}")
    return prompts


def require_text(text: str, name: str) -> None:
    """Raises InvalidRequestError for text with bytes that were no UTF-8, which Python smuggles in as surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{name} is not UTF-8 text: convert it first", param="prompt") from error


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"cannot read the prompts in {file}: {error.strerror}", param="file") from error


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name} is not UTF-8 text ({error}): convert it first", param="prompt") from error


def _split_lines(text: str) -> list[str]:
    """Prompts of a text, one a line. Only newlines divide: a prompt may hold form feeds and their like."""
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]
