"""Held to a shape: JSON by schema, a regex, and a choice. The words are the model's, the form is guaranteed.

python examples/structured_output.py [MODEL]
"""

from __future__ import annotations

import json
import sys

from pagoda import LLM, SamplingParams
from pagoda.sampling_params import StructuredOutputsParams

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "animal": {"enum": ["fox", "bear", "cat"]},
        "age": {"type": "integer", "minimum": 1, "maximum": 20},
    },
    "required": ["name", "animal", "age"],
    "additionalProperties": False,
}

llm = LLM(model=sys.argv[1] if len(sys.argv) > 1 else None)
constraints = {
    "json": StructuredOutputsParams(json=SCHEMA, disable_any_whitespace=True),
    "regex": StructuredOutputsParams(regex=r"[A-Z][a-z]{2,8} is [1-9] years old\."),
    "choice": StructuredOutputsParams(choice=["yes", "no", "perhaps"]),
}
for name, constraint in constraints.items():
    params = SamplingParams(temperature=0.7, seed=3, max_tokens=64, structured_outputs=constraint)
    (output,) = llm.generate("Once upon a time there was a little", params)
    text = output.outputs[0].text
    print(f"{name:6} {text}")
    if name == "json":
        json.loads(text)
