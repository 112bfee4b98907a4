"""From a model's name to the place where its files lie.

Before anything is loaded: a path is taken as it is, a short name such as "llama3.2-1b" becomes a Hugging Face hub
id, a hub id becomes a local snapshot. Only configurations, safetensors and tokenizer files are fetched: pickled
weights can run code when they are opened, and are never touched.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Never, TypedDict, Unpack

from pagoda.errors import CheckpointError, nearest
from pagoda.models.checkpoint.layouts import describe_layout
from pagoda.models.embedder import EMBEDDER_FILES
from pagoda.models.refusals import QUANTISED_FILES

_QWEN2_5_SIZES = ("0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B")
_QWEN2_SIZES = ("0.5B", "1.5B", "7B", "72B")
_QWEN3_SIZES = ("0.6B", "1.7B", "4B", "8B", "14B", "32B")

KNOWN_MODELS: dict[str, str] = {
    "llama2-7b": "meta-llama/Llama-2-7b-hf",
    "llama2-7b-chat": "meta-llama/Llama-2-7b-chat-hf",
    "llama2-13b": "meta-llama/Llama-2-13b-hf",
    "llama2-13b-chat": "meta-llama/Llama-2-13b-chat-hf",
    "llama2-70b": "meta-llama/Llama-2-70b-hf",
    "llama2-70b-chat": "meta-llama/Llama-2-70b-chat-hf",
    "llama3-8b": "meta-llama/Meta-Llama-3-8B",
    "llama3-8b-instruct": "meta-llama/Meta-Llama-3-8B-Instruct",
    "llama3-70b": "meta-llama/Meta-Llama-3-70B",
    "llama3-70b-instruct": "meta-llama/Meta-Llama-3-70B-Instruct",
    "llama3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama3.1-8b-instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "llama3.1-70b": "meta-llama/Llama-3.1-70B",
    "llama3.1-70b-instruct": "meta-llama/Llama-3.1-70B-Instruct",
    "llama3.2-1b": "meta-llama/Llama-3.2-1B",
    "llama3.2-1b-instruct": "meta-llama/Llama-3.2-1B-Instruct",
    "llama3.2-3b": "meta-llama/Llama-3.2-3B",
    "llama3.2-3b-instruct": "meta-llama/Llama-3.2-3B-Instruct",
    "llama3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct",
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
    "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M",
    "smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "smollm2-360m-instruct": "HuggingFaceTB/SmolLM2-360M-Instruct",
    "tinyllama-1.1b-chat": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    **{f"qwen2-{size.lower()}": f"Qwen/Qwen2-{size}" for size in _QWEN2_SIZES},
    **{f"qwen2-{size.lower()}-instruct": f"Qwen/Qwen2-{size}-Instruct" for size in _QWEN2_SIZES},
    **{f"qwen2.5-{size.lower()}": f"Qwen/Qwen2.5-{size}" for size in _QWEN2_5_SIZES},
    **{f"qwen2.5-{size.lower()}-instruct": f"Qwen/Qwen2.5-{size}-Instruct" for size in _QWEN2_5_SIZES},
    **{f"qwen3-{size.lower()}": f"Qwen/Qwen3-{size}" for size in _QWEN3_SIZES},
    **{f"qwen3-embedding-{size.lower()}": f"Qwen/Qwen3-Embedding-{size}" for size in ("0.6B", "4B", "8B")},
    "qwen3-30b-a3b": "Qwen/Qwen3-30B-A3B",
    "qwen3-235b-a22b": "Qwen/Qwen3-235B-A22B",
    "mixtral-8x7b": "mistralai/Mixtral-8x7B-v0.1",
    "mixtral-8x7b-instruct": "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "olmoe-1b-7b": "allenai/OLMoE-1B-7B-0924",
    "olmoe-1b-7b-instruct": "allenai/OLMoE-1B-7B-0924-Instruct",
}
"""Short names and the hub ids that they stand for."""

_TOKENIZER_FILES = ["*.json", "*.jinja", "tokenizer.model"]
_WANTED_FILES = [*_TOKENIZER_FILES, "*.safetensors"]
# Second copies of the same weights in other layouts.
_UNWANTED_FILES = ["original/*", "consolidated*", "onnx/*", "runs/*"]


class HubOptions(TypedDict, total=False):
    """How the hub is asked.

    revision: branch, tag or commit. local_files_only: use what was downloaded before, without asking the network.
    cache_dir: folder for what is downloaded. token: for private and gated models; True takes the one that is stored.
    """

    revision: str | None
    local_files_only: bool
    cache_dir: str | Path | None
    token: str | bool | None


def resolve_model(name: str | Path, **options: Unpack[HubOptions]) -> Path:
    """The checkpoint directory (or llama2.c `.bin` file) that a name stands for.

    name: an existing path, one of KNOWN_MODELS, or a hub id "organisation/name". An existing path goes first.

    Raises CheckpointError for a name that is none of these, and when the download is not possible.
    """
    path = Path(name).expanduser()
    if path.exists():
        return _check_path(path)
    folder = _download(_hub_id(name), _WANTED_FILES, options)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        _refuse_layout(_hub_id(name), options)
    return folder


def public_name(name: str | Path) -> str:
    """The name that a model is shown and served under: the one that was asked for.

    A hub id or short name stands as it was given, a path for the last part of it, whatever links it goes through;
    "." and ".." for the directory that they mean. A snapshot in the hub's own cache goes by its hub id, for the last
    part of such a path is a commit.

    >>> public_name("Qwen/Qwen3-0.6B"), public_name("qwen3-0.6b")
    ('Qwen/Qwen3-0.6B', 'qwen3-0.6b')
    >>> public_name("/hub/models--acme--Tiny-Llama/snapshots/0123abcd")
    'acme/Tiny-Llama'
    """
    path = Path(name).expanduser()
    if cached := re.search(r"/models--([^/]+)/snapshots/[0-9a-f]+$", path.absolute().as_posix()):
        return cached[1].replace("--", "/", 1)
    if not path.exists():
        return str(name)
    # The last part of "" is ".", and pathlib drops a slash at the end.
    return path.name if path.name not in ("", "..") else path.resolve().name or str(name)


def resolve_tokenizer(name: str | Path, **options: Unpack[HubOptions]) -> Path:
    """As `resolve_model`, but the files of a tokenizer alone, and a path may be one of them. Raises CheckpointError."""
    path = Path(name).expanduser()
    return path if path.exists() else _download(_hub_id(name), _TOKENIZER_FILES, options)


def resolve_config(name: str | Path, **options: Unpack[HubOptions]) -> Path:
    """As `resolve_model`, but of a checkpoint on the hub no weights are fetched. Raises CheckpointError."""
    path = Path(name).expanduser()
    if path.exists():
        return _check_path(path)
    return _download_config(_hub_id(name), options)


def _hub_id(name: str | Path) -> str:
    hub_id = KNOWN_MODELS.get(str(name).lower(), str(name))
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", hub_id) or Path(name).suffix == ".bin":
        raise CheckpointError(
            f"no model {str(name)!r}: it is neither an existing path, nor a hub id such as Qwen/Qwen3-0.6B, "
            f"nor a short name; {nearest(str(name).lower(), KNOWN_MODELS)}"
        )
    return hub_id


def _check_path(path: Path) -> Path:
    if path.is_dir() or path.suffix == ".bin":
        return path
    raise CheckpointError(
        f"{path} is neither a checkpoint directory nor a llama2.c .bin file: give the directory that holds config.json"
    )


def _download(hub_id: str, files: list[str], options: HubOptions) -> Path:
    # Imported here: it takes a while, and a local path needs none of it.
    from huggingface_hub import snapshot_download

    try:
        snapshot = snapshot_download(
            hub_id,
            allow_patterns=files,
            ignore_patterns=_UNWANTED_FILES,
            **options,
        )
    # HTTP, file system and the hub's own errors have no common base below Exception.
    except Exception as error:
        _raise_unavailable(hub_id, error)
    return Path(snapshot)


def _download_config(hub_id: str, options: HubOptions) -> Path:
    """`config.json` and the few files beside it that say more of what the weights are; none of the weights."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        file = hf_hub_download(hub_id, "config.json", **options)
    except Exception as error:  # as in _download
        if isinstance(error, EntryNotFoundError):
            _refuse_layout(hub_id, options)
        _raise_unavailable(hub_id, error)
    # Mostly not there; config.json is, and whatever else fails is told when the weights are asked for.
    for names in (EMBEDDER_FILES, *((name,) for name in QUANTISED_FILES)):
        with contextlib.suppress(Exception):
            for name in names:  # of a model that is no embedder the first is missing, and the rest is not asked for
                hf_hub_download(hub_id, name, **options)
    return Path(file).parent


def _refuse_layout(hub_id: str, options: HubOptions) -> None:
    """Say what a repository is that has no config.json, or no safetensors; nothing where its files do not tell."""
    from huggingface_hub import HfApi

    if options.get("local_files_only"):
        return
    try:
        names = HfApi(token=options.get("token")).list_repo_files(hub_id, revision=options.get("revision"))
    except Exception:
        return  # the caller says what is missing
    if told := describe_layout(hub_id, names):
        raise CheckpointError(told)


def _raise_unavailable(hub_id: str, error: Exception) -> Never:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        advice = f"accept its licence at https://huggingface.co/{hub_id}, then log in with: hf auth login"
    elif isinstance(error, RepositoryNotFoundError):
        advice = f"the hub does not know it, or it is private; {_nearest_model(hub_id)}"
    else:
        advice = f"connect to the network, or give the path of a downloaded copy; {_nearest_model(hub_id)}"
    first_line = (str(error) or type(error).__name__).strip().splitlines()[0]
    raise CheckpointError(f"{hub_id} cannot be downloaded ({first_line}): {advice}") from error


def _nearest_model(hub_id: str) -> str:
    """Advice about the spelling, short where no known name is close: the hub holds more than the table does."""
    known = set(KNOWN_MODELS.values())
    if hub_id in known:
        return "the name itself is right"
    hint = nearest(hub_id, known)
    return hint if hint.startswith("did you mean") else "check the spelling"
