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
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from pagoda.errors import StructuredOutputError
from pagoda.sampling_params import StructuredOutputsParams

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

        Raises StructuredOutputError, with llguidance's own message, when the constraint is malformed, uses what
        is not supported, or can be met by no text at all.
        """
        from llguidance import LLMatcher, LLParserLimits

        name, grammar = _grammar(params)
        # Verbose errors append the parser's state and the whole grammar to the message.
        limits = LLParserLimits(verbose_errors=False)
        matcher = LLMatcher(self._vocabulary, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise _refused(name, matcher.get_error())
        compiled = GrammarMatcher(matcher, self._vocabulary.vocab_size)
        _try_one_step(name, compiled.copy())
        return compiled

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

        Once the text is complete and nothing can follow, only end-of-sequence tokens are left.
        """
        num_words = (self._vocab_size + 31) // 32
        packed = self._matcher.compute_bitmask()[: num_words * 4]
        return np.frombuffer(packed, dtype="<i4")

    def advance(self, token_id: int) -> None:
        """Take a sampled token. Raises StructuredOutputError when the bitmask did not allow it."""
        if self._matcher.is_stopped() and not self._matcher.is_error():
            return
        if not self._matcher.consume_token(token_id):
            raise StructuredOutputError(
                f"token {token_id} does not fit the structured output: {self._matcher.get_error()}",
                param="structured_outputs",
            )

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
    bitmask = matcher.bitmask()
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


def _grammar(params: StructuredOutputsParams) -> tuple[str, str]:
    """The constraint's name, and the constraint in llguidance's language."""
    name, build = next((name, build) for name, build in _BUILDERS.items() if getattr(params, name) is not None)
    try:
        return name, build(getattr(params, name), params)
    except StructuredOutputError:
        raise
    except Exception as error:  # llguidance's converters raise bare Exception
        raise _refused(name, str(error)) from error


def _from_json_schema(schema: str | dict[str, Any], params: StructuredOutputsParams) -> str:
    from llguidance import LLMatcher

    options: Any = {"whitespace_flexible": not params.disable_any_whitespace}
    if params.whitespace_pattern is not None:
        options["whitespace_pattern"] = params.whitespace_pattern
    return LLMatcher.grammar_from_json_schema(schema, overrides=options)


def _from_json_object(_: bool, params: StructuredOutputsParams) -> str:
    return _from_json_schema({"type": "object"}, params)


def _from_regex(regex: str, _: StructuredOutputsParams) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_regex(regex)


def _from_choice(choices: Sequence[str], _: StructuredOutputsParams) -> str:
    from llguidance import LLMatcher

    alternatives = " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
    return LLMatcher.grammar_from_lark(f"start: {alternatives}")


def _from_grammar(grammar: str, _: StructuredOutputsParams) -> str:
    from llguidance import LLMatcher
    from llguidance.gbnf_to_lark import any_to_lark

    return LLMatcher.grammar_from_lark(any_to_lark(grammar))


def _from_structural_tag(given: str | dict[str, Any], _: StructuredOutputsParams) -> str:
    from llguidance import StructTag

    tag = json.loads(given) if isinstance(given, str) else given
    if not isinstance(tag, dict) or not tag.get("structures") or not tag.get("triggers"):
        raise _refused(
            "structural_tag",
            'expected {"structures": [{"begin": str, "schema": JSON schema, "end": str}, ...], "triggers": [str, ...]}',
        )
    return StructTag.to_grammar([_struct_tag(structure, tag["triggers"]) for structure in tag["structures"]])


def _struct_tag(structure: dict[str, Any], triggers: Sequence[str]) -> Any:
    from llguidance import StructTag

    missing = [key for key in ("begin", "schema", "end") if key not in structure]
    if missing:
        raise _refused("structural_tag", f"a structure lacks {', '.join(missing)}")
    begin = structure["begin"]
    trigger = next((trigger for trigger in triggers if begin.startswith(trigger)), None)
    if trigger is None:
        raise _refused("structural_tag", f"no trigger of {list(triggers)} opens {begin!r}")
    return StructTag(trigger=trigger, begin=begin, grammar=structure["schema"], end=structure["end"])


_BUILDERS: dict[str, Callable[[Any, StructuredOutputsParams], str]] = {
    "json": _from_json_schema,
    "json_object": _from_json_object,
    "regex": _from_regex,
    "choice": _from_choice,
    "grammar": _from_grammar,
    "structural_tag": _from_structural_tag,
}


def _refused(name: str, reason: str) -> StructuredOutputError:
    field = f"structured_outputs.{name}"
    return StructuredOutputError(
        f"{field} cannot be compiled: {reason.removesuffix(_NO_DETAILS).rstrip()}", param=field
    )
