"""Two real models in GGUF: weights and logits against transformers' own reading of the file, and a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from pagoda.kernels.select import native_is_built, select_kernels
from pagoda.models.checkpoint.loading import load_config, load_tokenizer
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


@pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
@pytest.mark.parametrize("model", ["smollm2", "qwen_coder"])
@torch.no_grad()
def test_codes_multiplied_as_they_lie_give_the_logits_of_widened_ones(
    model: str, request: pytest.FixtureRequest
) -> None:
    file = request.getfixturevalue(model)
    in_codes, widened = load(file, select_kernels("native")), load(file)
    for prompt in PROMPTS:
        token_ids = load_tokenizer(file).encode(prompt)
        reference = logits(widened, token_ids)
        difference = logits(in_codes, token_ids) - reference
        assert difference.norm() < 1e-3 * reference.norm()
        assert torch.equal((reference + difference).argmax(-1), reference.argmax(-1))


def test_qwen_has_the_configuration_that_its_makers_published(qwen_coder: Path) -> None:
    config = load_config(qwen_coder)
    assert config.architecture == "Qwen2ForCausalLM"
    assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers) == (896, 4864, 24)
    assert (config.num_attention_heads, config.num_key_value_heads, config.vocab_size) == (14, 2, 151936)
    assert (config.rope_theta, config.rms_norm_eps, config.max_position_embeddings) == (1000000.0, 1e-6, 32768)
    assert (config.bos_token_id, config.eos_token_ids[0]) == (151643, 151645)
