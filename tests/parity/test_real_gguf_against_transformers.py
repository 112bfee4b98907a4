"""Two real models in GGUF against transformers' own reading of the same files: configuration, every weight, logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from pagoda.models.checkpoint.loading import load_config
from tiny_models import load, logits

pytestmark = pytest.mark.real_model
PROMPTS = [
    "The capital of France is Paris. The capital of Italy is",
    "床前明月光，疑是地上霜。举头望明月，",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
]


@torch.no_grad()
def test_smollm2_has_the_weights_and_logits_of_transformers(smollm2: Path) -> None:
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        smollm2.parent, gguf_file=smollm2.name, dtype=torch.float32
    )
    ours = load(smollm2)
    expected = theirs.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in ours.named_parameters())
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    for prompt in PROMPTS:
        token_ids = tokenizer(prompt).input_ids
        reference = theirs(torch.tensor([token_ids])).logits[0]
        difference = (logits(ours, token_ids) - reference).abs().max()
        assert difference < 1e-3 * reference.abs().max()


@pytest.mark.parametrize("name", ["smollm2", "qwen_coder"])
def test_the_configuration_is_that_of_transformers(name: str, request: pytest.FixtureRequest) -> None:
    file = request.getfixturevalue(name)
    theirs = transformers.AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    ours = load_config(file)
    assert ours.model_type == theirs.model_type
    assert ours.rope_theta == pytest.approx(theirs.rope_parameters["rope_theta"])
    for key in (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "max_position_embeddings",
        "bos_token_id",
    ):
        assert getattr(ours, key) == getattr(theirs, key), key
    assert ours.rms_norm_eps == pytest.approx(theirs.rms_norm_eps)
