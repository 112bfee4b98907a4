"""The tokenizers of real GGUF files: ids, text and prompts as transformers makes them of the same file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from pagoda.models.tokenizer.tokenizer import Tokenizer

pytestmark = pytest.mark.real_model
SETS = ("squad11", "cmrc2018", "snips", "waimai_zh", "multiwoz_db_hotel", "sgd_schema", "drcd_zh", "banking77")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "天气 of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
SYSTEM = {"role": "system", "content": "Be brief. 请简短。"}
USERS = ("hi", "法国的首都是哪里？", "", "  two  spaces \n", "<b>&amp;</b> {{ x }} 'quoted' \"twice\"")
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "巴黎"}}}],
}
ANSWER = {"role": "tool", "name": "get_weather", "content": '{"degrees": 21, "sky": "晴"}'}


def chats() -> Iterator[list[dict[str, Any]]]:
    """Thirty lists of messages that both templates know what to do with."""
    for first, text in itertools.product(([], [SYSTEM]), USERS):
        user = {"role": "user", "content": text}
        yield [*first, user]
        yield [*first, user, {"role": "assistant", "content": "好 😀"}, {"role": "user", "content": "again"}]
        yield [*first, user, {"role": "assistant", "content": ""}, user]


def with_calls(lists: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Each as it is, with a call answered twice, and with the answer that comes of it."""
    for messages in lists:
        asked = [*messages, CALL, ANSWER, ANSWER]
        yield from (messages, asked, [*asked, {"role": "assistant", "content": "21°"}])


def lines(folder: Path) -> list[str]:
    """Texts, and the JSON around them, of sets in English and Chinese."""
    found = []
    for name in SETS:
        with (folder / "dev" / f"{name}.jsonl").open(encoding="utf-8") as file:
            found += [json.dumps(json.loads(line), ensure_ascii=False)[:400] for line in itertools.islice(file, 150)]
    return found


@pytest.fixture(params=["smollm2", "qwen_coder"])
def pair(request: pytest.FixtureRequest) -> tuple[Tokenizer, Any]:
    """Ours, and that of transformers."""
    file = request.getfixturevalue(request.param)
    theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    if request.param == "smollm2":
        # transformers 5 does not know this split, which stands in the tokenizer.json of the model.
        theirs.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    return Tokenizer.from_file(file), theirs


@pytest.mark.shared_data
def test_ids_text_and_prompts_equal_those_of_transformers(pair: tuple[Tokenizer, Any], shared_data: Path) -> None:
    ours, theirs = pair
    added = [token.content for token in ours.backend_tokenizer.get_added_tokens_decoder().values()]
    around = [form.format(token) for token in added for form in ("{}", "x{}y", " x {} y", "你{}\n好")]
    texts = lines(shared_data) + around
    for text, ids, expected in zip(texts, ours.encode_each(texts), theirs(texts)["input_ids"], strict=True):
        assert ids == expected, text
        for skip in (True, False):
            assert ours.decode(ids, skip) == theirs.decode(ids, skip_special_tokens=skip), text
    has_tools = ours.token_to_id("<tool_call>") is not None
    for messages in with_calls(chats()) if has_tools else chats():
        tools = TOOLS if has_tools else None
        expected = theirs.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)
        assert ours.apply_chat_template(messages, tools=tools) == expected
