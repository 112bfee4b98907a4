"""What stands beside a tokenizer's vocabulary: `tokenizer_config.json`, and the older files that complete it.

Below `files`, which reads the vocabulary itself. Special tokens, further tokens, flags and chat templates moved from
file to file over the years: `special_tokens_map.json`, `added_tokens.json`, `chat_template.jinja`,
`chat_templates/NAME.jinja`. Which goes before which follows transformers. Whatever has a wrong type is told here,
with its key, so that `files` may take every token for one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError
from pagoda.models.tokenizer.chat_template import ChatTemplate

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_EXTRA = ("extra_special_tokens", "additional_special_tokens")
_TOKEN = "a token's text, or an object with its content"


def read_settings(directory: Path) -> dict[str, Any]:
    """`tokenizer_config.json`; where it lists no added tokens, the older side files complete it.

    `config.json` adds what decides the tokenizer's class: `model_type`, and `tokenizer_class` where that is not said.
    Raises CheckpointError where a file is no JSON object or holds no token where one is expected.
    """
    settings = read_json(directory / "tokenizer_config.json")
    if settings.get("added_tokens_decoder") is None:
        settings |= read_json(directory / "special_tokens_map.json")
        _check_tokens(settings, directory)
        settings["added_tokens_decoder"] = _added_later(directory / "added_tokens.json", settings)
    _check_tokens(settings, directory)
    config = read_json(directory / "config.json")
    settings["model_type"] = config.get("model_type")
    settings["tokenizer_class"] = settings.get("tokenizer_class") or config.get("tokenizer_class")
    return settings


def read_chat_template(directory: Path) -> ChatTemplate | None:
    """A template file goes before `tokenizer_config.json`'s entry; last comes `chat_template.json`, of processors.

    Raises CheckpointError where a template is no text.
    """
    files = {path.stem: path for path in (directory / "chat_templates").glob("*.jinja")}
    if (directory / "chat_template.jinja").is_file():
        files["default"] = directory / "chat_template.jinja"
    if files:
        return ChatTemplate({name: _read_text(path) for name, path in files.items()})
    for name in ("tokenizer_config.json", "chat_template.json"):
        configured = read_json(directory / name).get("chat_template")
        if configured is not None:
            return ChatTemplate(_templates(configured, directory / name))
    return None


def named_special_tokens(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"bos_token": "<s>", ...}, texts or objects; models add names of their own to the usual ones: `image_token`."""
    own = {key: token for key, token in settings.items() if key.endswith("_token") and _is_token(token)}
    extra = settings.get(_EXTRA[0])
    return {name: token for name, token in {**own, **(extra if isinstance(extra, dict) else {})}.items() if token}


def extra_special_tokens(settings: Mapping[str, Any]) -> list[Any]:
    """The special tokens without a name."""
    extra: Any = next((settings[key] for key in _EXTRA if settings.get(key)), [])
    return [] if isinstance(extra, Mapping) else list(extra)


def content(token: str | Mapping[str, Any]) -> str:
    """Text of a token that a JSON file gives as a string or as an object."""
    return token if isinstance(token, str) else str(token["content"])


def read_json(path: Path) -> dict[str, Any]:
    """An optional JSON object; {} where the file does not exist. Raises CheckpointError."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, expected a JSON object")
    return value


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 text ({error}): download it again") from error


def _added_later(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`added_tokens.json` in the words of `added_tokens_decoder`."""
    special = {content(token) for token in (*named_special_tokens(settings).values(), *extra_special_tokens(settings))}
    added = read_json(path)
    for text, token_id in added.items():
        if not isinstance(token_id, int) or isinstance(token_id, bool):
            raise CheckpointError(f"{path} has {text!r}: {token_id!r}, but a token id is expected: download it again")
    return {
        str(token_id): {"content": text, "special": text in special, "normalized": text not in special}
        for text, token_id in added.items()
    }


def _templates(configured: Any, file: Path) -> str | dict[str, str]:
    """One template, or several by name: as an object, or as a list of names and templates."""
    if isinstance(configured, str):
        return configured
    entries: list[tuple[Any, Any]] = list(configured.items()) if isinstance(configured, dict) else []
    if isinstance(configured, list) and all(isinstance(entry, dict) for entry in configured):
        entries = [(entry.get("name"), entry.get("template")) for entry in configured]
    if not entries or not all(isinstance(name, str) and _is_text(text) for name, text in entries):
        raise CheckpointError(
            f"{file} has chat_template={configured!r:.100}, but the text of a template, or several by name, is expected"
        )
    return dict(entries)


def _check_tokens(settings: Mapping[str, Any], directory: Path) -> None:
    """Raises CheckpointError for whatever should be a token and is none."""
    for name in _NAMED:
        _check(directory, name, settings.get(name), _is_token(settings.get(name)) or not settings.get(name), _TOKEN)
    for key in _EXTRA:
        given = settings.get(key) or []
        tokens = given.values() if isinstance(given, dict) else given if isinstance(given, list) else [None]
        _check(directory, key, given, all(map(_is_token, tokens)), f"a list, each {_TOKEN}")
    added = settings.get("added_tokens_decoder") or {}
    numbered = isinstance(added, dict) and all(key.isdecimal() and _is_token(token) for key, token in added.items())
    _check(directory, "added_tokens_decoder", added, numbered, "an object of ids and tokens")


def _is_token(value: Any) -> bool:
    return _is_text(value["content"] if isinstance(value, dict) and "content" in value else value)


def _is_text(value: Any) -> bool:
    """JSON can spell half of a surrogate pair, which no text of bytes can."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _check(directory: Path, key: str, value: Any, accepted: bool, expected: str) -> None:
    if not accepted:
        raise CheckpointError(
            f"tokenizer_config.json or special_tokens_map.json in {directory} has {key}={value!r:.100}, but {expected} "
            f"is expected: download it again"
        )
