"""The rules of the house that are not about rooms: an order inside each, no circles, sizes, one name for one thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import pagoda

PACKAGE = Path(pagoda.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ORDER: dict[str, list[list[str]]] = {
    "engine": [
        ["scheduling", "schemas"],
        ["sampling"],
        ["execution"],
        ["speculation", "cluster"],
        ["text"],
        ["process"],
    ],
    "rag": [
        ["documents", "embedding"],
        ["splitting"],
        ["index"],
        ["retrieval", "generative", "extractive", "viewing"],
        ["evaluation"],
    ],
    "dialogue": [["domain"], ["slots"], ["cypher", "state"], ["reading", "reply"], ["turn"], ["sessions"]],
    "opinions": [["reading", "store"], ["connectors", "grouping", "windows"], ["alerts"], ["watching"], ["evaluation"]],
    "server": [["http", "observing", "tools", "aside"], ["openai", "applications"], ["replicas"]],
    "models": [["families"], ["gguf"], ["tokenizer", "shelf"], ["checkpoint"], ["quantise"]],
    "cli": [["console"], ["bench", "rag", "dialogue", "quantize", "lab", "opinions"]],
    "conformance": [["checks"]],
    "kernels": [["reference"], ["native"]],
    "planning": [["simulation"]],
    "recommend": [["data"], ["candidates", "sequence"]],
}
"""Room -> its folders, in steps: a folder imports folders of earlier steps, and files that lie in the room itself."""
GROUND: dict[str, set[str]] = {
    "engine": {"args", "outputs", "speculative_config"},
    "engine/process": {"args", "outputs", "core", "engine"},
    "rag": {
        "errors",
        "words",
        "answer",
        "answerer",
        "query",
        "inputs",
        "chinese",
        "content_words",
        "directives",
        "english",
        "asked_version",
        "followup",
    },
    "dialogue": {"errors"},
    "opinions": {"story", "errors"},
    "opinions/watching": {"story", "errors", "companies", "duplicates", "events", "understanding"},
    "opinions/evaluation": {"story", "companies", "duplicates", "linking", "sentiment", "events", "understanding"},
    "server": {
        "access",
        "config",
        "errors",
        "fields",
        "generation",
        "interleaving",
        "json_schemas",
        "routing",
        "state",
        "streaming",
    },
    "server/replicas": {"access", "app", "config", "errors", "serve", "streaming"},
    "layers": set(),
    "models": {
        "coded_weights",
        "config",
        "embedder",
        "generation_config",
        "model_card",
        "quantization_config",
        "refusals",
    },
    "models/quantise": {"coded_weights", "config", "llama"},
    "models/families": set(),
    "cli": set(),
    "conformance": {"check", "client", "evidence", "shapes", "words", "chinese"},
    "kernels": {"interface", "activations", "block_types", "grouped_codes", "kv_codes", "window"},
    "planning": {"costs"},
    "recommend": set(),
}
"""Files of a room that its folders may import, or one folder of it; all others stand above the folders."""
MAX_FILES, MAX_LINES, MAX_PARAMETERS = 14, 40, 9
LARGE_FOLDERS = {
    "conformance/checks": "one file a group of checks",
    "models/families": "one file a group of families",
    "nlu": "one model, read from end to end",
}


def _name(path: Path) -> str:
    """`rag/index/catalog` of a file; a folder's `__init__` goes by the folder's name."""
    return str(path.relative_to(PACKAGE).with_suffix("")).removesuffix("/__init__")


NAMES = {_name(path): path for path in FILES}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> frozenset[str]:
    """Files of the package that a file imports, wherever in it: in functions and for types alone, too."""
    found = set()
    for node in ast.walk(_tree(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")[1:] if name.startswith("pagoda.") else []
            while parts and "/".join(parts) not in NAMES:
                parts.pop()
            if parts:
                found.add("/".join(parts))
    return frozenset(found - {_name(path)})


def _circles(edges: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Strongly connected parts of more than one file (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                circles.append(sorted(part))

    for node in edges:
        if node not in index:
            visit(node)
    return circles


def test_no_files_import_one_another_in_a_circle() -> None:
    assert _circles({name: _imports(path) for name, path in NAMES.items()}) == []


def test_a_circle_is_found() -> None:
    edges = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    assert _circles(edges) == [["a", "b", "c"]]


def _step(room: str, folder: str) -> int:
    return next(step for step, folders in enumerate(ORDER[room]) if folder in folders)


def _climbing(room: str) -> Iterator[str]:
    """Imports inside a room that go up, or sideways between folders of one step."""
    folders = {folder for step in ORDER[room] for folder in step}
    for name, path in NAMES.items():
        own_room, _, rest = name.partition("/")
        own = rest.partition("/")[0]
        if own_room != room or own not in folders:
            continue
        for other in _imports(path):
            other_room, _, other_rest = other.partition("/")
            target = other_rest.partition("/")[0]
            if other_room != room or target == own:
                continue
            allowed = (
                _step(room, target) < _step(room, own)
                if target in folders
                else target in GROUND.get(f"{room}/{own}", GROUND[room])
            )
            if not allowed:
                yield f"{name} -> {other}"


@pytest.mark.parametrize("room", ORDER)
def test_folders_of_a_room_import_in_one_direction(room: str) -> None:
    assert sorted(_climbing(room)) == []


def test_every_folder_of_code_has_its_place_in_an_order() -> None:
    for room, steps in ORDER.items():
        listed = {folder for step in steps for folder in step}
        there = {path.parent.name for path in (PACKAGE / room).glob("*/__init__.py")}
        assert listed == there, f"{room}: ORDER lists {sorted(listed)}, the room has {sorted(there)}"
    deep = {path.parent.parent.name for path in PACKAGE.glob("*/*/__init__.py")}
    assert deep == set(ORDER)


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=lambda path: path.name)
def test_a_folder_can_be_surveyed(folder: Path) -> None:
    name = str(folder.relative_to(PACKAGE))
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= MAX_FILES or name in LARGE_FOLDERS, f"{name} has {len(files)} files, at most {MAX_FILES}"


def _functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for name, path in NAMES.items():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}.{node.name}", node


def _num_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short_and_take_few_arguments() -> None:
    long = [f"{name}: {lines} lines" for name, node in _functions() if (lines := _num_lines(node)) > MAX_LINES]
    assert long == []
    wide = []
    for name, node in _functions():
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        given = sum(argument.arg not in ("self", "cls") for argument in arguments)
        if given > MAX_PARAMETERS:
            wide.append(f"{name}: {given} parameters")
    assert wide == []


NAMES_OF_OTHERS = {"RotaryEmbedding": "as KerasHub calls it, in Keras's room, and as vLLM does, in ours"}


def test_a_class_name_stands_in_one_room() -> None:
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, path in NAMES.items():
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                rooms[node.name].add(name.partition("/")[0])
    assert {name: sorted(found) for name, found in rooms.items() if len(found) > 1}.keys() == {*NAMES_OF_OTHERS}


def test_a_step_of_the_core_reads_as_schedule_execute_update() -> None:
    (step,) = (node for name, node in _functions() if name == "engine/core.step")
    assert _num_lines(step) <= 10


FOUNDATION = {
    "balancing",
    "distributed",
    "errors",
    "hardware",
    "installation",
    "language",
    "parameter_rules",
    "progress",
    "sampling_params",
    "startup",
    "version",
    "vllm_names",
    "files",
}
ARCHITECTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


def _drawn() -> set[tuple[str, str]]:
    """(user, used) of each arrow in the picture of the rooms."""
    picture = ARCHITECTURE.read_text(encoding="utf-8").split("```mermaid")[1].split("```")[0]
    chains = [re.findall(r"\w+", line) for line in picture.splitlines() if "-->" in line]
    return {(above, below) for chain in chains for below, above in pairwise(chain)}


def _imported_rooms() -> set[tuple[str, str]]:
    rooms = {name: name.partition("/")[0] for name in NAMES}
    edges = {(rooms[name], rooms[other]) for name, path in NAMES.items() for other in _imports(path)}
    ground = FOUNDATION | {"__init__", "__main__"}
    return {(user, used) for user, used in edges if user != used and not {user, used} & ground}


def _reached(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    while new := {(a, d) for a, b in edges for c, d in edges if b == c} - edges:
        edges = edges | new
    return edges


def test_the_picture_of_the_rooms_is_what_the_imports_say() -> None:
    drawn, imported = _drawn(), _imported_rooms()
    assert drawn <= imported, f"drawn, but nobody imports it: {sorted(drawn - imported)}"
    assert imported <= _reached(drawn), f"imported, but not drawn: {sorted(imported - _reached(drawn))}"
    assert {room for edge in drawn for room in edge} == {name.partition("/")[0] for name in NAMES} - FOUNDATION - {
        "__init__",
        "__main__",
        "builtin",
    }
