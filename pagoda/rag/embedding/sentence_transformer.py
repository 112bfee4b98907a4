"""Any model of the sentence-transformers library as an embedder, by its folder or its name: an optional extra.

Between the second and the third station of a document's path: file -> Document -> Chunks -> *vectors* -> index ->
Hits -> answer; a question is embedded the same way. Papers: Reimers and Gurevych 2019, "Sentence-BERT" (arXiv
1908.10084).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.rag.embedding.vectors import TokenVectors, normalised
from pagoda.rag.embedding.vocabulary import TokenVocabulary

_BATCH_SIZE = 32
_TEXTS_PER_CALL = 1024


class SentenceTransformerEmbedder:
    """A model of the sentence-transformers library. Threads may share it."""

    def __init__(self, model: str, name: str) -> None:
        self.name = name
        self._model = _load(model)
        self._tokenizer = self._model.tokenizer
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise ConfigError(f"the embedder {name} does not say how long its vectors are: use another one")
        self.dimension = int(dimension)
        self.max_tokens = int(self._model.max_seq_length or 512) - self._tokenizer.num_special_tokens_to_add()
        # Fast tokenizers keep settings that one thread changes under another's call.
        self._mutex = threading.Lock()
        names, special = self._tokenizer.convert_ids_to_tokens, self._tokenizer.all_special_ids
        self._vocabulary = TokenVocabulary(self._token_ids, names, self._tokenizer.unk_token_id, special)

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without [CLS] and [SEP]."""
        return [len(ids) for ids in self._token_ids(texts)]

    def unknown_share(self, text: str) -> float:
        """Share of the tokens that mean nothing to it, 0 to 1; see TokenVocabulary."""
        return self._vocabulary.unknown_share(text)

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        """float32 [len(texts), dimension], L2-normalised. on_progress: gets the number of texts done so far."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for part in _parts(texts, on_progress):
            vectors[part] = self._encode([texts[i] for i in part])
        return vectors

    def embed_tokens(
        self,
        texts: Sequence[str],
        headings: Sequence[str] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors]]:
        """What `embed` gives, and the tokens of each text without function words, marks and unknown ones.

        headings: what each text begins with to be understood; its tokens are read and left out, too
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        tokens: dict[int, TokenVectors] = {}
        num_before = np.array(self._vocabulary.num_meaningful(headings) if headings else [0] * len(texts))
        for part in _parts(texts, on_progress):
            entries = self._encode([texts[i] for i in part], output_value=None)
            vectors[part] = _joined(entries, "sentence_embedding").reshape(len(part), -1)
            tokens.update(zip(part, self._meaningful_tokens(entries, num_before[part]), strict=True))
        return normalised(vectors), [tokens[i] for i in range(len(texts))]

    def _meaningful_tokens(self, entries: Sequence[Any], num_before: np.ndarray) -> list[TokenVectors]:
        """Of all entries at once: single ones are so small that taking them apart would cost more than the tokens.

        num_before: how many of the first ones each entry leaves out
        """
        ids = _joined(entries, "input_ids").astype(np.int64)
        is_kept = _joined(entries, "attention_mask").astype(bool) & self._vocabulary.is_meaningful(ids)
        rows = normalised(_joined(entries, "token_embeddings")[is_kept])
        ends = np.cumsum(is_kept)[np.cumsum([len(entry["input_ids"]) for entry in entries])[:-1] - 1]
        parts = zip(np.split(ids[is_kept], ends), np.split(rows, ends), num_before, strict=True)
        return [TokenVectors(one[n:], vectors[n:]) for one, vectors, n in parts]

    def _encode(self, texts: list[str], output_value: str | None = "sentence_embedding") -> Any:
        options: dict[str, Any] = {"batch_size": _BATCH_SIZE, "show_progress_bar": False, "convert_to_numpy": True}
        with self._mutex:
            return self._model.encode(texts, output_value=output_value, normalize_embeddings=True, **options)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        with self._mutex:
            options: dict[str, Any] = {"add_special_tokens": False, "truncation": False, "verbose": False}
            return list(self._tokenizer(list(texts), **options)["input_ids"]) if texts else []


def _parts(texts: Sequence[str], on_progress: Callable[[int], None] | None) -> Iterator[list[int]]:
    """Numbers of texts for one call each. Texts of like length share a batch: padding is work for nothing."""
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
    for start in range(0, len(order), _TEXTS_PER_CALL):
        part = order[start : start + _TEXTS_PER_CALL]
        yield part
        if on_progress is not None:
            on_progress(start + len(part))


def _joined(entries: Sequence[Any], name: str) -> np.ndarray:
    """One output of the model for every entry, behind one another."""
    import torch

    joined: np.ndarray = torch.cat([torch.atleast_1d(entry[name]) for entry in entries]).cpu().numpy()
    return joined


def _load(model: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtraError("an embedder by name (sentence-transformers)", "embedders") from error
    is_folder = Path(model).is_dir()
    try:
        with _without_progress_bar():
            return SentenceTransformer(model, local_files_only=is_folder)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        kind = "the folder" if is_folder else "the name"
        raise ConfigError(
            f"no sentence-transformers model can be loaded by {kind} {model!r} ({str(error).splitlines()[0]}): "
            "name a folder that holds one, or a model of the Hugging Face hub that this machine can reach"
        ) from error


@contextlib.contextmanager
def _without_progress_bar() -> Iterator[None]:
    """transformers draws one for its weights, into whatever the caller shows."""
    from transformers.utils import logging

    was_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            logging.enable_progress_bar()
