"""Fixtures that several rooms share: tiny random checkpoints, engines over them, and what this machine lacks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, settings

from pagoda.engine.engine import LLMEngine
from pagoda.errors import CheckpointError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.llm import LLM
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM
from pagoda.models.shelf.folder import Shelf
from pagoda.models.shelf.pulling import pull
from pagoda.models.shelf.settings import shelf_settings
from pagoda.train.config import TokenizerConfig
from pagoda.train.data import save_tokenizer, train_tokenizer

# Of the person who runs the tests, before they get a shelf of their own.
SHELF = shelf_settings()
TEST_SHELF = replace(SHELF, folder=SHELF.folder.parent / "test-models", timeout_s=10.0, max_retries=2)
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
VOCAB_SIZE = 320
TEXTS = [
    "Once upon a time there was a little fox. The fox looked at the moon, and the moon looked back at the fox.",
    "The old man said that the river was deep, but the children did not believe him, and they went to the river.",
    "She put 17 apples into the basket; there were 205 more on the tree, and the tree was old.",
    "从前有一只小狐狸，它看着月亮。月亮也看着它。",
] * 3

BASE: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 320,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0 + 0.1 * i for i in range(8)],
    "long_factor": [2.0 + 0.7 * i for i in range(8)],
    "original_max_position_embeddings": 32,
}
SHAPES: dict[str, dict[str, Any]] = {
    "gqa": {},
    "mha, head_dim 8": {"num_key_value_heads": 4, "head_dim": 8},
    "mqa, head_dim 24": {"num_key_value_heads": 1, "head_dim": 24},
    # Sizes that fill no vector register, everywhere at once.
    "odd sizes": {"hidden_size": 54, "intermediate_size": 75, "vocab_size": 331, "head_dim": 10},
    "sliding window": {"architectures": ["MistralForCausalLM"], "sliding_window": 20},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True},
    "qwen3, half the layers slide": {
        "architectures": ["Qwen3ForCausalLM"],
        "use_sliding_window": True,
        "sliding_window": 20,
        "max_window_layers": 1,
    },
    "experts, one shared": {
        "architectures": ["Qwen2MoeForCausalLM"],
        "num_experts": 7,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 25,
        "shared_expert_intermediate_size": 40,
        "mlp_only_layers": [0],
    },
    "dynamic ntk": {"max_position_embeddings": 32, "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}},
    "longrope": {"rope_scaling": LONGROPE},
}
SettableLLM = Callable[..., LLM]
# An example that takes long on a busy machine proves nothing.
settings.register_profile("pagoda", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pagoda")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, and torch sees none")
    if item.get_closest_marker("shared_data") and not SHARED_DATA.is_dir():
        pytest.skip(f"needs the data folder {SHARED_DATA}, which is not there")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The suite runs in parallel processes, and tiny tensors gain nothing from threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _empty_shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What was pulled on this machine changes no test: where none is named, it is the built-in model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAGODA_HOME", str(tmp_path_factory.mktemp("pagoda-home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell starts what stands before `&` with SIGINT ignored; all processes that tests start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data folder beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the data folder {SHARED_DATA}, which is not there")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _own_shelf(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a person has pulled changes no test."""
    os.environ["PAGODA_HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session", autouse=True)
def _hub_is_met() -> Iterator[None]:
    """Tests put functions of their own in the place of the hub's, and a machine without a network is none of them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pagoda.models.checkpoint.hub.unreachable", lambda: None)
        yield


def _real_model(name: str, file: str) -> Path | None:
    """A real model's file: from the folder that PAGODA_TEST_MODELS names, or where it was pulled to."""
    folder = os.environ.get("PAGODA_TEST_MODELS")
    if folder is not None and (Path(folder) / file).is_file():
        return Path(folder) / file
    for shelf in (Shelf(SHELF.folder), Shelf(TEST_SHELF.folder)):
        if model := shelf.get(name):
            return shelf.path(model)
    return None


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct as GGUF: Q4_1, a Llama, English. Fetched once, into a folder that outlives the tests."""
    name = "smollm2-135m-instruct"
    # Workers of one run share this folder: one of them asks, and where it gets nothing the others need not ask again.
    run = tmp_path_factory.getbasetemp().parent / f"pull-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    with FileLock(f"{run}.lock"):
        if there := _real_model(name, "smollm2-135m-instruct-q4_1.gguf"):
            return there
        if run.exists():
            pytest.skip(run.read_text())
        try:
            return Shelf(TEST_SHELF.folder).path(pull(name, TEST_SHELF)[0])
        except (CheckpointError, OSError) as error:
            run.write_text(str(error))
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def qwen_coder() -> Path:
    """Qwen2.5-Coder-0.5B-Instruct as GGUF: Q4_K_M, which mixes Q4_K, Q5_0, Q6_K and Q8_0; English, Chinese, tools.

    Half a gigabyte: used where it is there, never fetched.
    """
    name, file = "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    there = _real_model(name, file)
    if there is None:
        pytest.skip(
            f"needs the real model {file}, in the folder that PAGODA_TEST_MODELS names or by: pagoda pull {name}"
        )
    return there


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`checkpoint(shape)`: the directory of a tiny random model with a tokenizer; written once, so do not change it."""
    tokenizer = train_tokenizer(iter(TEXTS), TokenizerConfig(vocab_size=VOCAB_SIZE))
    written: dict[str, Path] = {}

    def get(shape: str = "gqa") -> Path:
        if shape not in written:
            directory = tmp_path_factory.mktemp("checkpoint")
            config = ModelConfig.from_dict({**BASE, **SHAPES[shape]})
            save_checkpoint(_random_model(config), config, directory)
            save_tokenizer(tokenizer, directory, config.max_position_embeddings)
            written[shape] = directory
        return written[shape]

    return get


@pytest.fixture(scope="session")
def cli_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """`cli_checkpoint(context)`: a random model with a chat template: its words mean nothing, its seeds repeat."""
    words = "the little fox looked at the moon and the moon looked back. 春风又绿江南岸。"
    tokenizer = train_tokenizer(iter([words] * 20), TokenizerConfig(vocab_size=VOCAB_SIZE))

    def write(context: int) -> str:
        directory = tmp_path_factory.mktemp("cli") / "tiny"
        config = ModelConfig(
            vocab_size=VOCAB_SIZE, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=16, max_position_embeddings=context, tie_word_embeddings=True,
            bos_token_id=0, eos_token_ids=(0,),
        )  # fmt: skip
        model = LlamaForCausalLM(config, ReferenceKernels())
        model.initialize(0)
        save_checkpoint(model, config, directory)
        save_tokenizer(tokenizer, directory, context)
        return str(directory)

    return write


@pytest.fixture
def changed_checkpoint(checkpoint: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """`changed_checkpoint(key=value)`: a copy of the plain checkpoint, with entries of config.json changed.

    The copy is the caller's to damage further.
    """

    def get(**changes: Any) -> Path:
        directory = tmp_path / "checkpoint"
        directory.mkdir()
        for file in checkpoint().iterdir():
            (directory / file.name).write_bytes(file.read_bytes())
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps({**config, **changes}))
        return directory

    return get


@pytest.fixture(scope="session")
def make_llm(checkpoint: Callable[..., Path]) -> SettableLLM:
    """`make_llm(shape, **engine_args)`: a new LLM over a tiny checkpoint, with room for some thousand tokens."""

    def make(shape: str = "gqa", **engine_args: Any) -> LLM:
        settings = {"num_gpu_blocks_override": 256, "device": "cpu", "disable_log_stats": True, **engine_args}
        return LLM(checkpoint(shape), **settings)

    return make


@pytest.fixture(scope="module")
def llm(make_llm: SettableLLM) -> LLM:
    """An LLM that the tests of one module share. Each leaves it without unfinished requests."""
    return make_llm(max_logprobs=-1)


@pytest.fixture(scope="session")
def assert_idle() -> Callable[[LLM | LLMEngine], None]:
    """`assert_idle(llm)`: nothing is queued or running, no block is held, and the books of the cache balance."""

    def check(target: LLM | LLMEngine) -> None:
        engine = target.llm_engine if isinstance(target, LLM) else target
        scheduler = engine.core.scheduler
        assert not engine.has_unfinished_requests()
        assert (scheduler.num_running, scheduler.num_waiting, scheduler.kv_cache_usage) == (0, 0, 0.0)
        assert not engine._requests
        assert not engine._owner
        assert not engine.core._requests
        scheduler.kv_cache_manager.check_invariants()

    return check


@torch.no_grad()
def _random_model(config: ModelConfig) -> LlamaForCausalLM:
    """Weights large enough for logits of the order of one; norms and biases random as well."""
    model = LlamaForCausalLM(config, ReferenceKernels())
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(1 + 0.2 * noise if "norm" in name else 0.2 * noise)
    return model.requires_grad_(False)
