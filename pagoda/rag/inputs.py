"""What a caller may pass to `pipeline.RAG`, made into the objects that do the work, or refused with a clear message.

In front of both paths of retrieval; heavy libraries are imported only where something of theirs is wanted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pagoda.chat.model import ChatModel
from pagoda.errors import ConfigError, InvalidRequestError

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder
    from pagoda.rag.retrieval.passage_reader import PassageReader
    from pagoda.rag.retrieval.reranker import Reranker

MAX_QUESTION_CHARACTERS = 8000


def check_question(question: str) -> None:
    """Raises InvalidRequestError for what cannot be asked."""
    if not question.strip():
        raise InvalidRequestError("the question is empty: ask something", param="question")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise InvalidRequestError(
            f"the question has {len(question)} characters, but at most {MAX_QUESTION_CHARACTERS} are taken: shorten it",
            param="question",
        )
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            "the question holds half of a character: send valid Unicode", param="question"
        ) from error
    if not any(character.isalnum() for character in question):
        raise InvalidRequestError(f"the question {question.strip()!r:.40} has no word: ask something", param="question")


def chat_model_of(model: ChatModel | str | None) -> ChatModel | None:
    """A URL as the model behind it. Raises ConfigError for any other text."""
    if not isinstance(model, str):
        return model
    if not model.startswith(("http://", "https://")):
        raise ConfigError(
            f"model is {model!r}, expected a URL such as http://127.0.0.1:8000/v1 or a ChatModel: for a model on this "
            f'machine, pass pagoda.EngineChatModel("{model}")'
        )
    from pagoda.chat.openai_client import OpenAIChatModel

    return OpenAIChatModel(model)


def embedder_of(embedder: Embedder | str | None) -> Embedder:
    """A name or path as the embedder; None is the one that is packaged."""
    if embedder is not None and not isinstance(embedder, str):
        return embedder
    from pagoda.rag.embedding.embedder import load_embedder

    return load_embedder(embedder)


def named_place(name_or_path: str) -> str:
    """A folder by its absolute path, so that it is found from elsewhere; any other name as it is."""
    folder = Path(name_or_path).expanduser()
    return str(folder.absolute()) if folder.is_dir() else name_or_path


def reranker_of(reranker: Reranker | str | None) -> Reranker | None:
    """A name or path as the reranker."""
    if not isinstance(reranker, str):
        return reranker
    from pagoda.rag.retrieval.reranker import load_reranker

    return load_reranker(reranker)


def reader_of(embedder: Embedder) -> PassageReader | None:
    """Who reads passages with the question: the bilingual embedder's network does, no other."""
    from pagoda.rag.embedding.bilingual import NAME

    if embedder.name != NAME:
        return None
    from pagoda.rag.retrieval.passage_reader import load_passage_reader

    return load_passage_reader()
