"""MiniLM's layers against transformers' BERT, padding, both forms of attention, and layers in half precision."""

from __future__ import annotations

import pytest
import torch

from pagoda.minilm.encoder import Encoder, attention
from pagoda.minilm.package import packaged_folder, read_weights
from pagoda.minilm.shape import NUM_LAYERS

IDS = torch.tensor([[101, 2040, 2881, 1996, 3578, 102, 9101, 2106, 102], [101, 7929, 102, 2338, 102, 0, 0, 0, 0]])
TYPES = torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0, 0, 0]])
THERE = torch.tensor([[True] * 9, [True] * 5 + [False] * 4])
MASK = THERE[:, None, None, :]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(read_weights(packaged_folder("a test", "all")))


def through(encoder: Encoder, ids: torch.Tensor, types: torch.Tensor | None, mask: torch.Tensor | None) -> torch.Tensor:
    with torch.inference_mode():
        return encoder.run(encoder.embed(ids, types), mask, range(NUM_LAYERS))


def test_two_texts_padded_are_read_as_transformers_reads_them(encoder: Encoder) -> None:
    library = pytest.importorskip("transformers")
    model = library.AutoModel.from_pretrained(packaged_folder("a test", "all"), local_files_only=True)
    with torch.inference_mode():
        expected = model(IDS, attention_mask=THERE.long(), token_type_ids=TYPES).last_hidden_state
    torch.testing.assert_close(through(encoder, IDS, TYPES, MASK)[THERE], expected[THERE], atol=1e-4, rtol=0)


def test_without_types_all_is_one_text(encoder: Encoder) -> None:
    assert torch.equal(encoder.embed(IDS), encoder.embed(IDS, torch.zeros_like(IDS)))


def test_padding_changes_nothing(encoder: Encoder) -> None:
    alone = through(encoder, IDS[1:, :5], TYPES[1:, :5], None)
    torch.testing.assert_close(through(encoder, IDS, TYPES, MASK)[1:, :5], alone, atol=1e-5, rtol=0)


def test_layers_can_be_run_one_after_another(encoder: Encoder) -> None:
    with torch.inference_mode():
        hidden = encoder.embed(IDS, TYPES)
        for layer in range(NUM_LAYERS):
            hidden = encoder.run(hidden, MASK, [layer])
    assert torch.equal(hidden, through(encoder, IDS, TYPES, MASK))


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "padded"])
def test_attention_is_the_same_with_a_gradient_and_without(mask: torch.Tensor | None) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 12, 9, 32, generator=generator)
    plain = attention(query, key, value, mask, 0.0)
    learned = attention(query.requires_grad_(), key, value, mask, 0.0)
    assert learned.requires_grad
    torch.testing.assert_close(learned, plain, atol=1e-5, rtol=0)


def test_what_is_not_looked_at_is_made_up_for_by_the_rest() -> None:
    query = torch.zeros(1, 1, 1, 4, requires_grad=True)
    key, value = torch.zeros(1, 1, 10_000, 4), torch.ones(1, 1, 10_000, 4)
    torch.manual_seed(0)
    mixed = attention(query, key, value, None, 0.5)
    assert not torch.equal(mixed, torch.ones_like(mixed))
    torch.testing.assert_close(mixed, torch.ones_like(mixed), atol=0.05, rtol=0)


def test_layers_in_half_precision_say_nearly_the_same(encoder: Encoder) -> None:
    names = [name for layer in range(NUM_LAYERS) for name in encoder.layer_names(layer) if "LayerNorm" not in name]
    halved = Encoder({**encoder.weights, **{name: encoder.weights[name].bfloat16() for name in names}})
    assert len(names) == NUM_LAYERS * 12
    whole, half = (through(one, IDS, TYPES, MASK)[THERE] for one in (encoder, halved))
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(whole, half, dim=1).min() > 0.99
