"""Structured outputs over a byte vocabulary: what may come next, when it is over, what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch

from pagoda.engine.sampling.sampler import Sampler, SampleRow
from pagoda.engine.sampling.structured import GrammarCompiler, GrammarMatcher, unpack_bitmask
from pagoda.errors import StructuredOutputError
from pagoda.sampling_params import SamplingParams, StructuredOutputsParams

BOS, EOS, END_OF_TURN, CHINESE = 256, 257, 258, 259
NUM_TOKENS = 260


class ByteTokenizer:
    """A token per byte, three special tokens, and one Chinese character of three bytes."""

    num_tokens = NUM_TOKENS
    bos_token_id = BOS
    eos_token_id: int | None = EOS
    all_special_ids = (BOS, EOS, END_OF_TURN)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())

    def token_bytes(self, token_id: int) -> bytes:
        if token_id == CHINESE:
            return "中".encode()
        return bytes([token_id]) if token_id < 256 else b""

    def token_text(self, token_id: int) -> str:
        names = {BOS: "<s>", EOS: "</s>", END_OF_TURN: "<|end|>"}
        return names.get(token_id) or self.token_bytes(token_id).decode("utf-8", errors="replace")


@pytest.fixture(scope="module")
def structured_outputs() -> GrammarCompiler:
    return GrammarCompiler(ByteTokenizer(), eos_token_ids=[EOS, END_OF_TURN])


def allowed(matcher: GrammarMatcher) -> set[int]:
    return set(unpack_bitmask(matcher.bitmask(), NUM_TOKENS).nonzero()[0].tolist())


def after(matcher: GrammarMatcher, text: str) -> GrammarMatcher:
    for byte in text.encode():
        assert byte in allowed(matcher), f"{bytes([byte])!r} of {text!r} is not allowed"
        matcher.advance(byte)
    return matcher


def generate(matcher: GrammarMatcher, seed: int, max_tokens: int = 300) -> str:
    """A text drawn at random within the grammar, through the sampler."""
    token_ids: list[int] = []
    params = SamplingParams(max_tokens=None)
    while len(token_ids) < max_tokens:
        row = SampleRow(
            "a",
            params,
            seed,
            len(token_ids),
            token_ids,
            stop_token_ids=frozenset([EOS]),
            token_bitmask=matcher.bitmask(),
        )
        [sampled] = Sampler().sample(torch.zeros(1, NUM_TOKENS), [row])
        if sampled.token_id in (EOS, END_OF_TURN):
            break
        matcher.advance(sampled.token_id)
        token_ids.append(sampled.token_id)
    return b"".join(map(ByteTokenizer().token_bytes, token_ids)).decode()


def test_only_the_choices_can_be_written(structured_outputs: GrammarCompiler) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(choice=["yes", "no", "中文", 'a"b\n']))
    assert allowed(matcher) == {ord("y"), ord("n"), "中".encode()[0], CHINESE, ord("a")}
    assert allowed(after(matcher.copy(), 'a"b')) == {ord("\n")}


def test_only_end_of_sequence_follows_a_complete_text(structured_outputs: GrammarCompiler) -> None:
    matcher = after(structured_outputs.compile(StructuredOutputsParams(choice=["yes"])), "yes")
    assert allowed(matcher) == {EOS, END_OF_TURN}
    matcher.advance(EOS)
    assert allowed(matcher) == {EOS, END_OF_TURN}


def test_end_of_sequence_is_one_option_while_the_text_may_go_on(structured_outputs: GrammarCompiler) -> None:
    matcher = after(structured_outputs.compile(StructuredOutputsParams(choice=["yes", "yesterday"])), "yes")
    assert allowed(matcher) == {ord("t"), EOS, END_OF_TURN}


def test_half_a_character_is_a_step_towards_a_whole_one(structured_outputs: GrammarCompiler) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(choice=["中"]))
    first, second, _ = "中".encode()
    matcher.advance(first)
    assert allowed(matcher) == {second}


def test_special_tokens_are_no_text(structured_outputs: GrammarCompiler) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(regex="(.|\n)+"))
    assert not allowed(matcher) & {BOS, EOS, END_OF_TURN}
    assert BOS not in allowed(after(matcher, "x"))


@pytest.mark.parametrize("seed", range(5))
def test_random_text_within_a_regex_matches_it(structured_outputs: GrammarCompiler, seed: int) -> None:
    pattern = r"[a-c]{2,5}-[0-9]+"
    text = generate(structured_outputs.compile(StructuredOutputsParams(regex=pattern)), seed)
    assert re.fullmatch(pattern, text)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 4},
        "size": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "size"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("schema", [SCHEMA, json.dumps(SCHEMA)], ids=["mapping", "text"])
@pytest.mark.parametrize("seed", range(3))
def test_random_text_within_a_schema_is_an_instance_of_it(
    structured_outputs: GrammarCompiler, schema: Any, seed: int
) -> None:
    constraint = StructuredOutputsParams(json=schema, disable_any_whitespace=True)
    instance = json.loads(generate(structured_outputs.compile(constraint), seed))
    assert set(instance) == {"name", "size"}
    assert len(instance["name"]) <= 4
    assert 0 <= instance["size"] <= 99


def test_a_json_object_starts_with_a_brace(structured_outputs: GrammarCompiler) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(json_object=True))
    assert allowed(matcher) == {ord("{")}
    assert allowed(after(matcher, "{}")) == {EOS, END_OF_TURN}


def test_whitespace_in_json_follows_the_options(structured_outputs: GrammarCompiler) -> None:
    def after_brace(**options: Any) -> set[int]:
        return allowed(after(structured_outputs.compile(StructuredOutputsParams(json_object=True, **options)), "{"))

    assert {ord(" "), ord("\n")} <= after_brace()
    assert not {ord(" "), ord("\n")} & after_brace(disable_any_whitespace=True)
    with_pattern = after_brace(whitespace_pattern="[ ]{0,2}")
    assert ord(" ") in with_pattern
    assert ord("\n") not in with_pattern


@pytest.mark.parametrize("grammar", ['start: "a" | "b" start', 'root ::= "a" | "b" root'], ids=["lark", "gbnf"])
def test_both_ways_of_writing_a_grammar_are_understood(structured_outputs: GrammarCompiler, grammar: str) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(grammar=grammar))
    assert allowed(matcher) == {ord("a"), ord("b")}
    assert allowed(after(matcher, "bba")) == {EOS, END_OF_TURN}


def test_a_structural_tag_constrains_only_what_it_opens(structured_outputs: GrammarCompiler) -> None:
    tag = {
        "type": "structural_tag",
        "structures": [{"begin": "<size>", "schema": {"type": "integer"}, "end": "</size>"}],
        "triggers": ["<size"],
    }
    matcher = structured_outputs.compile(StructuredOutputsParams(structural_tag=tag))
    assert ord("!") in allowed(after(matcher, "any text "))
    assert allowed(after(matcher, "<size>4")) <= {
        *range(ord("0"), ord("9") + 1),
        ord("<"),
        ord("."),
        ord("e"),
        ord("E"),
    }
    assert ord("!") in allowed(after(matcher, "2</size>"))


@pytest.mark.parametrize("trigger", ["<size>", "<s>"])
def test_a_trigger_in_angle_brackets_is_a_text_unless_it_is_a_special_token(
    structured_outputs: GrammarCompiler, trigger: str
) -> None:
    tag = {"structures": [{"begin": trigger, "schema": {"type": "integer"}, "end": ";"}], "triggers": [trigger]}
    matcher = after(structured_outputs.compile(StructuredOutputsParams(structural_tag=tag)), "any ")
    if trigger == "<s>":
        matcher.advance(BOS)
    else:
        after(matcher, trigger)
    assert allowed(matcher) <= {*b"-0123456789 \t\r\n"}
    assert ord("!") in allowed(after(matcher, "4;"))


def test_marks_of_larks_trees_are_left_out(structured_outputs: GrammarCompiler) -> None:
    grammar = """
        ?start: statement
        ?statement: "SELECT " names " FROM " name
        !names: name ("," name)*
        ?name: /[a-z]+/ | "?!"
    """
    matcher = structured_outputs.compile(StructuredOutputsParams(grammar=grammar))
    assert ord("z") in allowed(after(matcher, "SELECT a,?! FROM "))


def test_copies_go_their_own_ways(structured_outputs: GrammarCompiler) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(choice=["ab", "cd"]))
    copy = matcher.copy()
    matcher.advance(ord("a"))
    copy.advance(ord("c"))
    assert (allowed(matcher), allowed(copy)) == ({ord("b")}, {ord("d")})


def test_a_token_that_does_not_fit_is_refused(structured_outputs: GrammarCompiler) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(choice=["ab"]))
    with pytest.raises(StructuredOutputError, match="token 122"):
        matcher.advance(ord("z"))


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        ({"regex": "[0-9"}, "unclosed character class"),
        ({"json": '{"type":'}, "line 1"),
        ({"json": {"type": "string", "minLength": 5, "maxLength": 2}}, "no text satisfies the schema"),
        ({"json": {"enum": []}}, "no text satisfies the schema"),
        ({"grammar": "start: missing"}, "missing"),
        ({"grammar": "root ::= missing"}, "missing"),
        ({"grammar": 'root ::= "'}, "line 1"),
        ({"grammar": 'start: "a" start'}, "without end"),
        ({"json_object": True, "whitespace_pattern": "["}, "unclosed character class"),
        ({"structural_tag": "{"}, "line 1"),
        ({"structural_tag": {"format": {}}}, "expected"),
        ({"structural_tag": {"structures": [{"begin": "<a>"}], "triggers": ["<"]}}, "lacks schema, end"),
        ({"structural_tag": {"structures": [{"begin": "a", "schema": {}, "end": ""}], "triggers": ["<"]}}, "trigger"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_is_refused_with_the_reason(
    structured_outputs: GrammarCompiler, constraint: dict[str, Any], reason: str
) -> None:
    with pytest.raises(StructuredOutputError, match=reason) as caught:
        structured_outputs.compile(StructuredOutputsParams(**constraint))
    [name] = constraint.keys() - {"whitespace_pattern"}
    assert caught.value.param == f"structured_outputs.{name}"
    assert str(caught.value).startswith(f"structured_outputs.{name} cannot be compiled: ")


def test_a_keyword_that_no_grammar_holds_is_refused_by_its_place(structured_outputs: GrammarCompiler) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    tag = {"structures": [{"begin": "<a>", "schema": schema, "end": "</a>"}], "triggers": ["<a"]}
    for constraint, root in (
        ({"json": schema}, "json"),
        ({"json": json.dumps(schema)}, "json"),
        ({"structural_tag": tag}, "structural_tag.structures[0].schema"),
        ({"json": {"properties": {"a": {"uniqueItems": True, "pattern": "(?!a)"}}}}, "json"),
    ):
        with pytest.raises(StructuredOutputError, match=r"properties\.a\.uniqueItems cannot be enforced") as caught:
            structured_outputs.compile(StructuredOutputsParams(**constraint))
        assert caught.value.param == f"structured_outputs.{root}.properties.a.uniqueItems"
    with pytest.raises(StructuredOutputError, match=r"properties\.a\.pattern cannot be enforced"):
        structured_outputs.compile(StructuredOutputsParams(json={"properties": {"a": {"pattern": "(?!a)"}}}))


ENDLESS: list[dict[str, Any]] = [
    {"json": {"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n"}}}},
    {"regex": r"[^\s\S]"},
    {"grammar": "start: a\na: b\nb: a"},
    {"grammar": 'root ::= "x" root'},
    {"choice": ["\ud83d"]},
]


@pytest.mark.parametrize("constraint", ENDLESS, ids=str)
def test_what_no_text_satisfies_is_refused_and_not_taken_for_an_end(
    structured_outputs: GrammarCompiler, constraint: dict[str, Any]
) -> None:
    with pytest.raises(StructuredOutputError, match="cannot be compiled"):
        structured_outputs.compile(StructuredOutputsParams(**constraint))


@pytest.mark.parametrize("pattern", ["([a-z]{1,100}){1,1000}", "([a-y]{1,90}z?){1,2000}"])
def test_a_grammar_that_outgrows_its_limits_on_the_way_says_so_and_does_not_end(
    structured_outputs: GrammarCompiler, pattern: str
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": f"^{pattern}$"}}, "required": ["a"]}
    matcher = structured_outputs.compile(StructuredOutputsParams(json=schema))
    with pytest.raises(StructuredOutputError, match="grew too large on the way"):
        after(matcher, '{"a":"' + "abcdefgh" * 200)
    for _ in range(2):  # and it stays so
        with pytest.raises(StructuredOutputError, match="grew too large on the way"):
            matcher.copy().bitmask()


@pytest.mark.parametrize("choice", ["\x7f", "\x00\x1b", "\u2028\x85", 'a"\\b', "{% raw %}//#", "é中🦊"])
def test_any_text_can_be_a_choice(structured_outputs: GrammarCompiler, choice: str) -> None:
    matcher = structured_outputs.compile(StructuredOutputsParams(choice=[choice]))
    assert allowed(after(matcher, choice)) == {EOS, END_OF_TURN}


def test_a_tokenizer_without_end_of_sequence_cannot_hold_to_a_shape() -> None:
    class EndlessTokenizer(ByteTokenizer):
        eos_token_id = None

    with pytest.raises(StructuredOutputError, match="end-of-sequence"):
        GrammarCompiler(EndlessTokenizer()).compile(StructuredOutputsParams(regex="a"))


def test_the_bitmask_has_a_bit_for_every_token(structured_outputs: GrammarCompiler) -> None:
    bitmask = structured_outputs.compile(StructuredOutputsParams(regex="a")).bitmask()
    assert bitmask.dtype == np.int32
    assert bitmask.shape == ((NUM_TOKENS + 31) // 32,)
    assert unpack_bitmask(bitmask, 400).nonzero()[0].tolist() == [ord("a")]
