"""Quantising a network: layer by layer as the whole network computes, resumable, measured, better with GPTQ."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import pagoda
from pagoda.errors import CheckpointError, ConfigError
from pagoda.models.checkpoint.loading import load_config, load_tokenizer
from pagoda.models.quantise.job import QuantisationJob, QuantisationOutcome, Texts
from pagoda.models.quantise.layerwise import InputMoments
from pagoda.models.quantise.plans import (
    HEAD,
    expected,
    matrices_of_config,
    mixed_plan,
    size_of,
    uniform_plan,
)
from pagoda.models.quantise.quality import Quality, compare
from pagoda.models.quantise.running import Bounds, QuantisationRequest, check_bits, searched
from pagoda.models.quantise.scheme import INT8, Scheme
from pagoda.models.quantise.sensitivity import measure_costs
from pagoda.models.quantise.streamed import StreamedNetwork, matrices_of, run_layer
from pagoda.models.quantise.texts import read_windows
from tiny_models import VOCAB_SIZE, Case, load, logits

CANDIDATES = QuantisationRequest("mixed", symmetric=False).candidates()
BUILTIN = Path(pagoda.__file__).parent / "builtin"
CASES = {
    "llama": Case(),
    "tied": Case(settings={"tie_word_embeddings": True}),
    "yarn": Case(settings={"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}}),
    "qwen2": Case("Qwen2"),
    "gemma2": Case("Gemma2", {"sliding_window": 9, "head_dim": 16}),
    "mixtral": Case("Mixtral", {"num_local_experts": 4}),
}


@pytest.fixture(params=CASES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    CASES[request.param].build().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    CASES["tied"].build().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def _windows(num: int, length: int = 24, seed: int = 1) -> torch.Tensor:
    return torch.randint(3, VOCAB_SIZE, (num, length), generator=torch.Generator().manual_seed(seed))


def _network(folder: Path) -> StreamedNetwork:
    return StreamedNetwork(folder, load_config(folder))


def _texts() -> Texts:
    return Texts(_windows(6), {"one": _windows(2, seed=2), "other": _windows(3, seed=3)})


@torch.no_grad()
def test_a_streamed_network_is_the_network(folder: Path) -> None:
    network, texts = _network(folder), _windows(3)
    with network.embedding() as embedding:
        hidden = network.embed(embedding, texts)
    for layer_idx in range(network.num_layers):
        with network.layer(layer_idx) as layer:
            run_layer(network, layer, hidden, layer_idx)
    with network.end() as (norm, matrix):
        streamed = network.scaled(norm(hidden) @ matrix.T)
    for row, tokens in enumerate(texts.tolist()):
        assert torch.allclose(streamed[row], logits(load(folder), tokens), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_moments_are_those_of_the_inputs_and_shared_where_these_are(folder: Path) -> None:
    network, texts, seen = _network(folder), _windows(2), {}
    with network.embedding() as embedding:
        hidden = network.embed(embedding, texts)
    with network.layer(0) as layer:
        modules, moments = matrices_of(layer), InputMoments()
        for name, module in modules.items():
            module.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0].clone()}))
        with moments.watching(modules):
            run_layer(network, layer, hidden, 0)
        groups = moments.groups(list(modules))
    assert ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"] in [names for names, _ in groups]
    assert sum(len(names) for names, _ in groups) == len(modules)
    for names, moment in groups:
        for name in names:
            if moment is not None:
                assert torch.allclose(moment, seen[name].T @ seen[name] / len(seen[name]), atol=1e-5)


def test_what_writes_to_the_stream_weighs_tokens_by_how_large_it_is() -> None:
    module, x = torch.nn.Linear(4, 3), torch.randn(5, 4)
    stream = torch.randn(5, 8) * torch.tensor([1.0, 100, 1, 1, 1])[:, None]
    moments = InputMoments(["o_proj"])
    with moments.watching({"o_proj": module}):
        for rows in (slice(0, 2), slice(2, 5)):
            module(x[rows])
            moments.behind(stream[rows])
    ((names, moment),) = moments.groups(["o_proj"])
    weights = 1 / stream.square().mean(1)
    assert names == ["o_proj"]
    assert moment is not None
    assert torch.allclose(moment, (x * weights[:, None]).T @ x / weights.sum(), atol=1e-6)


def test_an_interrupted_job_ends_as_one_that_was_not(llama: Path, tmp_path: Path) -> None:
    plan = uniform_plan(load_config(llama), Scheme(4, 32))

    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    whole = QuantisationJob(_network(llama), plan, "gptq", _texts(), tmp_path / "whole")
    broken = QuantisationJob(_network(llama), plan, "gptq", _texts(), tmp_path / "broken")
    expected_outcome = whole.run("model")
    with pytest.raises(KeyboardInterrupt):
        broken.run("model", interrupt)
    done = []
    resumed = QuantisationJob(_network(llama), plan, "gptq", _texts(), tmp_path / "broken")
    assert resumed.run("model", lambda stage, number, total: done.append(number)) == expected_outcome
    assert done == [2, 3]
    pairs = zip(whole.tensors(packed_head=False), resumed.tensors(packed_head=False), strict=True)
    for (name, one), (other_name, other) in pairs:
        assert name == other_name
        dense = [found if isinstance(found, torch.Tensor) else found.dense() for found in (one, other)]
        assert torch.equal(*dense), name


def test_work_of_another_plan_or_model_is_not_taken_over(llama: Path, tmp_path: Path) -> None:
    config, done = load_config(llama), []
    for plan, identity in (
        (uniform_plan(config, Scheme(4, 32)), "a"),
        (uniform_plan(config, Scheme(8, 32)), "a"),
        (uniform_plan(config, Scheme(8, 32)), "b"),
        (uniform_plan(config, Scheme(8, 32)), "b"),
    ):
        numbers: list[int] = []
        QuantisationJob(_network(llama), plan, "rtn", _texts(), tmp_path / "work").run(
            identity, lambda stage, number, total, numbers=numbers: numbers.append(number)
        )
        done.append(len(numbers))
    assert done == [4, 4, 4, 1]


def test_every_matrix_of_a_network_has_its_place_in_a_plan(folder: Path) -> None:
    network, config = _network(folder), load_config(folder)
    names = set()
    for layer_idx in range(network.num_layers):
        with network.layer(layer_idx) as layer:
            for name, module in matrices_of(layer).items():
                names.add(f"model.layers.{layer_idx}.{name}")
                assert (
                    matrices_of_config(config)[f"model.layers.{layer_idx}.{name}"] == tuple(module.weight.shape)[::-1]
                )
    assert names | {HEAD} == set(matrices_of_config(config))


def test_quality_is_what_the_definitions_say(folder: Path, tmp_path: Path) -> None:
    network, texts = _network(folder), Texts(_windows(2), {"text": _windows(2, seed=5)})
    job = QuantisationJob(network, uniform_plan(network.config, Scheme(4, 32)), "rtn", texts, tmp_path / "work")
    quality = job.run("model").quality["text"]
    source, quantised = load(folder), load(folder)
    parameters = dict(quantised.named_parameters())
    for name, found in job.tensors(packed_head=False):
        parameters[name].data.copy_(found if isinstance(found, torch.Tensor) else found.dense())
    losses = [0.0, 0.0]
    divergence, agreeing, count = 0.0, 0, 0
    for tokens in texts.measured["text"].tolist():
        ours, theirs = (logits(model, tokens)[:-1].log_softmax(-1) for model in (source, quantised))
        wanted = torch.tensor(tokens[1:])
        for place, found in enumerate((ours, theirs)):
            losses[place] += float(F.nll_loss(found, wanted, reduction="sum"))
        divergence += float(F.kl_div(theirs, ours, log_target=True, reduction="sum"))
        agreeing += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        count += len(wanted)
    assert quality.num_tokens == count
    assert quality.source_perplexity == pytest.approx(float(torch.tensor(losses[0] / count).exp()), rel=1e-4)
    assert quality.perplexity == pytest.approx(float(torch.tensor(losses[1] / count).exp()), rel=1e-4)
    assert quality.kl == pytest.approx(divergence / count, rel=1e-3)
    assert quality.top1_agreement == pytest.approx(agreeing / count)
    assert quality.kl > 1e-3


def test_a_network_compared_with_itself_has_lost_nothing() -> None:
    hidden, texts, head = torch.randn(2, 9, 8), _windows(2, 9), torch.randn(VOCAB_SIZE, 8)
    quality = compare(texts, hidden, hidden, lambda x: x @ head.T, lambda x: x @ head.T)
    assert (quality.kl, quality.top1_agreement, quality.perplexity_change) == (0.0, 1.0, 0.0)


def _of_builtin(num_calibration: int) -> tuple[StreamedNetwork, Texts]:
    """The shipped model, on its own licence for a text."""
    network, tokenizer = _network(BUILTIN), load_tokenizer(BUILTIN)
    text = BUILTIN.parent.parent / "LICENSE"
    windows = read_windows(text, tokenizer, num_calibration + 2, 96)
    return network, Texts(windows[:-2], {"licence": windows[-2:]})


def test_gptq_keeps_more_of_a_trained_model_than_rounding(tmp_path: Path) -> None:
    network, texts = _of_builtin(14)
    plan = uniform_plan(network.config, Scheme(4, 64))
    by_method = {
        method: QuantisationJob(network, plan, method, texts, tmp_path / method).run("builtin")
        for method in ("rtn", "gptq")
    }
    kl = {method: outcome.quality["licence"].kl for method, outcome in by_method.items()}
    assert kl["gptq"] < 0.9 * kl["rtn"] < 0.2
    assert sum(by_method["gptq"].errors.values()) < 0.5 * sum(by_method["rtn"].errors.values())


def test_a_mixed_plan_spends_its_budget_where_it_helps(llama: Path) -> None:
    network = _network(llama)
    config = network.config
    told: list[tuple[int, int]] = []
    costs = measure_costs(network, _windows(2), CANDIDATES, lambda done, total: told.append((done, total)))
    assert told == [(number, 6) for number in range(1, 7)]  # each layer forward and backward
    assert costs.keys() == matrices_of_config(config).keys()
    assert all(cost >= 0 for of_matrix in costs.values() for cost in of_matrix.values())
    plans = [mixed_plan(config, costs, target_bits=bits) for bits in (5.5, 6.5, 7.5)]
    sizes = [size_of(config, plan).bits_per_weight for plan in plans]
    losses = [expected(costs, plan) for plan in plans]
    assert all(size <= bits for size, bits in zip(sizes, (5.5, 6.5, 7.5), strict=True))
    assert sizes[0] > 5.2
    assert losses[0] > losses[1] > losses[2]
    uniform = uniform_plan(config, Scheme(6, 64), Scheme(6, 64))
    assert expected(costs, mixed_plan(config, costs, target_bits=size_of(config, uniform).bits_per_weight)) <= expected(
        costs, uniform
    )
    with pytest.raises(ConfigError, match="the smallest plan has"):
        mixed_plan(config, costs, target_bits=3)


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj", "model.layers.4.mlp.gate_proj", HEAD],
)
def test_what_a_matrix_is_expected_to_cost_is_what_rounding_it_alone_does(name: str, tmp_path: Path) -> None:
    network, texts = _of_builtin(4)
    windows = texts.calibration
    schemes = [Scheme(bits, 64).fitted(matrices_of_config(network.config)[name][0]) for bits in (4, 5)]
    costs = measure_costs(network, windows, schemes, lambda done, total: None, "rtn")[name]
    for scheme in schemes:
        job = QuantisationJob(network, {name: scheme}, "rtn", Texts(windows[:0], {"text": windows}), tmp_path / "work")
        kl = job.run(str(scheme)).quality["text"].kl
        assert 0.5 < costs[scheme] / kl < 2
    assert costs[schemes[0]] == pytest.approx((31 / 15) ** 2 * costs[schemes[1]])


def test_compensation_is_expected_to_cost_less_where_inputs_are_alike() -> None:
    network, texts = _of_builtin(4)
    by_method = [
        measure_costs(network, texts.calibration, [Scheme(4, 64)], lambda done, total: None, method)
        for method in ("rtn", "gptq")
    ]
    ratios = {
        name: next(iter(by_method[1][name].values())) / next(iter(of.values())) for name, of in by_method[0].items()
    }
    assert ratios.pop(HEAD) == pytest.approx(1)  # which is rounded in either, being the embedding
    assert max(ratios.values()) < 1
    assert min(ratios.values()) < 0.5


def _outcome(plan: dict[str, Scheme], kl: float) -> QuantisationOutcome:
    return QuantisationOutcome(plan, {"text": Quality(10, 5.0, 5.0, kl, 1.0)}, {}, [])


def test_a_search_learns_from_what_it_measures_and_refuses_what_is_worse(llama: Path) -> None:
    config = load_config(llama)
    costs = {name: {Scheme(b, 32): 2.0**-b for b in (4, 5, 6, 8)} for name in matrices_of_config(config)}
    seen = []

    def carry_out(plan: dict[str, Scheme]) -> QuantisationOutcome:
        seen.append(expected(costs, plan))
        return _outcome(plan, 3 * seen[-1])  # costs add up to three times what was expected

    outcome = searched(config, costs, Bounds(max_kl=1.0), carry_out)  # type: ignore[arg-type]
    assert outcome.worst_kl is not None
    assert 0.5 < outcome.worst_kl <= 1.0
    assert len(seen) == 2
    with pytest.raises(ConfigError, match=r"max_kl=0\.0001: nothing is written"):
        searched(config, costs, Bounds(max_kl=0.0001), carry_out)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="target_bits=4: nothing is written"):
        check_bits(size_of(config, uniform_plan(config, INT8)), Bounds(target_bits=4))


def test_a_checkpoint_that_is_not_whole_is_refused(llama: Path) -> None:
    config = load_config(llama)
    with pytest.raises(CheckpointError, match="lacks"):
        StreamedNetwork(llama, type(config).from_dict({**config.source, "num_hidden_layers": 4}))  # type: ignore[dict-item]


def test_texts_are_windows_spread_over_the_file(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(BUILTIN)
    plain, chat = tmp_path / "text.txt", tmp_path / "chat.jsonl"
    plain.write_text(" ".join(f"The number {number} comes before {number + 1}." for number in range(400)))
    windows = read_windows(plain, tokenizer, 4, 64)
    assert windows.shape == (4, 64)
    assert "302" in tokenizer.decode(windows[3].tolist())
    assert "The number 0 " in tokenizer.decode(windows[0].tolist())
    assert len(read_windows(plain, tokenizer, 100_000, 64)) < 400
    chat.write_text('{"messages": [{"role": "user", "content": "How are you?"}]}\n' * 30)
    text = tokenizer.decode(read_windows(chat, tokenizer, 1, 64)[0].tolist(), skip_special_tokens=False)
    assert text.startswith("<|endoftext|><|user|>How are you?<|end|>")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("short.txt", "Hello.", "fewer than the 64 tokens"),
        ("no.jsonl", '{"prompt": "Hello"}', "line 1: this is an object with 'prompt', but an object with `messages`"),
        ("no.jsonl", "[1]", r"line 1: this is \[1\], but an object"),
        ("none.txt", None, "cannot be read as text"),
    ],
)
def test_texts_that_cannot_be_used_are_refused(tmp_path: Path, name: str, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=told):
        read_windows(tmp_path / name, load_tokenizer(BUILTIN), 4, 64)
