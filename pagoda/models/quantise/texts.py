"""Texts that a model is calibrated and measured on, as windows of tokens.

Beside the token's path, before a pass. A calibration should look like the model's use: conversations go through the
model's own chat template, plain text goes as it is. Windows are spread evenly over the file, so that a few of them are
not all from its first chapter.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pagoda.errors import ConfigError, PagodaError
from pagoda.models.tokenizer.tokenizer import Tokenizer

SEPARATOR = "<|endoftext|>"
_CHARACTERS_OF_A_TOKEN = 16
"""More than texts have on average: so much is read for a window, and what is over is cut off."""


def read_windows(path: Path, tokenizer: Tokenizer, num_windows: int, length: int) -> torch.Tensor:
    """`[num_windows, length]` of token ids, fewer rows where the file has fewer tokens.

    path: plain text, in which `<|endoftext|>` separates documents, or `.jsonl` of objects with `messages` or `text`;
        either also as `.gz`

    Raises ConfigError for a file that is missing, not of these, or too short for one window.
    """
    if num_windows < 1 or length < 2:
        raise ConfigError(
            f"{num_windows} windows of {length} tokens, but at least one of two is expected: a token is judged by what "
            f"follows"
        )
    text, is_chat = _text_of(path, tokenizer)
    wanted = num_windows
    while True:
        windows = _windows(text, tokenizer, wanted, length, is_chat)
        if len(windows) == wanted:
            return torch.tensor(windows)
        if wanted == 1:
            raise ConfigError(
                f"{path} holds fewer than the {length} tokens of a window: give a longer text, or shorter windows"
            )
        wanted = max(1, min(len(windows), wanted * 3 // 4))


def read_all_windows(paths: Sequence[Path], tokenizer: Tokenizer, num_windows: int, length: int) -> torch.Tensor:
    """As `read_windows`, of several files, each of which gives as many windows as any other where it can.

    Raises ConfigError, also for more files than windows.
    """
    if len(paths) > max(1, num_windows):
        raise ConfigError(f"{num_windows} windows of {len(paths)} files: ask for at least one of each")
    shares = [
        num_windows * (place + 1) // len(paths) - num_windows * place // len(paths) for place in range(len(paths))
    ]
    found = [read_windows(path, tokenizer, share, length) for path, share in zip(paths, shares, strict=True)]
    return torch.cat(found)


def _windows(text: str, tokenizer: Tokenizer, num_windows: int, length: int, is_chat: bool) -> list[list[int]]:
    """So many windows at equal distances; those that come out too short are left out."""
    distance = len(text) // num_windows
    windows = []
    for start in range(0, distance * num_windows, max(1, distance)):
        piece = text[start : start + min(distance, length * _CHARACTERS_OF_A_TOKEN)]
        tokens = tokenizer.encode(piece, add_special_tokens=not is_chat)
        if len(tokens) >= length:
            windows.append(tokens[:length])
    return windows


def _text_of(path: Path, tokenizer: Tokenizer) -> tuple[str, bool]:
    """The whole text, and whether the chat template wrote it."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text ({error}): give a UTF-8 text or .jsonl file") from error
    if not path.name.removesuffix(".gz").endswith(".jsonl"):
        return "\n\n".join(document.strip() for document in text.split(SEPARATOR)), False
    lines = [
        _of_line(path, number, line, tokenizer) for number, line in enumerate(text.splitlines(), 1) if line.strip()
    ]
    is_chat = any(chat for _, chat in lines)
    return ("" if is_chat else "\n\n").join(line for line, _ in lines), is_chat


def _of_line(path: Path, number: int, line: str, tokenizer: Tokenizer) -> tuple[str, bool]:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{path}, line {number}: this is no JSON ({error})") from error
    if isinstance(entry, dict) and isinstance(entry.get("text"), str) and "messages" not in entry:
        return entry["text"], False
    if not isinstance(entry, dict) or not isinstance(entry.get("messages"), list):
        given = f"an object with {', '.join(map(repr, entry))}" if isinstance(entry, dict) else f"{entry!r:.40}"
        raise ConfigError(
            f"{path}, line {number}: this is {given:.120}, but an object with `messages`, a list, or `text`, a text, "
            "is expected"
        )
    try:
        return tokenizer.apply_chat_template(entry["messages"], add_generation_prompt=False), True
    except PagodaError as error:
        raise ConfigError(f"{path}, line {number}: {error}") from error
