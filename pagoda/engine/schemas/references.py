"""What a `$ref` points at, inside one JSON schema.

Beside the token's path: `normal_form` asks here. Nothing is fetched: a reference to another document has no target.
JSON pointers with their escapes, `$anchor`, and `$id` with what is relative to it are understood. Source: JSON Schema
2020-12, core, section 8, and RFC 6901. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

from pagoda.engine.schemas.places import Place

_VALUES = frozenset({"const", "enum", "default", "examples", "example"})
"""Keywords that hold plain values: what looks like a schema in them is none."""


class Referent(NamedTuple):
    """A schema that is pointed at. base: the URI against which references inside it are resolved."""

    schema: Any
    place: Place
    base: str


class References:
    """The identifiers of one document."""

    def __init__(self, document: Any) -> None:
        root_id = identifier(document)
        self.root = Referent(document, (), _joined("", root_id) if root_id else "")
        self._resources: dict[str, Referent] = {self.root.base: self.root}
        self._anchors: dict[str, Referent] = {}
        for target in _walk(self.root):
            self._register(target)

    def resolve(self, reference: str, base: str) -> Referent | None:
        """What the reference points at, seen from `base`; None where this document does not hold it."""
        address, fragment = urldefrag(_joined(base, reference))
        resource = self._resources.get(address)
        if resource is None:
            return None
        if not fragment:
            return resource
        if fragment.startswith("/"):
            return _pointed(resource, unquote(fragment))
        return self._anchors.get(f"{address}#{fragment}")

    def _register(self, target: Referent) -> None:
        if identifier(target.schema) is not None:
            self._resources.setdefault(target.base, target)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := target.schema.get(keyword), str):
                self._anchors.setdefault(f"{target.base}#{anchor}", target)
        for keyword in ("$id", "id"):  # older drafts wrote an anchor as "#name"
            given = target.schema.get(keyword)
            if isinstance(given, str) and given.startswith("#"):
                self._anchors.setdefault(f"{target.base}{given}", target)


def identifier(schema: Any) -> str | None:
    """The address that a schema gives itself, if it does."""
    if not isinstance(schema, Mapping):
        return None
    given = schema.get("$id", schema.get("id"))
    return given if isinstance(given, str) and given and not given.startswith("#") else None


def base_of(schema: Any, base: str) -> str:
    """Against what references inside a schema are resolved, where its surroundings have `base`."""
    given = identifier(schema)
    return base if given is None else _joined(base, given)


def _joined(base: str, reference: str) -> str:
    """`reference` seen from `base`, without an empty fragment; an impossible address stays as it is."""
    if reference.startswith("#"):  # urljoin knows no fragments beside urn: and the like
        return urldefrag(base).url + ("" if reference == "#" else reference)
    try:
        return urljoin(base, reference).removesuffix("#")
    except ValueError:
        return reference


def _walk(root: Referent) -> Iterator[Referent]:
    """Every mapping of the document that may be a schema."""
    pending = [root]
    while pending:
        target = pending.pop()
        if isinstance(target.schema, Mapping):
            base = base_of(target.schema, target.base) if target is not root else target.base
            yield target._replace(base=base)
            inner = [(key, value) for key, value in target.schema.items() if key not in _VALUES]
            pending += [Referent(value, (*target.place, key), base) for key, value in inner]
        elif isinstance(target.schema, list):
            pending += [Referent(value, (*target.place, i), target.base) for i, value in enumerate(target.schema)]


def _pointed(resource: Referent, pointer: str) -> Referent | None:
    """Follow a JSON pointer; None where it leads nowhere."""
    found, place, base = resource
    for escaped in pointer.split("/")[1:]:
        part: str | int = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and str(part).isdecimal() and int(part) < len(found):
            part = int(part)
            found = found[part]
        elif isinstance(found, Mapping) and part in found:
            found = found[part]
        else:
            return None
        place, base = (*place, part), base_of(found, base)
    return Referent(found, place, base) if isinstance(found, Mapping | bool) else None
