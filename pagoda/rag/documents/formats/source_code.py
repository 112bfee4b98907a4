"""Source code to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. The text is the file, line
by line; where a function or a class begins is a heading, so that each stretch is found by its name and by what it
belongs to. Python is read by its own grammar, other languages by how their definitions begin.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pagoda.rag.documents.document import Document, Heading
from pagoda.rag.documents.places import line_starts

CODE_SUFFIXES = (
    *(".c", ".cc", ".cpp", ".cs", ".cxx", ".go", ".h", ".hpp", ".java", ".jl", ".js", ".jsx", ".kt", ".lua", ".mjs"),
    *(".php", ".pl", ".rb", ".rs", ".scala", ".sh", ".sql", ".swift", ".ts", ".tsx"),
)
"""Of languages whose definitions `load_code` knows."""
_NAME = r"[A-Za-z_$][\w$:<>~.]{0,100}"
_MODIFIERS = (
    r"(?:(?:export|default|pub(?:\([a-z]+\))?|public|private|protected|internal|static|final|abstract|async|inline"
    r"|unsafe|extern|virtual|override|open|sealed|data|suspend|partial)[ \t]+)*"
)
_KINDS = r"class|struct|enum|interface|trait|impl|module|namespace|record|object|protocol|extension|type"
_CALLABLES = r"function\*?|func|fn|def|sub|fun|proc"
_DEFINITION = re.compile(
    rf"^[ \t]*{_MODIFIERS}(?:(?:{_KINDS})[ \t]+{_NAME}|(?:{_CALLABLES})[ \t]+(?:\([^)\n]*\)[ \t]*)?{_NAME})"
    # C and its family: a type, a name and parentheses at the margin, which no semicolon ends.
    r"|^(?!(?:return|else|if|for|while|switch|case|typedef|using|import)\b)"
    rf"[A-Za-z_][\w \t*&:<>,]{{0,200}}[ \t*&]{_NAME}\([^;\n]*$"
    # The shell: a name and empty parentheses.
    r"|^[A-Za-z_][\w-]*[ \t]*\(\)[ \t]*\{?",
    re.MULTILINE,
)
_TAB = 4


def load_python(text: str, source: str) -> Document:
    """Python by its grammar; by its lines where it has mistakes."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return load_code(text, source)
    lines = text.split("\n")
    starts = line_starts(lines)
    found = sorted(_symbols(tree, 1))
    headings = tuple(_heading(lines[row - 1], starts[row - 1], level) for row, level in found)
    said = (ast.get_docstring(tree) or "").strip().partition("\n")[0]
    return _document(text, source, said, headings)


def load_code(text: str, source: str) -> Document:
    """Any other language: the deeper a definition is indented, the lower its level."""
    headings = []
    for match in _DEFINITION.finditer(text):
        start = match.start()
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)]
        indent = len(line.expandtabs(_TAB)) - len(line.expandtabs(_TAB).lstrip())
        headings.append(_heading(line, start, 1 + indent))
    return _document(text, source, "", tuple(headings))


def _document(text: str, source: str, said: str, headings: tuple[Heading, ...]) -> Document:
    """said: what the file says of itself in its first line. Between the headings each line stands for itself."""
    name = source.rsplit("/", 1)[-1]
    starts = [0, *(heading.end for heading in headings)]
    ends = [*(heading.start for heading in headings), len(text)]
    listings = tuple((start, end) for start, end in zip(starts, ends, strict=True) if text[start:end].strip())
    return Document(source, text, f"{name}: {said}" if said else name, headings=headings, listings=listings)


def _symbols(node: ast.AST, level: int) -> Iterator[tuple[int, int]]:
    """(line, level) of each function and class; what is defined within a function belongs to it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child.lineno, level
            if isinstance(child, ast.ClassDef):
                yield from _symbols(child, level + 1)


def _heading(line: str, start: int, level: int) -> Heading:
    """The line without what begins its body: "class Engine(Base)" of "class Engine(Base):"."""
    stripped = line.rstrip().rstrip("{:").rstrip()
    return Heading(start + len(line) - len(line.lstrip()), start + max(len(stripped), 1), level)
