"""The vocabulary of a tokenizer, as checkpoints carry it, and what the settings beside it make of it.

Below `models/tokenizer/tokenizer`. A vocabulary stands in one of `VOCABULARY_FILES`; `settings` has read the files
beside it, and the checkpoint's class of tokenizer (`classes`) may go before the vocabulary's own steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, processors
from tokenizers import Tokenizer as BackendTokenizer

from pagoda.errors import CheckpointError
from pagoda.models.tokenizer.classes import class_of
from pagoda.models.tokenizer.sentencepiece import SentencePieceModel, build_tokenizer, read_llama2c, read_model
from pagoda.models.tokenizer.settings import content, extra_special_tokens, named_special_tokens

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
        backend = build_tokenizer(model, prefix_every_part=settings.get("legacy") is not False)
        defaults = _sentencepiece_defaults(model)
    tokenizer_class = class_of(settings, backend)
    if tokenizer_class.rebuild is not None:
        tokenizer_class.rebuild(backend, settings)
    settings = {**tokenizer_class.defaults(backend), **defaults, **settings}
    _add_tokens(backend, settings)
    special_tokens = {name: content(token) for name, token in named_special_tokens(settings).items()}
    if path.suffix != ".json":
        # A tokenizer.json says itself what surrounds a text, be it nothing.
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


def _added_token(token: str | Mapping[str, Any], *, special: bool) -> AddedToken:
    if isinstance(token, str):
        return AddedToken(token, special=True, normalized=False)
    flags = {key: token[key] for key in ("single_word", "lstrip", "rstrip", "normalized") if key in token}
    return AddedToken(token["content"], special=special or bool(token.get("special", False)), **flags)


def _add_tokens(backend: BackendTokenizer, settings: Mapping[str, Any]) -> None:
    """Adds what the side files know and the vocabulary does not, and makes their flags count."""
    named = {content(token): token for token in named_special_tokens(settings).values()}
    declared = sorted((int(key), token) for key, token in (settings.get("added_tokens_decoder") or {}).items())
    backend.add_tokens([_added_token(token, special=content(token) in named) for _, token in declared])
    for token_id, token in declared:
        actual = backend.token_to_id(content(token))
        if actual != token_id:
            raise CheckpointError(
                f"tokenizer_config.json or added_tokens.json gives {content(token)!r} the id {token_id}, "
                f"the vocabulary gives it {actual}: the files are of different checkpoints"
            )
    known = {token.content: token.special for token in backend.get_added_tokens_decoder().values()}
    rest = [token for text, token in named.items() if not known.get(text)]
    rest += [token for token in extra_special_tokens(settings) if content(token) not in known]
    backend.add_tokens([_added_token(token, special=True) for token in rest])


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
