"""What of a JSON schema a grammar can hold an answer to: as much of it as possible, and by name what is left out.

On the token's path: before the engine's door. The server leaves to the model what comes out as unenforced, or refuses
it where the client said `strict`; the engine itself refuses it. A schema is brought into normal form first; what the
grammar engine still cannot read of that (a look-ahead, overlapping alternatives, a limit of its own) is found by asking
it about ever larger parts of the schema, and one keyword is left out at a time. The result accepts whatever the given
schema accepts, but for the order of properties, which is the schema's. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pagoda.engine.schemas.normal_form import NormalForm, Schema
from pagoda.engine.schemas.places import Unenforced
from pagoda.engine.schemas.satisfiable import has_finite_instance
from pagoda.errors import StructuredOutputError

_UNSATISFIABLE = "Unsatisfiable schema: "
_MAX_TRIALS = 3000
_SUSPECTS: tuple[tuple[str, ...], ...] = (
    ("pattern",),
    ("oneOf",),
    ("patternProperties",),
    ("minProperties", "maxProperties"),
    ("multipleOf",),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    ("format",),
    ("allOf",),
    ("anyOf",),
    ("$ref",),
    ("enum",),
    ("const",),
    ("prefixItems",),
    ("items",),
    ("additionalProperties",),
    ("properties",),
    ("required",),
    ("type",),
)
"""Keywords that go together, the likeliest cause first."""
_DEPENDENTS = {"properties": ("additionalProperties",), "prefixItems": ("items",)}
"""Keywords that say something of what another one leaves over."""


_CONTRADICTIONS = {
    "incompatible types": "its keywords demand values of different types",
    "incompatible boolean": "its keywords demand both true and false",
    "anyOf is empty": "it leaves no alternative",
    "oneOf is empty": "it leaves no alternative",
    "All options": "each of its alternatives contradicts itself",
    "Regex is empty": "no string has its pattern, format and length at once",
    "schema is false": "it is false",
}


class Enforceable(NamedTuple):
    """A schema that the grammar engine reads, and what of the given one it does not hold an answer to."""

    schema: dict[str, Any]
    unenforced: tuple[Unenforced, ...]


def enforceable(document: Any) -> Enforceable:
    """The largest part of a schema that a grammar holds an answer to.

    document: the schema as JSON gives it. Raises StructuredOutputError where it is no schema, or where no JSON text
    satisfies it.

    >>> enforceable({"type": "array", "uniqueItems": True}).unenforced[0].place
    ('uniqueItems',)
    """
    form = _form(document)
    reason = complaint(_written(form.root, form.definitions))
    if reason and not _is_contradiction(reason):
        _Repair(form).run()
        reason = complaint(_written(form.root, form.definitions))
    if reason:
        raise StructuredOutputError(f"no text satisfies the schema: {_contradiction(reason)}")
    return _told(form)


def normal_form(document: Any) -> Enforceable:
    """The same as far as the schema alone tells, for whoever hands it to the grammar engine next. Raises likewise."""
    return _told(_form(document))


def _form(document: Any) -> NormalForm:
    if not isinstance(document, Mapping | bool):
        raise StructuredOutputError(f"a schema is an object, or true or false, and not {document!r:.60}")
    form = NormalForm(document)
    if not has_finite_instance(form):
        raise StructuredOutputError("no text satisfies the schema: it leads back to itself without end")
    return form


def _told(form: NormalForm) -> Enforceable:
    written = _written(form.root, form.definitions)
    if written is False:
        raise StructuredOutputError("no text satisfies the schema: it is false")
    return Enforceable({} if isinstance(written, bool) else written, tuple(dict.fromkeys(form.unenforced)))


def complaint(schema: Mapping[str, Any] | bool) -> str:
    """Why the grammar engine does not read a schema, in one line of its own words; "" where it does."""
    from llguidance import LLMatcher, LLParserLimits

    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema, ensure_ascii=False))
    found = LLMatcher.validate_grammar(grammar, limits=LLParserLimits(verbose_errors=False))
    return found.partition("\n")[0] if found else ""


def _is_contradiction(reason: str) -> bool:
    """Whether a complaint is about the schema itself: no text satisfies it."""
    return reason.startswith(_UNSATISFIABLE)


def _written(schema: Schema | bool, definitions: Mapping[str, Schema | bool]) -> dict[str, Any] | bool:
    """As one document."""
    if isinstance(schema, bool):
        return schema
    return {**schema, "$defs": dict(definitions)} if definitions else dict(schema)


class _Repair:
    """Leaves out of a normal form what the grammar engine does not read."""

    def __init__(self, form: NormalForm) -> None:
        self._form = form
        self._tried: dict[str, bool] = {}

    def run(self) -> None:
        """Each schema by itself, the innermost first; then those that fail only with what they refer to."""
        any_value: dict[str, Schema | bool] = dict.fromkeys(self._form.definitions, True)
        for definitions in (any_value, self._form.definitions):
            for schema in self._schemas():
                self._mend(schema, lambda tried, known=definitions: self._is_read(tried, known))  # type: ignore[misc]
        reason = complaint(_written(self._form.root, self._form.definitions))
        if reason and not _is_contradiction(reason) and isinstance(self._form.root, Schema):
            self._form.unenforced.append(Unenforced(self._form.root.place, "it is too large for a grammar"))
            self._form.root = True

    def _schemas(self) -> Iterator[Schema]:
        for root in (*self._form.definitions.values(), self._form.root):
            if isinstance(root, Schema):
                yield from _innermost_first(root)

    def _is_read(self, schema: Schema | bool, definitions: Mapping[str, Schema | bool]) -> bool:
        written = _written(schema, definitions)
        text = json.dumps(written, ensure_ascii=False)  # the same fault comes many times in one schema
        if text not in self._tried and len(self._tried) < _MAX_TRIALS:
            reason = complaint(written)
            self._tried[text] = not reason or _is_contradiction(reason)
        return self._tried.get(text, True)  # past the limit, the last look at the whole decides

    def _mend(self, schema: Schema, is_read: Callable[[Schema], bool]) -> None:
        """Leave keywords out of one schema, the fewest that help, until it is read."""
        while schema and not is_read(schema):
            groups = [[key for key in group if key in schema] for group in _SUSPECTS]
            # A reference within itself is read where nothing stands beside it.
            beside = [key for key in schema if key != "$ref"] if "$ref" in schema else []
            present = [group for group in (*groups, beside) if group]
            present.sort(key=lambda group: group == ["$ref"])
            guilty = next((group for group in present if is_read(_without(schema, group))), present[0])
            reason = complaint(_written(schema, dict.fromkeys(self._form.definitions, True)))
            self._form.unenforced += [Unenforced((*schema.place, key), _plain(key, reason)) for key in guilty]
            mended = _without(schema, guilty)
            schema.clear()
            schema.update(mended)


def _innermost_first(schema: Schema) -> Iterator[Schema]:
    for child in schema.children():
        yield from _innermost_first(child)
    yield schema


def _without(schema: Schema, keywords: list[str]) -> Schema:
    """The schema with some keywords fewer, and nothing narrower for it."""
    left = {key: value for key, value in schema.items() if key not in keywords}
    for keyword in keywords:
        for dependent in _DEPENDENTS.get(keyword, ()):
            left.pop(dependent, None)
    if "oneOf" in keywords:
        left["allOf"] = [*left.get("allOf", []), Schema(schema.place, {"anyOf": schema["oneOf"]})]
    if "patternProperties" in keywords and "additionalProperties" in left:
        # Any of them may now have any name.
        values = [*schema["patternProperties"].values(), left["additionalProperties"]]
        left["additionalProperties"] = Schema(schema.place, {"anyOf": values})
    return Schema(schema.place, left)


def _contradiction(reason: str) -> str:
    """Why no text satisfies a schema, without the grammar's own terms."""
    found = reason.removeprefix(_UNSATISFIABLE)
    return next((plain for words, plain in _CONTRADICTIONS.items() if found.startswith(words)), found)


def _plain(keyword: str, reason: str) -> str:
    """Why a keyword was left out, without the grammar's own terms."""
    if keyword == "oneOf":
        return "its alternatives overlap, and a grammar cannot hold an answer to exactly one of them"
    if keyword == "pattern":
        return "it has look-arounds, back-references or other parts that no grammar can express"
    if keyword == "patternProperties" and "disjoint" in reason:
        return "one name may match two of its patterns"
    if keyword in ("minProperties", "maxProperties"):
        return "beside optional properties a grammar cannot count"
    return "it is more than a grammar can express"
