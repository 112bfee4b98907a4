"""A vLLM program with one import changed: `from vllm import LLM, SamplingParams` became the line below.

    python examples/offline_inference.py [MODEL]

Without MODEL it uses the model that ships with pagoda.
"""

from __future__ import annotations

import sys

from pagoda import LLM, SamplingParams

prompts = ["Once upon a time", "The old house stood", "明月"]
sampling_params = SamplingParams(temperature=0.8, top_p=0.95, max_tokens=48, seed=1)

llm = LLM(model=sys.argv[1] if len(sys.argv) > 1 else None)
for output in llm.generate(prompts, sampling_params):
    print(f"{output.prompt!r} -> {output.outputs[0].text!r}")
