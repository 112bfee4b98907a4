"""What a caller may ask of generation: the fields of one request, checked once, then frozen.

First stop on the token's path: a server or `LLM.generate` builds a `SamplingParams`, and everything behind
that door (scheduler, sampler, detokenizer) trusts it. Names, defaults and ranges are those of vLLM's
SamplingParams, so a client can move over unchanged. Nucleus sampling is arXiv:1904.09751, min-p is
arXiv:2407.01082, the repetition penalty is CTRL's, arXiv:1909.05858.

Foundation room: no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from pagoda.errors import InvalidParameterError
from pagoda.parameter_rules import (
    FLAG,
    MAX_TOKEN_IDS,
    STRING,
    STRINGS,
    TOKEN_IDS,
    Rule,
    check_fields,
    checked_assignment,
    instance_of,
    is_number,
    is_token_id,
    list_of,
    number,
    of_few_characters,
    optional,
    positive,
    refuse_unknown_names,
    whole_number,
    wrong,
)
from pagoda.vllm_names import BEAM_PARAMETERS, POOLING_PARAMETERS, SAMPLING_PARAMETERS, STRUCTURED_PARAMETERS

logger = logging.getLogger(__name__)

GREEDY_TEMPERATURE = 1e-5  # below it nothing is drawn
MIN_TEMPERATURE = 1e-2  # logits divided by less would overflow
MAX_NUM_SEQUENCES = 16384
MAX_LOGIT_BIAS = 100.0
MAX_STOP_CHARACTERS = 1 << 16  # each is a state of an automaton, some 300 bytes


class RequestOutputKind(Enum):
    """What each `RequestOutput` of a stream carries."""

    CUMULATIVE = 0
    """Everything generated so far, in every output."""
    DELTA = 1
    """Only what is new since the previous output."""
    FINAL_ONLY = 2
    """One output, when the request has finished."""


@checked_assignment
@refuse_unknown_names(STRUCTURED_PARAMETERS)
@dataclass(frozen=True, kw_only=True)
class StructuredOutputsParams:
    """The shape a completion must have: exactly one constraint, plus how JSON may be spaced.

    Raises InvalidParameterError when none or several constraints are given. Whether the schema, regex or
    grammar itself is sound is decided by `engine.structured`, which compiles it.
    """

    json: str | dict[str, Any] | None = None
    """A JSON schema, as a mapping or as its JSON text."""
    regex: str | None = None
    """The whole completion must match it."""
    choice: Sequence[str] | None = None
    """The completion must be one of these strings."""
    grammar: str | None = None
    """A context-free grammar: Lark (llguidance's dialect), or GBNF / EBNF with `root ::= ...`."""
    json_object: bool | None = None
    """Any JSON object. `False` means the same as not given."""
    structural_tag: str | dict[str, Any] | None = None
    """Free text in which certain tags open a JSON schema; a mapping or its JSON text."""
    disable_any_whitespace: bool = False
    """JSON without any whitespace between its parts."""
    whitespace_pattern: str | None = None
    """A regex for the whitespace JSON may have between its parts."""

    def __post_init__(self) -> None:
        check_fields(self, _STRUCTURED_RULES, prefix="structured_outputs.")
        if self.json_object is False:
            object.__setattr__(self, "json_object", None)
        if self.choice is not None:
            object.__setattr__(self, "choice", tuple(self.choice))
        given = [name for name in _CONSTRAINTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidParameterError(
                f"structured_outputs has {len(given)} constraints ({', '.join(given) or 'none'}), expected exactly one "
                f"of {', '.join(_CONSTRAINTS)}: split the request or drop the others",
                param="structured_outputs",
            )


_CONSTRAINTS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
GuidedDecodingParams = StructuredOutputsParams
"""The name older vLLM gave to the same class."""


@checked_assignment
@refuse_unknown_names(SAMPLING_PARAMETERS)
@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How one request is sampled, when it stops and what is returned with it.

    Values are checked and normalised on construction and assignment (InvalidParameterError, `.param` names the
    field): lists become tuples, `seed=-1` and `top_k=-1` their plain forms.

    >>> SamplingParams(temperature=0).is_greedy
    True
    >>> SamplingParams(temprature=1)
    Traceback (most recent call last):
    pagoda.errors.InvalidParameterError: SamplingParams has no parameter 'temprature': did you mean "temperature"?
    """

    n: int = 1
    """Number of completions, 1 to 16384. Allowed with temperature 0: the n completions are then equal."""
    presence_penalty: float = 0.0
    """[-2, 2]; subtracted once from the logit of every token that was generated."""
    frequency_penalty: float = 0.0
    """[-2, 2]; subtracted from a token's logit for every time it was generated."""
    repetition_penalty: float = 1.0
    """Above 0; tokens of prompt and output have positive logits divided and negative ones multiplied by it."""
    temperature: float = 1.0
    """[0, 2]; 0 is greedy, and values between 0 and 0.01 are raised to 0.01."""
    top_p: float = 1.0
    """(0, 1]; keep the fewest likeliest tokens whose probabilities reach it."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 or -1 keeps all."""
    min_p: float = 0.0
    """[0, 1]; drop tokens less likely than this share of the likeliest one's probability."""
    seed: int | None = None
    """Same seed, same prompt, same parameters: same tokens, whatever else is in the batch. -1 means None."""
    stop: str | Sequence[str] | None = None
    """Strings that end a completion when they appear in its text. Needs `detokenize`."""
    stop_token_ids: Sequence[int] | None = None
    """Token ids that end a completion, beside the model's own end of sequence."""
    ignore_eos: bool = False
    """Go on past the model's end-of-sequence tokens."""
    max_tokens: int | None = 16
    """Most tokens to generate; None goes on to the end of the context window, 0 only scores (with prompt_logprobs)."""
    min_tokens: int = 0
    """Stop tokens and stop strings count only after this many tokens."""
    logprobs: int | None = None
    """Log-probabilities of the k likeliest tokens and of the sampled one; -1 gives the whole vocabulary."""
    prompt_logprobs: int | None = None
    """The same for every prompt token but the first."""
    detokenize: bool = True
    """False leaves the text empty and returns token ids only."""
    skip_special_tokens: bool = True
    """Leave special tokens out of the text."""
    spaces_between_special_tokens: bool = True
    """Put a space between special tokens, where the tokenizer's kind does so."""
    include_stop_str_in_output: bool = False
    """Keep the stop string at the end of the text."""
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE
    """What each output of a stream carries."""
    bad_words: Sequence[str] | None = None
    """Words that must not be generated: the last token of each is forbidden after its others."""
    logit_bias: Mapping[int, float] | None = None
    """Added to the logits of token ids; values are clamped to [-100, 100]."""
    allowed_token_ids: Sequence[int] | None = None
    """Generate only these token ids."""
    structured_outputs: StructuredOutputsParams | None = None
    """The shape the text must have."""
    skip_reading_prefix_cache: bool | None = None
    """True computes the whole prompt anew; None leaves it to the engine."""
    extra_args: dict[str, Any] | None = None
    """Kept for the caller; nothing in the engine reads it."""

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            self._set(stop=(self.stop,))
        check_fields(self, _SAMPLING_RULES)
        self._normalise_lists()
        self._normalise_numbers()
        self._check_agreement()

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken without drawing."""
        return self.temperature < GREEDY_TEMPERATURE

    @classmethod
    def from_optional(cls, **values: Any) -> SamplingParams:
        """As vLLM's: None leaves a parameter at its default."""
        return cls(**{name: value for name, value in values.items() if value is not None})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplingParams:
        """Build from plain values, as JSON gives them; nested mappings and enum names are understood."""
        given = dict(values)
        structured = given.get("structured_outputs")
        if isinstance(structured, Mapping):
            given["structured_outputs"] = StructuredOutputsParams(**structured)
        if isinstance(given.get("output_kind"), str):
            given["output_kind"] = _output_kind(given["output_kind"])
        return cls(**given)

    def clone(self, **changes: Any) -> SamplingParams:
        """A copy with some fields changed, checked anew."""
        return replace(self, **changes)

    def _normalise_lists(self) -> None:
        self._set(
            stop=tuple(self.stop or ()),
            bad_words=tuple(self.bad_words or ()),
            stop_token_ids=tuple(dict.fromkeys(self.stop_token_ids or ())),
        )
        if self.allowed_token_ids is not None:
            self._set(allowed_token_ids=tuple(dict.fromkeys(self.allowed_token_ids)))
        if self.logit_bias is not None:
            clamped = {int(key): _clamp(value, MAX_LOGIT_BIAS) for key, value in self.logit_bias.items()}
            self._set(logit_bias=clamped)

    def _normalise_numbers(self) -> None:
        self._set(seed=None if self.seed == -1 else self.seed, top_k=max(self.top_k, 0))
        if 0 < self.temperature < MIN_TEMPERATURE:
            logger.warning("temperature %s is below %s: using %s", self.temperature, MIN_TEMPERATURE, MIN_TEMPERATURE)
            self._set(temperature=MIN_TEMPERATURE)
        if self.is_greedy:
            self._set(top_p=1.0, top_k=0, min_p=0.0)

    def _check_agreement(self) -> None:
        if self.max_tokens == 0 and self.prompt_logprobs is None:
            raise wrong("max_tokens", 0, "a whole number of at least 1 (0 only scores, with prompt_logprobs)")
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise wrong("min_tokens", self.min_tokens, f"at most max_tokens, which is {self.max_tokens}")
        if self.stop and not self.detokenize:
            raise InvalidParameterError(
                f"stop is {list(self.stop)} but detokenize is False, and stop strings are looked for in the text: "
                "set detokenize=True or use stop_token_ids",
                param="stop",
            )

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


@checked_assignment
@refuse_unknown_names(POOLING_PARAMETERS)
@dataclass(frozen=True, kw_only=True)
class PoolingParams:
    """How hidden states become one embedding per request, by the pooling that the checkpoint names."""

    normalize: bool | None = None
    """Scale the embedding to length 1; None is as the checkpoint says, or yes where it says nothing."""
    dimensions: int | None = None
    """Keep only the first so many dimensions (for models trained that way, arXiv:2205.13147)."""

    prompt_name: str | None = None
    """Which of the checkpoint's prompts stands before the text; None is its default one, if it has any."""

    def __post_init__(self) -> None:
        rules = {"normalize": optional(FLAG), "dimensions": optional(whole_number(1)), "prompt_name": optional(STRING)}
        check_fields(self, rules)


@refuse_unknown_names(BEAM_PARAMETERS)
@dataclass(frozen=True)
class BeamSearchParams:
    """How `LLM.beam_search` searches."""

    beam_width: int
    """Beams kept after each token, and returned."""
    max_tokens: int
    """Most tokens of a beam."""
    ignore_eos: bool = False
    """Go on past the model's end-of-sequence tokens."""
    temperature: float = 0.0
    """Accepted for vLLM's sake: beams are ranked by log-probabilities, which no temperature changes."""
    length_penalty: float = 1.0
    """Beams are ranked by the sum of log-probabilities over length ** length_penalty: above 1 longer ones win."""
    include_stop_str_in_output: bool = False
    """Accepted for vLLM's sake: the end token is in `tokens`, and special tokens are not in `text`."""
    skip_special_tokens: bool = True
    """Leave special tokens out of the text."""

    def __post_init__(self) -> None:
        rules = {
            "beam_width": whole_number(1, 1024),
            "max_tokens": whole_number(1),
            "ignore_eos": FLAG,
            "temperature": number(0, 2),
            "length_penalty": number(-10, 10),
            "include_stop_str_in_output": FLAG,
            "skip_special_tokens": FLAG,
        }
        check_fields(self, rules)


def _is_bias(bias: object) -> bool:
    """JSON has only string keys, so "17" is as good as 17."""
    if not isinstance(bias, Mapping) or len(bias) > MAX_TOKEN_IDS:
        return False
    keys = all(key.isdecimal() and len(key) < 20 if isinstance(key, str) else is_token_id(key) for key in bias)
    return keys and all(map(is_number, bias.values()))


def _clamp(value: float, limit: float) -> float:
    return float(max(-limit, min(limit, value)))


def _output_kind(name: str) -> object:
    """The member of that name; an unknown name goes on as it is, to be refused with the other fields."""
    return getattr(RequestOutputKind, name.upper(), name)


_STRUCTURED_RULES = {
    "json": optional(instance_of((str, dict), "a JSON schema as a mapping or as JSON text")),
    "regex": optional(STRING),
    "choice": optional(
        of_few_characters(list_of(lambda value: isinstance(value, str), "a list of at least one string", min_length=1))
    ),
    "grammar": optional(STRING),
    "json_object": optional(FLAG),
    "structural_tag": optional(instance_of((str, dict), "a mapping or its JSON text")),
    "disable_any_whitespace": FLAG,
    "whitespace_pattern": optional(STRING),
}
_SAMPLING_RULES = {
    "n": whole_number(1, MAX_NUM_SEQUENCES),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "repetition_penalty": positive(),
    "temperature": number(0, 2),
    "top_p": positive(1),
    "top_k": whole_number(-1),
    "min_p": number(0, 1),
    "seed": optional(whole_number(-(2**63), 2**63 - 1)),
    "stop": optional(of_few_characters(STRINGS, MAX_STOP_CHARACTERS)),
    "stop_token_ids": optional(TOKEN_IDS),
    "ignore_eos": FLAG,
    "max_tokens": optional(whole_number(0)),
    "min_tokens": whole_number(0),
    "logprobs": optional(whole_number(-1)),
    "prompt_logprobs": optional(whole_number(-1)),
    "detokenize": FLAG,
    "skip_special_tokens": FLAG,
    "spaces_between_special_tokens": FLAG,
    "include_stop_str_in_output": FLAG,
    "output_kind": instance_of(RequestOutputKind, "CUMULATIVE, DELTA or FINAL_ONLY"),
    "bad_words": optional(of_few_characters(STRINGS)),
    "logit_bias": optional(
        Rule(_is_bias, f"a mapping from token ids (at least 0) to finite numbers, at most {MAX_TOKEN_IDS:,} of them")
    ),
    "allowed_token_ids": optional(
        list_of(is_token_id, "a list of at least one token id", min_length=1, max_length=MAX_TOKEN_IDS)
    ),
    "structured_outputs": optional(instance_of(StructuredOutputsParams, "a StructuredOutputsParams")),
    "skip_reading_prefix_cache": optional(FLAG),
    "extra_args": optional(instance_of(dict, "a dict")),
}
