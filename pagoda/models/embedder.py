"""How a checkpoint's vectors are made: what the files of sentence-transformers beside `config.json` say.

Read once at start, beside `models/config`, and before weights are downloaded. `modules.json` lists what a text goes
through (Reimers and Gurevych 2019, "Sentence-BERT", arXiv 1908.10084): the network, a pooling of its hidden states, a
scaling to length 1. `1_Pooling/config.json` names the pooling, `config_sentence_transformers.json` the prompts that
stand before a text, `sentence_bert_config.json` how long a text may be. What they say and pagoda does not compute is
refused by name: a vector of another kind looks like a right one. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

from pagoda.errors import CheckpointError, InvalidParameterError, nearest
from pagoda.parameter_rules import is_whole

MODULES_FILE = "modules.json"
EMBEDDER_FILES = (
    MODULES_FILE,
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
)
"""What is read here, under the names that sentence-transformers gives; only the first two are in every embedder."""
_POOLINGS = {"lasttoken": "last", "mean": "mean", "cls": "cls"}
_MODES = (*_POOLINGS, "max", "mean_sqrt_len_tokens", "weightedmean")
_OLD_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""What older files say instead of `pooling_mode`, one flag for each."""


@dataclass(frozen=True)
class EmbedderConfig:
    """What becomes of the hidden states [num_tokens, hidden_size] of a text.

    pooling: "last" and "cls" take the last and the first token's, "mean" the mean of all
    normalize: scale the vector to length 1, where a request does not say otherwise
    prompts: name -> what stands before the text, as part of it
    default_prompt_name: the one that stands there unasked
    max_seq_length: tokens that a text may have, where that is less than the network's context
    do_lower_case: texts are put into lower case
    is_declared: whether the checkpoint says that it is an embedder; the other fields are defaults otherwise
    """

    pooling: str = "last"
    normalize: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    max_seq_length: int | None = None
    do_lower_case: bool = False
    is_declared: bool = False

    @classmethod
    def from_directory(cls, directory: str | Path) -> EmbedderConfig:
        """All defaults where there is no `modules.json`. Raises CheckpointError: file, what it says, what is known."""
        directory = Path(directory)
        if not (directory / MODULES_FILE).is_file():
            return cls()
        pooling_folder, normalize = _read_modules(directory / MODULES_FILE)
        prompts, default = _read_prompts(directory / "config_sentence_transformers.json")
        pooling = _read_pooling(directory / pooling_folder / "config.json", any(prompts.values()))
        max_seq_length, do_lower_case = _read_transformer(directory / "sentence_bert_config.json")
        return cls(pooling, normalize, prompts, default, max_seq_length, do_lower_case, is_declared=True)

    def text(self, text: str, prompt_name: str | None = None) -> str:
        """A caller's text as the network is to read it.

        prompt_name: one of `prompts`; None is the default one. Raises InvalidParameterError for an unknown one.
        """
        name = self.default_prompt_name if prompt_name is None else prompt_name
        if name is not None and name not in self.prompts:
            known = nearest(name, self.prompts) if self.prompts else "leave it out"
            raise InvalidParameterError(
                f"prompt_name is {name!r}, which is no prompt of this model: {known}", param="prompt_name"
            )
        text = text if name is None else self.prompts[name] + text
        return text.lower() if self.do_lower_case else text


def _read_modules(path: Path) -> tuple[str, bool]:
    """The folder of the pooling, and whether its vector is scaled."""
    modules = _read_json(path, list)
    kinds: list[str] = []
    folders: list[str] = []
    for module in modules:
        if not isinstance(module, dict) or not isinstance(module.get("type"), str):
            raise CheckpointError(
                f"{path} has the module {module!r:.100}, but an object with type and path is expected"
            )
        package, _, kind = module["type"].rpartition(".")
        folder = str(module.get("path", ""))
        if not package.startswith("sentence_transformers.") or kind not in ("Transformer", "Pooling", "Normalize"):
            _refuse(path, f"the module {module['type']}", "Transformer, Pooling and Normalize")
        if Path(folder).is_absolute() or ".." in Path(folder).parts:
            raise CheckpointError(f"{path} names the folder {folder!r}, expected one inside {path.parent}")
        kinds.append(kind)
        folders.append(folder)
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        _refuse(path, f"the modules {', '.join(kinds) or '(none)'}", "Transformer, Pooling and then Normalize or none")
    if folders[0]:
        _refuse(path, f"its network in the folder {folders[0]!r}", "one in the folder of modules.json itself")
    if kinds[2:]:
        _check_normalize(path.parent / folders[2] / "config.json")
    return folders[1], len(kinds) == 3


def _check_normalize(path: Path) -> None:
    for key, value in (_read_json(path, dict) if path.is_file() else {}).items():
        if key in ("module_input_name", "module_output_name") and value not in (None, "sentence_embedding"):
            _refuse(path, f"{key}={value!r}", "'sentence_embedding'")


def _read_pooling(path: Path, has_prompts: bool) -> str:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist, but modules.json names it: download it")
    raw = _read_json(path, dict)
    modes = raw.get("pooling_mode") or [mode for flag, mode in _OLD_FLAGS.items() if raw.get(flag)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in _POOLINGS:
        known = f"one of {', '.join(_POOLINGS)}"
        _refuse(path, f"pooling_mode={modes[0] if isinstance(modes, list) and len(modes) == 1 else modes!r}", known)
    if has_prompts and modes != ["lasttoken"] and raw.get("include_prompt") is False:
        _refuse(path, f"include_prompt=False with pooling_mode={modes[0]}", "poolings that include the prompt")
    return _POOLINGS[modes[0]]


def _read_prompts(path: Path) -> tuple[dict[str, str], str | None]:
    raw = _read_json(path, dict) if path.is_file() else {}
    if raw.get("model_type") not in (None, "SentenceTransformer"):
        _refuse(path, f"model_type={raw['model_type']!r}", "'SentenceTransformer'")
    prompts = raw.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise CheckpointError(
            f"{path} has prompts={prompts!r:.100}, but names and texts are expected: correct the file"
        )
    # These two names every model of sentence-transformers knows, be it as nothing at all.
    known = {"query": "", "document": ""} | {name: text or "" for name, text in prompts.items()}
    default = raw.get("default_prompt_name")
    if default is not None and default not in known:
        raise CheckpointError(
            f"{path} has default_prompt_name={default!r}, but prompts for {', '.join(known)}: correct the file"
        )
    return known, default


def _read_transformer(path: Path) -> tuple[int | None, bool]:
    raw = _read_json(path, dict) if path.is_file() else {}
    if raw.get("transformer_task") not in (None, "feature-extraction"):
        _refuse(path, f"transformer_task={raw['transformer_task']!r}", "'feature-extraction'")
    if raw.get("module_output_name") not in (None, "token_embeddings"):
        _refuse(path, f"module_output_name={raw['module_output_name']!r}", "'token_embeddings'")
    if raw.get("modality_config") is not None and not _reads_text(raw["modality_config"]):
        _refuse(path, f"modality_config={raw['modality_config']!r}", "text by 'forward' as 'last_hidden_state'")
    for key in ("processing_kwargs", "query_length", "document_length", "query_expansion"):
        if raw.get(key):
            _refuse(path, f"{key}={raw[key]!r}", "a text as it is")
    length = raw.get("max_seq_length")
    if length is not None and not is_whole(length, 1):
        raise CheckpointError(f"{path} has max_seq_length={length!r}, but a whole number of at least 1 is expected")
    return length, bool(raw.get("do_lower_case"))


def _reads_text(modalities: object) -> bool:
    """Whether the network's plain forward pass is what a text goes through."""
    of_text = modalities.get("text") if isinstance(modalities, dict) else None
    if not isinstance(of_text, dict):
        return False
    return of_text.get("method") == "forward" and of_text.get("method_output_name") in (None, "last_hidden_state")


def _read_json(path: Path, kind: type) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): download it again") from error
    if not isinstance(value, kind):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, expected a {kind.__name__}: download it again")
    return value


def _refuse(path: Path, said: str, known: str) -> Never:
    raise CheckpointError(
        f"{path} has {said}, but pagoda computes {known} only, and its vectors would be other ones: take another "
        f"embedder, or run this one with sentence-transformers"
    )
