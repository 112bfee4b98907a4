"""Holding a completion to a shape: JSON schema, regex, choice, grammar or structural tag.

On the token's path: the door compiles a request's constraint once (a bad one is a 400 before anything is
queued); before each draw the sampler gets the matcher's bitmask of tokens that keep the text completable, and
after each draw the core advances the matcher. Masks over a token trie instead of text: "Efficient Guided Generation for
Large Language Models", arXiv:2307.09702. The parsing itself is llguidance (Earley over regex derivatives); it sees
true token bytes, so half a Chinese character is a legal step towards a whole one. Imports no torch: a bitmask is sent
to wherever the logits are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from pagoda.engine.schemas.enforceable import Enforceable, enforceable, normal_form
from pagoda.engine.schemas.places import path
from pagoda.errors import StructuredOutputError
from pagoda.sampling_params import StructuredOutputsParams

_LIMITS = ("oo many", "limit", "fuel", "oo big", "oo large", "oo complex")
"""Words of llguidance's errors where a grammar outgrew what it allows itself; its stop_reason tells only some."""
_NO_DETAILS = "<non-verbose/>"  # what llguidance writes where its state would stand


class GrammarTokenizer(Protocol):
    """What is asked of a tokenizer here; `models.tokenizer.Tokenizer` has it."""

    @property
    def num_tokens(self) -> int: ...

    @property
    def bos_token_id(self) -> int | None: ...

    @property
    def eos_token_id(self) -> int | None: ...

    @property
    def all_special_ids(self) -> Sequence[int]: ...

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]: ...

    def token_bytes(self, token_id: int) -> bytes: ...

    def token_text(self, token_id: int) -> str: ...


class GrammarCompiler:
    """Compiles constraints against one vocabulary.

    tokenizer: the model's; eos_token_ids: what may follow a complete text, by default the tokenizer's own.
    The vocabulary is indexed on first use (about a second for 128k tokens), then kept.
    """

    def __init__(self, tokenizer: GrammarTokenizer, eos_token_ids: Sequence[int] | None = None) -> None:
        own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        self._eos_token_ids = list(own if eos_token_ids is None else eos_token_ids)
        self._tokenizer = tokenizer

    def compile(self, params: StructuredOutputsParams) -> GrammarMatcher:
        """A matcher at the start of the text.

        Raises StructuredOutputError when the constraint is malformed or can be met by no text at all, and where a JSON
        schema has a keyword that no grammar holds a text to: `engine.schemas` tells which, and what is left without.
        """
        from llguidance import LLMatcher, LLParserLimits

        name, grammar = _grammar(params, self._special_tokens)
        # Verbose errors append the parser's state and the whole grammar to the message.
        limits = LLParserLimits(verbose_errors=False)
        matcher = LLMatcher(self._vocabulary, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            if params.json is not None:
                _held(enforceable, params.json, "json")  # tells which keyword of the schema it was
            raise _refused(name, matcher.get_error())
        compiled = GrammarMatcher(matcher, self._vocabulary.vocab_size)
        _try_one_step(name, compiled.copy())
        return compiled

    @cached_property
    def _special_tokens(self) -> frozenset[str]:
        return frozenset(map(self._tokenizer.token_text, self._tokenizer.all_special_ids))

    @cached_property
    def _vocabulary(self) -> Any:
        """llguidance's trie over the tokens' bytes."""
        from llguidance import LLTokenizer, TokenizerWrapper

        if not self._eos_token_ids:
            raise StructuredOutputError(
                "structured outputs need an end-of-sequence token, but the tokenizer has none: "
                "drop structured_outputs or add eos_token to the checkpoint's tokenizer_config.json",
                param="structured_outputs",
            )
        wrapper = TokenizerWrapper(_Vocabulary(self._tokenizer, self._eos_token_ids[0]))
        return LLTokenizer(wrapper, eos_token=self._eos_token_ids)


class GrammarMatcher:
    """One completion's place in its grammar. Not shared: n completions take a `copy` each."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    def bitmask(self) -> np.ndarray:
        """The tokens that may come next: int32 [ceil(vocab_size / 32)], bit set = allowed.

        Once the text is complete and nothing can follow, only end-of-sequence tokens are left. Raises
        StructuredOutputError where the grammar cannot go on: such a matcher's bitmask would tell of an end, too.
        """
        num_words = (self._vocab_size + 31) // 32
        packed = self._matcher.compute_bitmask()[: num_words * 4]
        if self._matcher.is_error():
            raise StructuredOutputError(self._fault(), param="structured_outputs")
        return np.frombuffer(packed, dtype="<i4")

    def advance(self, token_id: int) -> None:
        """Take a sampled token. Raises StructuredOutputError as `bitmask` does, or where that did not allow it."""
        if self._matcher.is_stopped() and not self._matcher.is_error():
            return
        if not self._matcher.consume_token(token_id):
            raise StructuredOutputError(f"after token {token_id}: {self._fault()}", param="structured_outputs")

    def _fault(self) -> str:
        """Why nothing can follow, in words that need no knowledge of the grammar engine."""
        if any(limit in self._matcher.get_error() for limit in _LIMITS):
            return (
                "the grammar of structured_outputs grew too large on the way, or has a part without end: make it "
                "simpler, above all counted repetitions of what is itself repeated"
            )
        return "no text that the grammar of structured_outputs allows goes on from here"

    def copy(self) -> GrammarMatcher:
        """An independent matcher at the same place."""
        return GrammarMatcher(self._matcher.deep_copy(), self._vocab_size)


def unpack_bitmask(bitmask: np.ndarray, vocab_size: int) -> np.ndarray:
    """Which ids are allowed: int32 [ceil(n / 32)] -> bool [vocab_size]; ids beyond the mask are not.

    >>> unpack_bitmask(np.array([0b101], dtype=np.int32), 4).tolist()
    [True, False, True, False]
    """
    allowed = np.zeros(vocab_size, dtype=bool)
    bits = np.unpackbits(bitmask.astype("<i4", copy=False).view(np.uint8), bitorder="little")[:vocab_size]
    allowed[: len(bits)] = bits
    return allowed


def _try_one_step(name: str, matcher: GrammarMatcher) -> None:
    """Take some allowed token: llguidance then follows what is forced, so a rule that never ends is found here."""
    try:
        bitmask = matcher.bitmask()
    except StructuredOutputError as error:
        raise _refused(name, f"no text satisfies it ({error})") from error
    allowed = unpack_bitmask(bitmask, 32 * len(bitmask)).nonzero()[0]
    if not allowed.size:
        raise _refused(name, "no text satisfies it")
    try:
        matcher.advance(int(allowed[0]))
    except StructuredOutputError as error:
        raise _refused(name, f"the first allowed token leads nowhere: {error}") from error


class _Vocabulary:
    """A tokenizer in the shape that llguidance's TokenizerWrapper reads."""

    def __init__(self, tokenizer: GrammarTokenizer, eos_token_id: int) -> None:
        special = set(tokenizer.all_special_ids)
        self._tokenizer = tokenizer
        self.eos_token_id = eos_token_id
        self.bos_token_id = tokenizer.bos_token_id
        self.special_token_ids = sorted(special)
        # A special token has no bytes inside a text; its name lets a grammar ask for it, as in <|eot_id|>.
        self.tokens = [
            tokenizer.token_text(token_id).encode() if token_id in special else tokenizer.token_bytes(token_id)
            for token_id in range(tokenizer.num_tokens)
        ]

    def __call__(self, text: bytes | str) -> list[int]:
        plain = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
        return self._tokenizer.encode(plain, add_special_tokens=False)


def _grammar(params: StructuredOutputsParams, special_tokens: Collection[str]) -> tuple[str, str]:
    """The constraint's name, and the constraint in llguidance's language."""
    name, build = next((name, build) for name, build in _BUILDERS.items() if getattr(params, name) is not None)
    try:
        return name, build(getattr(params, name), params, special_tokens)
    except StructuredOutputError:
        raise
    except Exception as error:  # llguidance's converters raise bare Exception
        raise _refused(name, str(error)) from error


def _from_json_schema(schema: str | dict[str, Any], params: StructuredOutputsParams, *_: object) -> str:
    return _json_grammar(_held(normal_form, schema, "json"), params)


def _json_grammar(schema: dict[str, Any], params: StructuredOutputsParams) -> str:
    from llguidance import LLMatcher

    options: Any = {"whitespace_flexible": not params.disable_any_whitespace}
    if params.whitespace_pattern is not None:
        options["whitespace_pattern"] = params.whitespace_pattern
    return LLMatcher.grammar_from_json_schema(schema, overrides=options)


def _loaded(given: Any, name: str) -> Any:
    """A mapping, or JSON text read."""
    try:
        return json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError) as error:
        raise _refused(name, f"it is no JSON: {error}") from error


def _held(reader: Callable[[Any], Enforceable], schema: Any, place: str) -> dict[str, Any]:
    """A schema, where a grammar holds a text to all of it."""
    name = place.partition(".")[0]
    try:
        found = reader(_loaded(schema, name))
    except StructuredOutputError as error:
        raise error if error.param else _refused(name, str(error)) from error
    if not found.unenforced:
        return found.schema
    where, reason = found.unenforced[0]
    raise _refused(
        name,
        f"{path(where)} cannot be enforced: {reason}. Leave it out of the schema and check for it yourself",
        path(where, f"structured_outputs.{place}"),
    )


def _from_json_object(_: bool, params: StructuredOutputsParams, *__: object) -> str:
    return _json_grammar({"type": "object"}, params)


def _from_regex(regex: str, *_: object) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_regex(regex)


def _from_choice(choices: Sequence[str], *_: object) -> str:
    from llguidance import LLMatcher

    alternatives = " | ".join(lark_string(choice) for choice in choices)
    return LLMatcher.grammar_from_lark(f"start: {alternatives}")


def lark_string(text: str) -> str:
    """A text as Lark spells it: JSON's way, but that DEL may not stand there by itself."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


_TREE_MARKS = re.compile(r"(?m)^[ \t]*[?!]{1,2}(?=[a-z_]\w*[ \t]*:)")


def _from_grammar(grammar: str, *_: object) -> str:
    from llguidance import LLMatcher
    from llguidance.gbnf_to_lark import any_to_lark

    # Lark's "?" and "!" before a rule's name shape a parser's tree, and say nothing of the text.
    return LLMatcher.grammar_from_lark(any_to_lark(_TREE_MARKS.sub("", grammar)))


def _from_structural_tag(
    given: str | dict[str, Any], _: StructuredOutputsParams, special_tokens: Collection[str]
) -> str:
    from llguidance import StructTag

    tag = _loaded(given, "structural_tag")
    if not isinstance(tag, dict) or not tag.get("structures") or not tag.get("triggers"):
        raise _refused(
            "structural_tag",
            'expected {"structures": [{"begin": str, "schema": JSON schema, "end": str}, ...], "triggers": [str, ...]}',
        )
    tags = [_struct_tag(structure, tag["triggers"], index) for index, structure in enumerate(tag["structures"])]
    # A trigger in angle brackets is a text like any other, unless the vocabulary has a special token of its name.
    return StructTag.to_grammar(tags, assume_special=any(each.trigger in special_tokens for each in tags))


def _struct_tag(structure: dict[str, Any], triggers: Sequence[str], index: int) -> Any:
    from llguidance import StructTag

    missing = [key for key in ("begin", "schema", "end") if key not in structure]
    if missing:
        raise _refused("structural_tag", f"a structure lacks {', '.join(missing)}")
    begin = structure["begin"]
    trigger = next((trigger for trigger in triggers if begin.startswith(trigger)), None)
    if trigger is None:
        raise _refused("structural_tag", f"no trigger of {list(triggers)} opens {begin!r}")
    schema = _held(enforceable, structure["schema"], f"structural_tag.structures[{index}].schema")
    return StructTag(trigger=trigger, begin=begin, grammar=schema, end=structure["end"])


_BUILDERS: dict[str, Callable[[Any, StructuredOutputsParams, Collection[str]], str]] = {
    "json": _from_json_schema,
    "json_object": _from_json_object,
    "regex": _from_regex,
    "choice": _from_choice,
    "grammar": _from_grammar,
    "structural_tag": _from_structural_tag,
}


def _refused(name: str, reason: str, param: str | None = None) -> StructuredOutputError:
    field = f"structured_outputs.{name}"
    plain = reason.removesuffix(_NO_DETAILS).rstrip()
    return StructuredOutputError(f"{field} cannot be compiled: {plain}", param=param or field)
