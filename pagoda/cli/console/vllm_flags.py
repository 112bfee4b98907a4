"""Flags that scripts of `vllm serve` carry, as `pagoda serve` takes them.

Before typer reads a command line: flags may be spelled with underscores, short ones become long ones, a list of values
is given out one by one; what `vllm_names` knows without effect is taken out, what it refuses is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from typer.core import TyperCommand

from pagoda.engine.args import plain_value
from pagoda.errors import ConfigError, InvalidParameterError
from pagoda.vllm_names import ENGINE_SETTINGS, SERVE_FLAGS, VALUELESS_FLAGS

IGNORED = "pagoda.vllm_flags.ignored"
"""Where a command's context keeps the names that change nothing."""
_SHORT = {
    "-tp": "--tensor-parallel-size",
    "-pp": "--pipeline-parallel-size",
    "-dp": "--data-parallel-size",
    "-ep": "--enable-expert-parallel",
    "-q": "--quantization",
    "-cc": "--compilation-config",
    "-asc": "--api-server-count",
}
_SEVERAL = ("--served-model-name", "--api-key", "--allowed-origin")
_COUNTS = ("--max-model-len", "--max-num-batched-tokens", "--kv-cache-memory-bytes")
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
_WITHOUT_EFFECT = {**ENGINE_SETTINGS.without_effect, **SERVE_FLAGS.without_effect}


class Translated(NamedTuple):
    """A command line for typer, and names of vLLM's flags that were taken out of it."""

    arguments: list[str]
    ignored: tuple[str, ...]


class ServeCommand(TyperCommand):
    """A command that takes vLLM's flags beside its own. Raises ConfigError for those that are refused."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        takes_value = {
            flag: not getattr(param, "is_flag", False)
            for param in self.get_params(ctx)
            for flag in (*param.opts, *param.secondary_opts)
            if flag.startswith("-")
        }
        arguments, ctx.meta[IGNORED] = translate(args, takes_value)
        return super().parse_args(ctx, arguments)


def why_ignored(names: Sequence[str]) -> str:
    """The names with why they change nothing."""
    return ", ".join(f"--{name.replace('_', '-')} ({_WITHOUT_EFFECT[name]})" for name in names)


def translate(args: Sequence[str], takes_value: Mapping[str, bool]) -> Translated:
    """Our own command line for one of vLLM's. takes_value: our flags, and whether a value follows each."""
    rest = list(args)
    kept: list[str] = []
    ignored: list[str] = []
    has_model = False
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            has_model = True
            kept.append(word)
            continue
        flag, equals, value = word.partition("=")
        flag = "--optimization-level" if flag.startswith("-O") else _spelled(flag)
        if flag in takes_value:
            values = [value] if equals else [rest.pop(0)] if takes_value[flag] and rest else []
            # A list of values ends where it would take in the model.
            while values and flag in _SEVERAL and has_model and rest and not rest[0].startswith("-"):
                values.append(rest.pop(0))
            for each in _given_out(flag, values) if values else [""]:
                kept += [flag, each] if values else [flag]
        else:
            name = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
            values = [value] if equals else _values(name, rest)
            if _is_without_effect(name, values):
                ignored.append(name)
            elif name not in ENGINE_SETTINGS.refused and name not in SERVE_FLAGS.refused:
                kept += [flag, *values] if not equals else [f"{flag}={value}"]
    return Translated(kept, tuple(dict.fromkeys(ignored)))


def _spelled(flag: str) -> str:
    """A flag as we spell it."""
    flag = _SHORT.get(flag, flag)
    if not flag.startswith("--"):
        return flag
    name = flag.removeprefix("--").replace("_", "-")
    return "--" + SERVE_FLAGS.renamed.get(name.replace("-", "_"), name)


def _given_out(flag: str, values: list[str]) -> list[str]:
    """Values one by one; vLLM takes origins as a JSON list, and 32k or 32K for a count."""
    if flag == "--allowed-origin" and values[0].startswith("["):
        try:
            return [str(origin) for origin in json.loads(values[0])]
        except ValueError as error:
            raise ConfigError(f"--allowed-origins {values[0]}: a JSON list is expected ({error})") from error
    if flag in _COUNTS and (count := re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG])", values[0])):
        return [str(int(float(count[1]) * _UNITS[count[2]]))]
    return values


def _values(name: str, rest: list[str]) -> list[str]:
    """Take what belongs to a flag of vLLM's that is none of ours from what follows it."""
    is_known = name in _WITHOUT_EFFECT or name in ENGINE_SETTINGS.refused or name in SERVE_FLAGS.refused
    # -O3 has its value in it.
    alone = name in VALUELESS_FLAGS or name == "optimization_level"
    if not is_known or alone or not rest or rest[0].startswith("--"):
        return []
    return [rest.pop(0)]


def _is_without_effect(name: str, values: list[str]) -> bool:
    """Raises ConfigError where it is refused."""
    given = {name: plain_value(values[0]) if values else True}
    for table in (SERVE_FLAGS, ENGINE_SETTINGS):
        if name in table.without_effect:
            return True
        if name in table.refused:
            try:
                table.sort("pagoda serve", given, ())
            except InvalidParameterError as error:
                raise ConfigError(str(error)) from None
            return False
    return False
