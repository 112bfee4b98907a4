"""Which embedder: the packaged all-MiniLM-L6-v2 or, by name, one beside it for Chinese; or of sentence-transformers.

Between the second and the third station of a document's path: file -> Document -> Chunks -> *vectors* -> index ->
Hits -> answer; a question is embedded the same way.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pagoda.rag.embedding.bilingual import NAME as BILINGUAL
from pagoda.rag.embedding.bilingual import BilingualEmbedder
from pagoda.rag.embedding.minilm import MiniLmEmbedder
from pagoda.rag.embedding.vectors import Embedder


def load_embedder(name_or_path: str | None = None) -> Embedder:
    """The packaged MiniLM (None), "bilingual", or a sentence-transformers model by its folder or its name.

    None, "bilingual" and a folder never use the network. Raises MissingExtraError, ConfigError where the model cannot
    be loaded.
    """
    if name_or_path is None:
        return MiniLmEmbedder()
    if name_or_path == BILINGUAL:
        return BilingualEmbedder()
    # What an optional extra brings; whoever names no model does not need it.
    from pagoda.rag.embedding.sentence_transformer import SentenceTransformerEmbedder

    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return SentenceTransformerEmbedder(str(folder), _fingerprinted(folder))
    return SentenceTransformerEmbedder(name_or_path, name_or_path)


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
