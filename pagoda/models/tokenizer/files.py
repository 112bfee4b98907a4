"""The files of a tokenizer, as checkpoints carry them, read into what `models/tokenizer/tokenizer` is made of.

A vocabulary stands in one of `VOCABULARY_FILES`; the special tokens, further tokens and chat templates stand beside it
in files that grew over the years: `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`,
`chat_template.jinja`. Which goes before which follows transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, processors
from tokenizers import Tokenizer as BackendTokenizer

from pagoda.errors import CheckpointError
from pagoda.models.tokenizer.chat_template import ChatTemplate
from pagoda.models.tokenizer.sentencepiece import SentencePieceModel, build_tokenizer, read_llama2c, read_model

NAMED_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# In order of preference: the most faithful description first.
VOCABULARY_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer.bin", "tok512.bin")


def find_vocabulary(directory: Path) -> Path:
    """The vocabulary file of a checkpoint directory. Raises CheckpointError when there is none."""
    for name in VOCABULARY_FILES:
        if (directory / name).is_file():
            return directory / name
    raise CheckpointError(
        f"{directory} holds no tokenizer: expected one of {', '.join(VOCABULARY_FILES)}; "
        f"copy it from the repository the weights came from"
    )


def read_backend(path: Path, settings: Mapping[str, Any]) -> tuple[BackendTokenizer, dict[str, str]]:
    """A vocabulary file, completed by `settings`, and its named special tokens.

    Raises CheckpointError when the file is unreadable or `settings` contradicts it.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: expected a tokenizer.json, .model or .bin file")
    if path.suffix == ".json":
        backend, defaults = _read_tokenizer_json(path), {}
    else:
        model = read_model(path) if path.suffix == ".model" else read_llama2c(path)
        backend, defaults = build_tokenizer(model), _sentencepiece_defaults(model)
    settings = {**defaults, **settings}
    special_tokens = {name: _content(settings[name]) for name in NAMED_SPECIAL_TOKENS if settings.get(name)}
    _add_tokens(backend, settings, special_tokens)
    if backend.post_processor is None:
        _add_bos_and_eos(backend, settings, special_tokens)
    backend.encode_special_tokens = bool(settings.get("split_special_tokens", False))
    return backend, special_tokens


def _read_tokenizer_json(path: Path) -> BackendTokenizer:
    try:
        backend = BackendTokenizer.from_file(str(path))
    # The library raises bare Exception for whatever is wrong with the file.
    except Exception as error:
        raise CheckpointError(f"{path} is not a readable tokenizer.json ({error}): download it again") from error
    backend.no_truncation()
    backend.no_padding()
    return backend


def _sentencepiece_defaults(model: SentencePieceModel) -> dict[str, Any]:
    """What the model file says about special tokens; SentencePiece checkpoints of Llama's line begin with BOS."""
    ids = {"bos_token": model.bos_id, "eos_token": model.eos_id, "unk_token": model.unk_id, "pad_token": model.pad_id}
    named = {name: model.piece_text(token_id) for name, token_id in ids.items()}
    return {**named, "add_bos_token": model.bos_id >= 0}


def read_settings(directory: Path) -> dict[str, Any]:
    """`tokenizer_config.json`; where it lists no added tokens, the older side files complete it, as in transformers."""
    settings = _read_json(directory / "tokenizer_config.json")
    if "added_tokens_decoder" in settings:
        return settings
    settings |= _read_json(directory / "special_tokens_map.json")
    added = _read_json(directory / "added_tokens.json")
    special = {_content(settings[name]) for name in NAMED_SPECIAL_TOKENS if settings.get(name)}
    special |= {_content(token) for token in _extra_special_tokens(settings)}
    settings["added_tokens_decoder"] = {
        str(token_id): {"content": text, "special": text in special, "normalized": text not in special}
        for text, token_id in added.items()
    }
    return settings


def read_chat_template(directory: Path) -> ChatTemplate | None:
    """`chat_template.jinja` and `chat_templates/NAME.jinja` go before `tokenizer_config.json`'s entry."""
    templates = {path.stem: path.read_text(encoding="utf-8") for path in (directory / "chat_templates").glob("*.jinja")}
    default = directory / "chat_template.jinja"
    if default.is_file():
        templates["default"] = default.read_text(encoding="utf-8")
    if templates:
        return ChatTemplate(templates)
    configured = _read_json(directory / "tokenizer_config.json").get("chat_template")
    if isinstance(configured, list):
        return ChatTemplate({entry["name"]: entry["template"] for entry in configured})
    return None if configured is None else ChatTemplate(configured)


def _read_json(path: Path) -> dict[str, Any]:
    """An optional JSON object; {} where the file does not exist."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, expected a JSON object")
    return value


def _content(token: str | Mapping[str, Any]) -> str:
    """Text of a token that a JSON file gives as a string or as an object."""
    return token if isinstance(token, str) else str(token["content"])


def _extra_special_tokens(settings: Mapping[str, Any]) -> list[Any]:
    extra = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []
    return list(extra.values()) if isinstance(extra, Mapping) else list(extra)


def _added_token(token: str | Mapping[str, Any], *, special: bool) -> AddedToken:
    if isinstance(token, str):
        return AddedToken(token, special=True, normalized=False)
    flags = {key: token[key] for key in ("single_word", "lstrip", "rstrip", "normalized") if key in token}
    return AddedToken(token["content"], special=special or bool(token.get("special", False)), **flags)


def _add_tokens(backend: BackendTokenizer, settings: Mapping[str, Any], special_tokens: Mapping[str, str]) -> None:
    """Adds what the side files know and the vocabulary does not, and makes their flags count."""
    declared = sorted((int(key), token) for key, token in settings.get("added_tokens_decoder", {}).items())
    named = set(special_tokens.values())
    backend.add_tokens([_added_token(token, special=_content(token) in named) for _, token in declared])
    for token_id, token in declared:
        actual = backend.token_to_id(_content(token))
        if actual != token_id:
            raise CheckpointError(
                f"tokenizer_config.json or added_tokens.json gives {_content(token)!r} the id {token_id}, "
                f"the vocabulary gives it {actual}: the files are of different checkpoints"
            )
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    rest = [settings[name] for name in special_tokens] + _extra_special_tokens(settings)
    backend.add_tokens([_added_token(token, special=True) for token in rest if _content(token) not in known])


def _add_bos_and_eos(backend: BackendTokenizer, settings: Mapping[str, Any], special_tokens: Mapping[str, str]) -> None:
    """For vocabularies that do not say themselves what surrounds a text."""
    bos, eos = (
        special_tokens.get(f"{side}_token") if settings.get(f"add_{side}_token") else None for side in ("bos", "eos")
    )
    present = [token for token in (bos, eos) if token]
    if present:
        backend.post_processor = processors.TemplateProcessing(
            single=[token for token in (bos, "$A", eos) if token],
            special_tokens=[(token, backend.token_to_id(token)) for token in present],
        )
