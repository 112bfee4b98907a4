"""The map of the rooms, executed: who may import whom, what loads without torch, and how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pagoda
from patience import HANG_S

PACKAGE = Path(pagoda.__file__).parent
FOUNDATION = frozenset(
    {
        "balancing",
        "errors",
        "installation",
        "parameter_rules",
        "vllm_names",
        "files",
        "sampling_params",
        "distributed",
        "progress",
        "version",
        "hardware",
        "startup",
        "language",
    }
)
TABLE: dict[str, frozenset[str]] = {
    **dict.fromkeys(FOUNDATION, FOUNDATION),
    "kernels": FOUNDATION,
    "layers": FOUNDATION | {"kernels"},
    "models": FOUNDATION | {"kernels", "layers"},
    "chat": FOUNDATION,
    "engine": FOUNDATION | {"kernels", "layers", "models", "chat"},
    "minilm": FOUNDATION | {"kernels"},
    "nlu": FOUNDATION | {"kernels", "minilm"},
    "graph": FOUNDATION,
    "rag": FOUNDATION | {"chat", "kernels", "minilm"},
    "dialogue": FOUNDATION | {"chat", "kernels", "minilm", "nlu", "graph"},
    "opinions": FOUNDATION | {"chat", "kernels", "minilm", "nlu", "graph"},
    "server": FOUNDATION
    | {"kernels", "layers", "models", "chat", "engine", "minilm", "nlu", "graph", "rag", "dialogue", "opinions"}
    | {"train", "recommend", "service"},
    "conformance": FOUNDATION,
    "loadtest": FOUNDATION,
    "planning": FOUNDATION | {"kernels", "layers", "models", "chat", "engine", "loadtest"},
    "train": FOUNDATION | {"kernels", "layers", "models"},
    "lab": FOUNDATION | {"kernels", "layers", "models", "train"},
    "recommend": FOUNDATION | {"kernels", "layers", "models", "train", "graph", "minilm", "chat", "engine"},
    "service": FOUNDATION
    | {
        "kernels",
        "layers",
        "models",
        "chat",
        "engine",
        "minilm",
        "nlu",
        "graph",
        "train",
        "rag",
        "dialogue",
        "recommend",
    },
    "keras": FOUNDATION | {"kernels", "layers", "models"},
    "llm": FOUNDATION | {"models", "engine"},
}
"""Room -> rooms that it may import, besides itself. The command line and the root may import all."""
TOP = ("cli", "__init__", "__main__")
WITHOUT_TORCH = (
    *sorted(FOUNDATION),
    "engine.args",
    "engine.outputs",
    "engine.core",
    "engine.scheduling",
    "engine.speculation",
    "engine.speculative_config",
    "engine.schemas",
    "engine.sampling.rows",
    "engine.sampling.core_request",
    "engine.sampling.constraints",
    "engine.sampling.seeds",
    "engine.sampling.token_lists",
    "engine.sampling.structured",
    "engine.execution.executor",
    "engine.execution.frames",
    "engine.execution.micro_batches",
    "engine.execution.memory_plan",
    "engine.execution.rank_process",
    "engine.text.prompt",
    "engine.text.detokenizer",
    "engine.text.stop_strings",
    "engine.text.output_processor",
    "models.coded_weights",
    "models.config",
    "models.parallel",
    "models.quantization_config",
    "models.quantise.scheme",
    "models.shelf",
    "chat.openai_types",
    "planning",
    "cli",
)
"""Files, and folders with all that is in them."""
SERVING = ("engine.process", "engine.text", "server")
"""What a server's process loads before its engine is there: tokenizers, and still no torch."""
MAX_LINES = 450
FILES = sorted(PACKAGE.rglob("*.py"))


def _names(path: Path) -> list[str]:
    return list(path.relative_to(PACKAGE).with_suffix("").parts)


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of whatever a file imports, wherever in it the import stands."""
    module = ["pagoda", *_names(path)]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module[: -node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            yield from ((node.lineno, str(arg.value)) for arg in node.args if isinstance(arg, ast.Constant))


def _modules(name: str) -> list[str]:
    """The dotted names of a file, or of all files of a folder."""
    dotted = [".".join(["pagoda", *_names(path)]).removesuffix(".__init__") for path in FILES]
    found = [module for module in dotted if f"{module}.".startswith(f"pagoda.{name}.")]
    assert found, f"the package has no {name}"
    return found


def _violations(path: Path) -> list[str]:
    room = _names(path)[0]
    if room.startswith(TOP):
        return []
    found = []
    for line, name in _imported(path):
        package, *rest = name.split(".")
        if package == "pagoda" and (not rest or rest[0] not in TABLE[room] | {room}):
            found.append(f"{path.relative_to(PACKAGE)}:{line} imports {name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(_names(path)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    assert _names(path)[0] in TABLE or _names(path)[0].startswith(TOP), "a room that the table does not know"
    assert not _violations(path)


def test_a_forbidden_import_is_found_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "layers").mkdir()
    file = tmp_path / "layers" / "norm.py"
    file.write_text(
        "import pagoda.engine.core\n"
        "from pagoda import LLM\n"
        "from ..train import data\n"
        "def f():\n"
        "    from pagoda.models.llama import LlamaForCausalLM\n"
        "    importlib.import_module('pagoda.llm')\n"
        "from pagoda.kernels.reference.operations import ReferenceKernels\n"
        "from . import linear\n"
    )
    assert [violation.split()[-1] for violation in _violations(file)] == [
        "pagoda.engine.core",
        "pagoda.LLM",
        "pagoda.train.data",
        "pagoda.models.llama.LlamaForCausalLM",
        "pagoda.llm",
    ]


def test_the_table_is_a_tower_and_training_and_serving_never_meet() -> None:
    for room, below in TABLE.items():
        for other in below - FOUNDATION:
            assert room not in TABLE[other], f"{room} and {other} import each other"
            assert TABLE[other] - FOUNDATION < below or room == "llm"
    assert "train" not in TABLE["engine"]
    assert "engine" not in TABLE["train"]


def test_packages_import_nothing_by_themselves() -> None:
    """Eight have text: the command line's is the entry point, seven offer their classes; all import when called."""
    packages = [path for path in FILES if path.name == "__init__.py" and path.parent != PACKAGE]
    assert len(packages) >= 6
    assert [_names(path)[0] for path in packages if path.read_text().strip()] == [
        "cli",
        "dialogue",
        "keras",
        "layers",
        "opinions",
        "rag",
        "recommend",
        "service",
    ]
    rooms = ("rag", "dialogue", "layers", "opinions", "recommend", "service")
    loaded = f"any(name.startswith({tuple(f'pagoda.{room}.' for room in rooms)}) for name in sys.modules)"
    script = f"import {', '.join(f'pagoda.{room}' for room in rooms)}, sys; sys.exit({loaded})"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG_S)


@pytest.mark.parametrize(
    ("names", "heavy"), [(WITHOUT_TORCH, ["torch", "transformers", "tokenizers"]), (SERVING, ["torch", "transformers"])]
)
def test_the_scheduler_and_all_around_it_load_without_torch(names: tuple[str, ...], heavy: list[str]) -> None:
    modules = [module for name in names for module in _modules(name)]
    script = (
        f"import importlib, sys\nfor name in {modules}:\n    importlib.import_module(name)\n"
        f"    heavy = set({heavy}) & set(sys.modules)\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG_S, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_root_offers_its_names_without_loading_torch() -> None:
    script = "import sys, pagoda; pagoda.SamplingParams; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG_S)
    assert all(hasattr(pagoda, name) for name in pagoda.__all__)
    with pytest.raises(AttributeError, match="no attribute 'LLMs'"):
        _ = pagoda.LLMs


def test_the_package_tells_type_checkers_that_it_has_types() -> None:
    """PEP 561: without this file mypy takes everything of an installed pagoda for Any."""
    assert (PACKAGE / "py.typed").read_bytes() == b""


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(_names(path)))
def test_a_file_can_be_held_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
