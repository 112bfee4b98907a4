"""Makes rayservice_schema.json of KubeRay's own description of a RayService, 1 MB, for what our manifests use of it.

    git clone --depth 1 https://github.com/ray-project/kuberay
    python tests/unit/deploy/reduce_schema.py kuberay/ray-operator/config/crd/bases/ray.io_rayservices.yaml

Where a manifest of deploy/kuberay goes, the schema stays whole, but for texts; of what lies beside, the name alone
stays, so that a misspelt one is still refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).resolve().parents[3] / "deploy" / "kuberay"
SCHEMA = Path(__file__).with_name("rayservice_schema.json")
_KEPT = ("type", "required", "enum", "format", "minimum", "maximum", "pattern", "anyOf", "additionalProperties")


def reduced(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The part of a schema that says something of these values."""
    kept = {name: schema[name] for name in _KEPT if name in schema}
    if "properties" in schema:
        objects = [value for value in values if isinstance(value, dict)]
        kept["properties"] = {
            name: reduced(own, found) if (found := [each[name] for each in objects if name in each]) else {}
            for name, own in schema["properties"].items()
        }
        kept["additionalProperties"] = False
    if "items" in schema:
        kept["items"] = reduced(
            schema["items"], [each for value in values if isinstance(value, list) for each in value]
        )
    return kept


def main(path: str) -> None:
    """Write the schema for version v1."""
    versions = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["spec"]["versions"]
    whole = next(each for each in versions if each["name"] == "v1")["schema"]["openAPIV3Schema"]
    manifests = [yaml.safe_load(each.read_text(encoding="utf-8")) for each in sorted(MANIFESTS.glob("*.yaml"))]
    schema = reduced(whole, manifests)
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    about = "a part of ray-operator/config/crd/bases/ray.io_rayservices.yaml of ray-project/kuberay, Apache-2.0"
    SCHEMA.write_text(json.dumps({"$comment": about, **schema}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
