"""`speculative_config`: vLLM's keys, and every mistake in them by name."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from typing import Any

import pytest

from pagoda.engine.args import EngineArgs
from pagoda.engine.speculative_config import SpeculativeConfig
from pagoda.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "method", "lookup"),
    [
        ({"method": "ngram"}, "ngram", (2, 4)),
        ({}, "ngram", (2, 4)),
        ({"model": "ngram"}, "ngram", (2, 4)),
        ({"method": "ngram", "prompt_lookup_max": 3}, "ngram", (3, 3)),
        ({"method": "ngram", "prompt_lookup_min": 3}, "ngram", (3, 3)),
        ({"method": "ngram", "prompt_lookup_min": 1, "prompt_lookup_max": 6}, "ngram", (1, 6)),
        ({"model": "small"}, "draft_model", None),
        ({"method": "draft_model", "model": "small"}, "draft_model", None),
    ],
)
def test_what_vllm_says_is_understood(given: dict[str, Any], method: str, lookup: tuple[int, int] | None) -> None:
    config = SpeculativeConfig.of({"num_speculative_tokens": 5, **given})
    assert config.method == method
    assert lookup is None or config.lookup == lookup


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ngram", "a mapping is expected"),
        ({"method": "ngram"}, "needs num_speculative_tokens"),
        ({"num_speculative_token": 3}, "no key 'num_speculative_token': did you mean"),
        ({"num_speculative_tokens": 0}, "num_speculative_tokens is 0"),
        ({"num_speculative_tokens": 1000}, r"in \[1, 64\]"),
        ({"num_speculative_tokens": True}, "num_speculative_tokens is True"),
        ({"num_speculative_tokens": 3, "method": "eagle"}, "method is 'eagle'"),
        ({"num_speculative_tokens": 3, "method": "draft_model"}, "needs one"),
        ({"num_speculative_tokens": 3, "model": 7}, "model is 7"),
        ({"num_speculative_tokens": 3, "model": "m", "prompt_lookup_max": 3}, "only method ngram reads"),
        ({"num_speculative_tokens": 3, "method": "ngram", "model": "m"}, "does not run"),
        ({"num_speculative_tokens": 3, "prompt_lookup_min": 0}, "prompt_lookup_min is 0"),
        ({"num_speculative_tokens": 3, "prompt_lookup_min": 4, "prompt_lookup_max": 3}, "above"),
    ],
)
def test_what_cannot_work_is_refused_by_name(given: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EngineArgs(speculative_config=given)


def test_settings_with_it_survive_copies_and_processes() -> None:
    args = EngineArgs(speculative_config={"num_speculative_tokens": 5, "prompt_lookup_max": 3})
    assert pickle.loads(pickle.dumps(args)) == args == EngineArgs(**asdict(args))
    assert EngineArgs(speculative_config=None) == EngineArgs()
