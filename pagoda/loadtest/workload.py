"""What a load test sends: prompts of drawn lengths, or the requests of a recorded trace.

Before the request's path: lengths and prompts come from a seed and are there before the first request goes out, so that
making them costs no measured time and two runs ask for the same. Prompts for the completions endpoint are token ids,
whose number is exact whatever the server's tokenizer; a chat needs text, and gets one common word for each token.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError

Prompt = str | tuple[int, ...]

FIRST_ID = 3
"""Ids below it are padding, beginning and end in most vocabularies."""
DEFAULT_VOCAB_SIZE = 1000
"""Ids below it are in every vocabulary that is in use."""
DEFAULT_INPUT_LEN = DEFAULT_OUTPUT_LEN = 128
_SIGMA = 1.0
_MAX_LENGTH = 10_000_000
_WORDS = ("the", "of", "and", "to", "in", "is", "you", "that", "it", "he", "was", "for", "on", "are", "as", "with")


@dataclass(frozen=True)
class PlannedRequest:
    """One request to come. `arrival_s`: seconds after the trace's first; None where nothing is recorded."""

    prompt: Prompt
    output_len: int
    arrival_s: float | None = None


@dataclass(frozen=True)
class Lengths:
    """A distribution of lengths in tokens: uniform between two bounds, or lognormal with the mean `low`.

    sigma: standard deviation of the logarithm; None is uniform. Drawn lengths are at least 1.
    """

    low: int
    high: int
    sigma: float | None = None

    @classmethod
    def parse(cls, text: str, name: str) -> Lengths:
        """Read `128`, `64-256`, `lognormal:161` or `lognormal:161:0.8` (mean, sigma). Raises ConfigError.

        >>> Lengths.parse("64-256", "input_len")
        Lengths(low=64, high=256, sigma=None)
        """
        try:
            lengths = cls._parse(text)
        except ValueError:
            lengths = None
        if lengths is None or not lengths._is_sound():
            raise ConfigError(
                f"{name} is {text!r}, but a length (128), a range (64-256) or a lognormal's mean and sigma "
                "(lognormal:161:1.0) is expected, with lengths of at least 1"
            )
        return lengths

    @classmethod
    def _parse(cls, text: str) -> Lengths:
        if text.startswith("lognormal:"):
            mean, _, sigma = text.removeprefix("lognormal:").partition(":")
            return cls(int(mean), _MAX_LENGTH, float(sigma) if sigma else _SIGMA)
        low, _, high = text.partition("-")
        return cls(int(low), int(high) if high else int(low))

    def _is_sound(self) -> bool:
        return 1 <= self.low <= self.high <= _MAX_LENGTH and (self.sigma is None or 0 <= self.sigma < 10)

    def draw(self, source: random.Random) -> int:
        """One length."""
        if self.sigma is None:
            return source.randint(self.low, self.high)
        return max(1, round(source.lognormvariate(math.log(self.low) - self.sigma**2 / 2, self.sigma)))


@dataclass(frozen=True, kw_only=True)
class Workload:
    """How requests are made.

    as_text: prompts are words instead of token ids
    vocab_size: token ids are below it
    """

    input_len: Lengths = Lengths(DEFAULT_INPUT_LEN, DEFAULT_INPUT_LEN)
    output_len: Lengths = Lengths(DEFAULT_OUTPUT_LEN, DEFAULT_OUTPUT_LEN)
    as_text: bool = False
    vocab_size: int = DEFAULT_VOCAB_SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.vocab_size <= FIRST_ID:
            raise ConfigError(f"vocab_size is {self.vocab_size}, but more than {FIRST_ID} is expected")

    def requests(self, num_requests: int) -> list[PlannedRequest]:
        """So many requests, the same for the same seed."""
        source = random.Random(self.seed)
        return [
            PlannedRequest(self._prompt(source, self.input_len.draw(source)), self.output_len.draw(source))
            for _ in range(num_requests)
        ]

    def replay(self, path: Path, num_requests: int | None = None) -> list[PlannedRequest]:
        """The requests of a trace, at most `num_requests` of them, in order of arrival.

        A line of the file is a JSON object with `timestamp` (seconds; optional), `input_length` or `prompt` (text or
        token ids), and `output_length` (drawn if missing). Raises ConfigError for whatever else it finds.
        """
        source = random.Random(self.seed)
        requests = [self._recorded(entry, source, where) for where, entry in _entries(path)]
        if not requests:
            raise ConfigError(f"{path} holds no request: write one JSON object a line")
        timed = [request.arrival_s for request in requests if request.arrival_s is not None]
        if timed and len(timed) < len(requests):
            raise ConfigError(f"{path}: {len(timed)} of {len(requests)} requests have a timestamp: give all or none")
        if timed:
            requests.sort(key=lambda request: request.arrival_s or 0.0)
            requests = [_shifted(request, min(timed)) for request in requests]
        return requests[:num_requests]

    def _recorded(self, entry: Mapping[str, Any], source: random.Random, where: str) -> PlannedRequest:
        prompt = entry.get("prompt")
        if prompt is None:
            prompt = self._prompt(source, _number(entry, "input_length", where, least=1))
        elif isinstance(prompt, list) and prompt and all(isinstance(token_id, int) for token_id in prompt):
            if self.as_text:
                raise ConfigError(f"{where}: prompt is token ids, which only the completions endpoint takes")
            prompt = tuple(prompt)
        elif not isinstance(prompt, str) or not prompt:
            raise ConfigError(f"{where}: prompt is {prompt!r:.80}, but text or a list of token ids is expected")
        drawn = self.output_len.draw(source)
        output_len = _number(entry, "output_length", where, least=1) if "output_length" in entry else drawn
        arrival_s = _number(entry, "timestamp", where) if "timestamp" in entry else None
        return PlannedRequest(prompt, int(output_len), arrival_s)

    def _prompt(self, source: random.Random, length: float) -> Prompt:
        if self.as_text:
            return " ".join(source.choice(_WORDS) for _ in range(int(length)))
        return tuple(source.randrange(FIRST_ID, self.vocab_size) for _ in range(int(length)))


def _entries(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and content of each line. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the trace {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path}:{number}", _entry(line, f"{path}:{number}")


def _entry(line: str, where: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where} is not valid JSON: {error}") from error
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} holds a {type(entry).__name__}, but a JSON object is expected")
    return entry


def _number(entry: Mapping[str, Any], name: str, where: str, least: float = -math.inf) -> float:
    value = entry.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < least or value > 1e12:  # type: ignore[operator]
        raise ConfigError(f"{where}: {name} is {value!r:.80}, but a number of at least {least} is expected")
    return value  # type: ignore[return-value]


def _shifted(request: PlannedRequest, origin_s: float) -> PlannedRequest:
    assert request.arrival_s is not None, "only called where all have one"
    return PlannedRequest(request.prompt, request.output_len, request.arrival_s - origin_s)
