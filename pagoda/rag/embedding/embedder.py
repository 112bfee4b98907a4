"""Texts to vectors. The packaged all-MiniLM-L6-v2 needs no network; any sentence-transformers model does as well.

Between the second and the third station of a document's path: file -> Document -> Chunks -> *vectors* -> index ->
Hits -> answer; a question is embedded the same way. Papers: Reimers and Gurevych 2019, "Sentence-BERT" (arXiv
1908.10084); Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.minilm.package import packaged_folder
from pagoda.rag.embedding.vectors import UNREADABLE_SHARE, Embedder
from pagoda.rag.english import STOP_WORDS

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import TokenVectors

PACKAGED_NAME = "all-MiniLM-L6-v2"
_COMMON_HAN = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子得于下自之年过后作里用道行所家事成方多"
)
_BATCH_SIZE = 32
_TEXTS_PER_CALL = 1024


def load_embedder(name_or_path: str | None = None) -> Embedder:
    """The packaged MiniLM (None), or a sentence-transformers model by its folder or its name.

    None and a folder never use the network. Raises MissingExtraError, ConfigError where the model cannot be loaded.
    """
    if name_or_path is None:
        folder = packaged_folder(f"the packaged embedder {PACKAGED_NAME}", "rag")
        return SentenceTransformerEmbedder(str(folder), PACKAGED_NAME)
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return SentenceTransformerEmbedder(str(folder), _fingerprinted(folder))
    return SentenceTransformerEmbedder(name_or_path, name_or_path)


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
        self._unknown_id = self._tokenizer.unk_token_id
        # Fast tokenizers keep settings that one thread changes under another's call.
        self._mutex = threading.Lock()
        self._reads_han = self._unknown_tokens(_COMMON_HAN) <= UNREADABLE_SHARE

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without [CLS] and [SEP]."""
        return [len(ids) for ids in self._token_ids(texts)]

    def unknown_share(self, text: str) -> float:
        """Share of [UNK] tokens. Han characters count as unknown where the vocabulary lacks most of the common ones.

        An English vocabulary holds the few hundred that occur in English texts, as characters without a meaning.
        """
        if self._reads_han:
            return self._unknown_tokens(text)
        num_han = sum("\u3400" <= character <= "\u9fff" for character in text)
        latin = "".join(character if character < "\u2e80" else " " for character in text)
        (num_latin,) = self.num_tokens_batch([latin])
        unread = num_han + self._unknown_tokens(latin) * num_latin
        return unread / max(1, num_han + num_latin)

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
        num_before = self._num_meaningful(headings) if headings else np.zeros(len(texts), dtype=np.int64)
        for part in _parts(texts, on_progress):
            entries = self._encode([texts[i] for i in part], output_value=None)
            vectors[part] = _joined(entries, "sentence_embedding").reshape(len(part), -1)
            tokens.update(zip(part, self._meaningful_tokens(entries, num_before[part]), strict=True))
        return _normalised(vectors), [tokens[i] for i in range(len(texts))]

    def _meaningful_tokens(self, entries: Sequence[Any], num_before: np.ndarray) -> list[TokenVectors]:
        """Of all entries at once: single ones are so small that taking them apart would cost more than the tokens.

        num_before: how many of the first ones each entry leaves out
        """
        from pagoda.rag.embedding.vectors import TokenVectors

        ids = _joined(entries, "input_ids").astype(np.int64)
        is_kept = _joined(entries, "attention_mask").astype(bool) & self._is_meaningful[ids]
        rows = _normalised(_joined(entries, "token_embeddings")[is_kept])
        ends = np.cumsum(is_kept)[np.cumsum([len(entry["input_ids"]) for entry in entries])[:-1] - 1]
        parts = zip(np.split(ids[is_kept], ends), np.split(rows, ends), num_before, strict=True)
        return [TokenVectors(one[n:], vectors[n:]) for one, vectors, n in parts]

    def _num_meaningful(self, texts: Sequence[str]) -> np.ndarray:
        """int64 [len(texts)]: how many tokens of each carry meaning."""
        known = list(dict.fromkeys(texts))
        counts = {
            text: int(self._is_meaningful[ids].sum()) for text, ids in zip(known, self._token_ids(known), strict=True)
        }
        return np.array([counts[text] for text in texts], dtype=np.int64)

    def _encode(self, texts: list[str], output_value: str | None = "sentence_embedding") -> Any:
        options: dict[str, Any] = {"batch_size": _BATCH_SIZE, "show_progress_bar": False, "convert_to_numpy": True}
        with self._mutex:
            return self._model.encode(texts, output_value=output_value, normalize_embeddings=True, **options)

    @cached_property
    def _is_meaningful(self) -> np.ndarray:
        """bool [vocabulary]: tokens with a letter or a digit that are no function words."""
        names = self._tokenizer.convert_ids_to_tokens(range(len(self._tokenizer)))
        words = [str(name).lstrip("▁Ġ#").lower() for name in names]
        kept = np.array([any(map(str.isalnum, word)) and word not in STOP_WORDS for word in words], dtype=bool)
        kept[self._tokenizer.all_special_ids] = False
        return kept

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        with self._mutex:
            options: dict[str, Any] = {"add_special_tokens": False, "truncation": False, "verbose": False}
            return list(self._tokenizer(list(texts), **options)["input_ids"]) if texts else []

    def _unknown_tokens(self, text: str) -> float:
        (ids,) = self._token_ids([text])
        return sum(token == self._unknown_id for token in ids) / max(1, len(ids))


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


def _normalised(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32, copy=False)


def _load(model: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtraError("the embedder (sentence-transformers)", "rag") from error
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


def _fingerprinted(folder: Path) -> str:
    """The folder's name with a mark of what is in it: another model in a folder of the same name is another embedder.

    Sizes stand for the weights, which take seconds to hash.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".json":
            digest.update(path.read_bytes())
        elif path.suffix in {".safetensors", ".bin"}:
            digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}".encode())
    return f"{folder.resolve().name}@{digest.hexdigest()[:8]}"
