"""What the answers of several endpoints have in common, and how it is read and judged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.conformance.check import Context, equal, expect
from pagoda.conformance.evidence import NotApplicableError

_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def texts(answer: Mapping[str, Any]) -> list[str]:
    """The texts of a completion's choices."""
    return [choice["text"] for choice in answer["choices"]]


def contents(answer: Mapping[str, Any]) -> list[str]:
    """The texts of a chat's choices; null counts as none."""
    return [choice["message"]["content"] or "" for choice in answer["choices"]]


def check_usage(usage: Mapping[str, Any]) -> None:
    """Raise CheckFailedError unless there are three counts that add up."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    expect(all(isinstance(usage.get(name), int) for name in names), f"whole numbers in {', '.join(names)}", usage)
    equal(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"], "total_tokens")


def is_logprob(value: object) -> bool:
    """A finite number that is no more than 0, but for rounding."""
    return isinstance(value, int | float) and math.isfinite(value) and value <= 1e-4


def close(got: Sequence[float | None], expected: Sequence[float | None], what: str, tolerance: float = 1e-3) -> None:
    """Raise CheckFailedError unless two lists of log-probabilities agree, nulls included."""
    pairs = list(zip(got, expected, strict=False))
    agree = len(got) == len(expected) and all(
        a == b if a is None or b is None else math.isclose(a, b, abs_tol=tolerance) for a, b in pairs
    )
    expect(agree, f"{what}: {expected}", got)


def conforms(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is what a schema of the checks' own kind (type, enum, properties, required, items) asks for.

    >>> conforms({"days": 2}, {"type": "object", "properties": {"days": {"enum": [1, 2]}}, "required": ["days"]})
    True
    """
    if "enum" in schema and not any(value == item and type(value) is type(item) for item in schema["enum"]):
        return False
    kind = schema.get("type")
    if kind is not None and (type(value) is not _TYPES[kind]):
        return False
    if kind == "array":
        return all(conforms(item, schema.get("items", {})) for item in value)
    if kind != "object":
        return True
    known = schema.get("properties", {})
    return set(schema.get("required", ())) <= set(value) <= set(known) and all(
        conforms(item, known[name]) for name, item in value.items()
    )


def parsed(text: str, schema: Mapping[str, Any]) -> Any:
    """The value in a text of JSON. Raises CheckFailedError unless it conforms to the schema."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    expect(value is not None and conforms(value, schema), f"JSON after {json.dumps(schema, ensure_ascii=False)}", text)
    return value


async def token_ids(server: Context, text: str) -> list[int]:
    """The ids of a text, from /tokenize. Raises NotApplicableError where there is none; another check is about that."""
    reply = await server.client.post("/tokenize", {"model": server.facts.model, "prompt": text})
    if reply.status != 200 or not isinstance(reply.json().get("tokens"), list):
        raise NotApplicableError("there is no /tokenize to take ids from")
    return list(reply.json()["tokens"])
