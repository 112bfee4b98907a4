"""A client's JSON schema, written so that the grammar engine can read all of it.

Beside the token's path: the first half of `enforceable`. Drafts and dialects become one spelling of 2020-12 with
keywords of `keywords.EXPECTED` alone; each reference becomes an entry of `$defs`, so that recursion is finite here;
what no grammar can hold an answer to is left out and remembered with its place. Leaving out a keyword only ever lets
more through, as no keyword here negates another: `not` and `if` are left out themselves. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pagoda.engine.schemas.keywords import APPLICATORS, EXPECTED, IDLE, TYPES
from pagoda.engine.schemas.places import Place, Unenforced
from pagoda.engine.schemas.references import References, Referent, base_of

MAX_DEPTH = 50
"""Of schemas in schemas. The engine reads JSON 128 levels deep, and a schema in `properties` takes two of them."""
NO_GRAMMAR = "a grammar cannot express it"
_MAX_LENGTH = 2**31
_OLD_DRAFTS = ("draft-03", "draft-04", "draft-06", "draft-07")


class Schema(dict[str, Any]):
    """A schema in normal form, which knows where in the client's own it stands."""

    def __init__(self, place: Place, keywords: Mapping[str, Any] | None = None) -> None:
        super().__init__(keywords or {})
        self.place = place

    def children(self) -> Iterator[Schema]:
        """The schemas in it, without those that it refers to."""
        for keyword, value in self.items():
            if keyword in ("properties", "patternProperties"):
                found: Sequence[Any] = list(value.values())
            elif keyword in ("allOf", "anyOf", "oneOf", "prefixItems"):
                found = value
            else:
                found = [value] if keyword in ("items", "additionalProperties") else []
            yield from (child for child in found if isinstance(child, Schema))


class NormalForm:
    """The normal form of one document.

    root: a Schema, or a bool; definitions: by the name that its `$ref`s have; unenforced: what was left out.
    """

    def __init__(self, document: Any) -> None:
        self.definitions: dict[str, Schema | bool] = {}
        self.unenforced: list[Unenforced] = []
        self._references = References(document)
        declared = document.get("$schema") if isinstance(document, Mapping) else None
        self._is_old = isinstance(declared, str) and any(draft in declared for draft in _OLD_DRAFTS)
        self._names: dict[Place, str] = {}
        self._pending: list[tuple[str, Referent]] = []
        self.root = self._schema(document, (), self._references.root.base)
        while self._pending:
            name, target = self._pending.pop()
            self.definitions[name] = self._schema(target.schema, target.place, target.base)

    def _note(self, place: Place, reason: str) -> None:
        self.unenforced.append(Unenforced(place, reason))

    def _schema(self, given: Any, place: Place, base: str, depth: int = 0) -> Schema | bool:
        if isinstance(given, bool):
            return given
        if not isinstance(given, Mapping):
            self._note(place, f"a schema is expected there, not {_kind(given)}")
            return True
        if depth > MAX_DEPTH:
            self._note(place, f"it is nested more than {MAX_DEPTH} schemas deep")
            return True
        if self._is_old and "$ref" in given:  # in these drafts nothing counts beside it
            given = {"$ref": given["$ref"]}
        return _SchemaReader(self, given, place, base_of(given, base), depth).read()

    def _definition(self, reference: str, base: str) -> str | None:
        """The name under which what is referred to is defined here; None where there is no such thing."""
        target = self._references.resolve(reference, base)
        if target is None:
            return None
        if target.place not in self._names:
            self._names[target.place] = f"d{len(self._names)}"
            self._pending.append((self._names[target.place], target))
        return self._names[target.place]


class _SchemaReader:
    """Reads one schema of the document."""

    def __init__(self, form: NormalForm, given: Mapping[str, Any], place: Place, base: str, depth: int) -> None:
        self._form, self._given, self._place, self._base, self._depth = form, given, place, base, depth

    def read(self) -> Schema | bool:
        """Keywords are put together so that each stands beside those that it depends on."""
        if self._given.get("not") in ({}, True) and "not" in self._given:
            return False
        kept = {key: value for key, value in self._given.items() if key in EXPECTED and self._is_sound(key, value)}
        self._leave_out_idle()
        kept |= self._evaluated(kept)
        objects = self._object_keywords(kept)
        single = self._types(kept) | self._numbers(kept) | self._lengths(kept) | self._arrays(kept) | objects
        whole = self._applicators(kept)
        # The engine has properties written in the order in which it meets them.
        names = list(self._given)
        before = [key for key in whole if "properties" in kept and names.index(key) < names.index("properties")]
        ordered = {key: whole.pop(key) for key in before} | single | whole
        return Schema(self._place, ordered) if ordered else True

    def _is_sound(self, keyword: str, value: Any) -> bool:
        fits, expected = EXPECTED[keyword]
        if fits(value) or (keyword == "properties" and value == []):  # PHP writes {} so
            return True
        if keyword == "items" and isinstance(value, list):
            return True
        self._note(keyword, f"{expected} is expected there, not {_kind(value)}")
        return False

    def _note(self, keyword: str, reason: str) -> None:
        self._form._note((*self._place, keyword), reason)

    def _child(self, value: Any, *place: str | int) -> Schema | bool:
        return self._form._schema(value, (*self._place, *place), self._base, self._depth + 1)

    def _leave_out_idle(self) -> None:
        """Remember the keywords that no grammar holds an answer to, where they ask for something."""
        for keyword, is_idle in IDLE.items():
            if keyword not in self._given or is_idle(self._given[keyword]):
                continue
            if keyword == "if" and not {"then", "else"} & self._given.keys():
                continue
            if keyword.startswith("unevaluated") and not self._has_other_evaluation():
                continue
            self._note(keyword, NO_GRAMMAR)

    def _has_other_evaluation(self) -> bool:
        """Whether other schemas speak of the same properties and items, on which `unevaluated...` then depends."""
        others = {"allOf", "anyOf", "oneOf", "$ref", "if", "not", "dependentSchemas", "contains"}
        return bool((others | {"$dynamicRef", "$recursiveRef"}) & self._given.keys())

    def _evaluated(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """`unevaluated...` as what it amounts to where no other schema speaks of the same properties and items."""
        if self._has_other_evaluation():
            return {}
        found = {}
        same = {"unevaluatedProperties": "additionalProperties", "unevaluatedItems": "items"}
        for keyword, plain in same.items():
            if keyword in self._given and plain not in self._given:
                found[plain] = self._given[keyword]
        return found

    def _types(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        if "type" not in kept:
            return {}
        names = kept["type"] if isinstance(kept["type"], list) else [kept["type"]]
        if self._given.get("nullable") is True:  # OpenAPI 3.0
            names = [*names, "null"]
        unique = list(dict.fromkeys(names))
        return {"type": unique[0] if len(unique) == 1 else unique}

    def _numbers(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: kept[key] for key in ("minimum", "maximum", "multipleOf") if key in kept}
        for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            value = kept.get(exclusive)
            if value is True and plain in found:  # draft 4
                found[exclusive] = found.pop(plain)
            elif value is not None and not isinstance(value, bool):
                found[exclusive] = value
        return found

    def _lengths(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Keywords of strings, and all that count."""
        found = {key: kept[key] for key in ("pattern", "format") if key in kept}
        for key in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"):
            # No text is long enough to meet more.
            if key in kept and not (key.startswith("max") and kept[key] >= _MAX_LENGTH):
                found[key] = min(int(kept[key]), _MAX_LENGTH)
        return found

    def _arrays(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        prefix, items = kept.get("prefixItems"), kept.get("items")
        where_prefix, where_items = "prefixItems", "items"
        if isinstance(items, list):  # before 2020-12, a list of items was what prefixItems is now
            where_prefix, where_items = "items", "additionalItems"
            if where_items not in self._given and not self._has_other_evaluation():
                where_items = "unevaluatedItems"
            prefix, items = items, self._given.get(where_items)
        elif "prefixItems" in self._given and prefix is None:
            items = None  # which of them it speaks of is not known
        found: dict[str, Any] = {}
        if prefix:
            found["prefixItems"] = [self._child(item, where_prefix, i) for i, item in enumerate(prefix)]
        if items is not None:
            found["items"] = self._child(items, where_items)
        return found

    def _object_keywords(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for keyword in ("properties", "patternProperties"):
            if keyword in kept:
                given = kept[keyword] or {}
                found[keyword] = {str(name): self._child(value, keyword, str(name)) for name, value in given.items()}
        named = {"properties", "patternProperties"} & self._given.keys()
        # Which properties are additional is known only where all others are.
        if "additionalProperties" in kept and named <= kept.keys():
            found["additionalProperties"] = self._child(kept["additionalProperties"], "additionalProperties")
        if kept.get("required"):
            found["required"] = list(dict.fromkeys(kept["required"]))
        return found

    def _applicators(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for keyword in (key for key in self._given if key in kept and key in APPLICATORS):
            value = kept[keyword]
            if keyword in ("const", "enum"):
                found[keyword] = value
            elif keyword == "$ref":
                name = self._form._definition(value, self._base)
                if name is None:
                    self._note(keyword, f"{value!r:.80} is not in this document, and nothing is fetched")
                else:
                    found[keyword] = f"#/$defs/{name}"
            else:
                found[keyword] = [self._child(item, keyword, i) for i, item in enumerate(value)]
        return found


def _kind(value: Any) -> str:
    """A value of JSON as a message names it."""
    if value is None or isinstance(value, bool | str | int | float):
        return f"{value!r:.60}"
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        unknown = [item for item in value if item not in TYPES] or value
        return f"{unknown[0]!r:.60}"
    return "a list" if isinstance(value, list) else "an object"
