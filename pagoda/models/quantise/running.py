"""From what was asked for to a quantised model: which plan, carried out, held to its bounds.

Beside the token's path, between `pagoda quantize` and the parts: `sensitivity` for mixed plans, `job` for the work.
Everything that takes long leaves what it has found in one folder, and goes on from there.

Costs of single matrices do not quite add up, and GPTQ makes all of them less; so under a bound on the divergence a
mixed plan is carried out, and where the sum was wrong, chosen again with what was learned. What is worse than asked is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

import torch

from pagoda.errors import CheckpointError, ConfigError, nearest
from pagoda.models.checkpoint.saving import write_json
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.container import Checkpoint, GGUFFile
from pagoda.models.quantise.job import QuantisationJob, QuantisationOutcome, Texts, Told
from pagoda.models.quantise.layerwise import METHODS, Plan
from pagoda.models.quantise.plans import Costs, Size, expected, mixed_plan, plan_within, size_of, uniform_plan
from pagoda.models.quantise.scheme import (
    BITS,
    GGUF_SCHEMES,
    GROUP_SIZES,
    INT8,
    PRESETS,
    Q4_0,
    Q4_K,
    Q6_K,
    Q8_0,
    Scheme,
)
from pagoda.models.quantise.sensitivity import measure_costs
from pagoda.models.quantise.streamed import StreamedNetwork

MIXED, COMPRESSED_TENSORS, GGUF = "mixed", "compressed-tensors", "gguf"
TARGETS = (*PRESETS, MIXED)
DEFAULT_TARGET_BITS = 5.2
_COST_TOKENS = 4096
"""Of the calibration, so many tokens tell what matrices cost."""
_ROUNDS = 3
_MARGIN = 0.9
"""Of the bound, what is aimed at: the next round would cost as much as the first."""


@dataclass(frozen=True)
class Bounds:
    """What a plan may be at most; None sets no bound. target_bits: on average over all weights; max_kl: in nats."""

    target_bits: float | None = None
    max_kl: float | None = None


@dataclass(frozen=True)
class QuantisationRequest:
    """What was asked for. Raises ConfigError for what does not go together.

    to: "int8", "int4" or "mixed"; method: "rtn" or "gptq"
    group_size: of int4, 64 where nothing is said; symmetric: see Scheme, by default as the layout is read by most
    layout: "compressed-tensors", or "gguf", whose groups are ggml's
    bounds: of which a mixed plan needs one, and which any other is held to
    """

    to: str
    method: str = "gptq"
    group_size: int | None = None
    symmetric: bool | None = None
    layout: str = COMPRESSED_TENSORS
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        for name, given, known in (("to", self.to, TARGETS), ("method", self.method, METHODS)):
            if given not in known:
                raise ConfigError(f"{name}={given!r} is not known: {nearest(given, known)}")
        if self.group_size is not None and self.to != "int4":
            reason = "int8 has a scale a row" if self.to == "int8" else "a mixed plan chooses a group for each matrix"
            raise ConfigError(f"group_size={self.group_size}, but {reason}: leave it out, or take --to int4")
        if self.group_size is not None and self.layout == GGUF:
            raise ConfigError(
                f"group_size={self.group_size}, but a GGUF file has the groups of its block types (32 inputs of Q4_0 "
                f"and Q4_K): leave it out, or name a folder"
            )
        if self.symmetric is False and self.to == "int8":
            raise ConfigError("int8 is symmetric always: leave --asymmetric out, or take --to int4 or mixed")
        if self.symmetric is not None and self.to == MIXED and self.layout == GGUF:
            raise ConfigError("a mixed GGUF file takes block types as they are: leave --symmetric and --asymmetric out")

    @property
    def packs_head(self) -> bool:
        """Whether the head stays in its codes: in GGUF files, and where its bits are counted."""
        return self.to == MIXED or self.layout == GGUF

    def uniform(self) -> tuple[Scheme, Scheme]:
        """The scheme of every matrix but the head, and that of the head."""
        if self.layout == GGUF:
            if self.to == "int8":
                return Q8_0, Q8_0
            return (Q4_0, Q8_0) if self.symmetric else (Q4_K, Q6_K)
        return INT8 if self.to == "int8" else Scheme(4, self.group_size or 64, self.symmetric is not False), INT8

    def candidates(self) -> tuple[Scheme, ...]:
        """What a matrix of a mixed plan may be written in."""
        if self.layout == GGUF:
            return GGUF_SCHEMES
        return tuple(Scheme(bits, size, bool(self.symmetric)) for bits in BITS for size in GROUP_SIZES)


@dataclass(frozen=True)
class Quantised:
    """A model that was quantised, and not written yet."""

    job: QuantisationJob
    outcome: QuantisationOutcome
    size: Size


class Quantiser:
    """Carries a request out on a checkpoint; `folder` keeps what is done."""

    def __init__(self, network: StreamedNetwork, checkpoint: Checkpoint, texts: Texts, folder: Path) -> None:
        self.network, self.texts, self.folder = network, texts, folder
        self.identity = identity_of(checkpoint)

    def run(self, request: QuantisationRequest, told: Told = lambda *_: None) -> Quantised:
        """Raises ConfigError where a plan is worse than asked, or where texts are missing for what is asked."""
        self._check(request)
        config, job = self.network.config, None

        def carry_out(plan: Plan) -> QuantisationOutcome:
            nonlocal job
            job = QuantisationJob(self.network, plan, request.method, self.texts, self.folder / "layers")
            return job.run(self.identity, told)

        if request.to == MIXED:
            bounds = request.bounds
            if bounds == Bounds():
                bounds = Bounds(target_bits=DEFAULT_TARGET_BITS)
            outcome = searched(config, self._costs(request, told), bounds, carry_out)
        else:
            plan = uniform_plan(config, *request.uniform())
            size = size_of(config, plan, packed_head=request.packs_head)
            check_bits(size, request.bounds)  # nothing has to be carried out for that
            outcome = carry_out(plan)
            check_divergence(size, outcome, request.bounds)
        assert job is not None
        return Quantised(job, outcome, size_of(config, outcome.plan, packed_head=request.packs_head))

    def _check(self, request: QuantisationRequest) -> None:
        calibrated = request.method == "gptq" or request.to == MIXED
        if calibrated and not len(self.texts.calibration):
            raise ConfigError(
                f"{request.to} by {request.method} needs a text: give --calibration FILE, or --method rtn"
            )
        if request.bounds.max_kl is not None and not self.texts.measured:
            raise ConfigError("max_kl is to be measured: give a text with --calibration or --evaluation")

    def _costs(self, request: QuantisationRequest, told: Told) -> Costs:
        """Measured, or what an earlier run of the same has measured."""
        file = self.folder / "costs.json"
        texts = _for_costs(self.texts.calibration)
        schemes, method = request.candidates(), request.method
        told_texts = texts.sum(1).tolist()
        asked = {"model": self.identity, "method": method, "schemes": list(map(str, schemes)), "texts": told_texts}
        found = _read_costs(file, asked)
        if found is None:
            found = measure_costs(self.network, texts, schemes, lambda done, total: told("costs", done, total), method)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(file, {"asked": asked, "costs": {name: _listed(of) for name, of in found.items()}})
        return found


def _for_costs(calibration: torch.Tensor) -> torch.Tensor:
    """Of `[windows, length]` as many as have the tokens for it, evenly from all of them."""
    windows, length = calibration.shape
    count = min(windows, max(1, _COST_TOKENS // length))
    return calibration[[windows * place // count for place in range(count)]]


def _listed(of_matrix: Mapping[Scheme, float]) -> list[list[float | int | bool | None]]:
    return [[*astuple(scheme), cost] for scheme, cost in of_matrix.items()]


def _read_costs(file: Path, asked: Mapping[str, object]) -> dict[str, dict[Scheme, float]] | None:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["asked"] != asked:
            return None
        return {name: {Scheme(*fields): cost for *fields, cost in entries} for name, entries in kept["costs"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def identity_of(checkpoint: Checkpoint) -> str:
    """Name, sizes and times of the files that hold a checkpoint's weights."""
    path = checkpoint.path if isinstance(checkpoint, GGUFFile) else Path(checkpoint)
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise CheckpointError(f"{path} holds no weights")
    stats = [(file.name, file.stat()) for file in files]
    return json.dumps([str(path.resolve()), *([name, stat.st_size, stat.st_mtime_ns] for name, stat in stats)])


def texts_of(calibration: torch.Tensor | None, measured: Mapping[str, torch.Tensor], length: int) -> Texts:
    """Where no text is given to measure on, every fifth window of the calibration is withheld for that."""
    if calibration is None:
        return Texts(torch.zeros(0, length, dtype=torch.int64), measured)
    if measured or len(calibration) < 5:
        return Texts(calibration, measured)
    withheld = torch.arange(len(calibration)) % 5 == 4
    return Texts(calibration[~withheld], {"withheld": calibration[withheld]})


CarryOut = Callable[[Plan], QuantisationOutcome]


def searched(config: ModelConfig, costs: Costs, bounds: Bounds, carry_out: CarryOut) -> QuantisationOutcome:
    """The outcome of a mixed plan within `bounds`, one of which is set. Raises ConfigError where there is none."""
    if bounds.target_bits is not None:
        outcome = carry_out(mixed_plan(config, costs, target_bits=bounds.target_bits))
        check_bits(size_of(config, outcome.plan), bounds)
        check_divergence(size_of(config, outcome.plan), outcome, bounds)
        return outcome
    assert bounds.max_kl is not None
    ratio = 1.0  # of what is measured to what was expected
    for round_number in range(_ROUNDS):
        plan = plan_within(config, costs, max_kl=_MARGIN * bounds.max_kl / ratio)
        outcome = carry_out(plan)
        measured = outcome.worst_kl
        assert measured is not None, "a bound on the divergence wants texts to measure"
        last = round_number == _ROUNDS - 1
        if measured <= bounds.max_kl and (last or measured > 0.5 * bounds.max_kl or round_number > 0):
            return outcome
        ratio = max(measured / max(expected(costs, plan), 1e-30), 1e-6)
    check_divergence(size_of(config, outcome.plan), outcome, bounds)
    return outcome


def check_divergence(size: Size, outcome: QuantisationOutcome, bounds: Bounds) -> None:
    """Raises ConfigError with both figures where more was lost than asked for."""
    kl = outcome.worst_kl
    if bounds.max_kl is not None and kl is not None and kl > bounds.max_kl:
        raise ConfigError(
            f"the plan of {size.bits_per_weight:.2f} bits a weight has a KL of {kl:.4f}, but "
            f"max_kl={bounds.max_kl:g}: nothing is written; allow more bits, or a larger KL"
        )


def check_bits(size: Size, bounds: Bounds) -> None:
    """Raises ConfigError with both figures where a plan, as it is written, has more bits than asked for."""
    if bounds.target_bits is not None and size.bits_per_weight > bounds.target_bits:
        raise ConfigError(
            f"the plan has {size.bits_per_weight:.2f} bits a weight, but target_bits={bounds.target_bits:g}: nothing "
            f"is written; allow more, or take --to mixed"
        )
