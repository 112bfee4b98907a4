"""One quantisation from texts to codes: resumable, measured as it goes.

Beside the token's path; `pagoda quantize` runs it. What is done is kept in a folder after every layer, codes and
activations both, so that whoever is interrupted goes on with the next layer and ends with the very same numbers. A
folder of another job, model or text is begun anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pagoda.files.whole import write_whole
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.checkpoint.saving import write_json
from pagoda.models.quantise.codes_file import read_codes, write_codes
from pagoda.models.quantise.gptq import Compensation, gptq
from pagoda.models.quantise.layerwise import Plan, Streams, quantise_layer
from pagoda.models.quantise.plans import HEAD
from pagoda.models.quantise.quality import Quality, compare
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import Scheme
from pagoda.models.quantise.streamed import EMBEDDING, StreamedNetwork, weight_of

Told = Callable[[str, int, int], None]
"""What is being done, how much of it is, and of how much."""
_VERSION = 1


@dataclass(frozen=True)
class Texts:
    """Windows of token ids, all of one length: `[n, length]` each, n may be 0.

    measured: by a name that the report has for them
    """

    calibration: torch.Tensor
    measured: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def all_measured(self) -> torch.Tensor:
        """`[n, length]`, one after the other."""
        return torch.cat([self.calibration[:0], *self.measured.values()])


@dataclass(frozen=True)
class QuantisationOutcome:
    """What came of a job.

    quality: by the name of the texts
    errors: by module, see LayerOutcome; drifts: by layer, the same
    """

    plan: Plan
    quality: Mapping[str, Quality]
    errors: Mapping[str, float]
    drifts: list[float]

    @property
    def worst_kl(self) -> float | None:
        """Of all texts that were measured; None where none were."""
        return max((quality.kl for quality in self.quality.values()), default=None)


class QuantisationJob:
    """A plan carried out on a network; `folder` keeps what is done."""

    def __init__(self, network: StreamedNetwork, plan: Plan, method: str, texts: Texts, folder: Path) -> None:
        self.network, self.plan, self.method, self.texts, self.folder = network, plan, method, texts, folder

    def run(self, identity: str, told: Told = lambda *_: None) -> QuantisationOutcome:
        """Quantise what is left to do. identity: of the model, so that another one's work is not taken for this one's.

        Raises CheckpointError. An interrupt between or inside layers loses at most the layer that it falls into.
        """
        self._open(identity)
        first, streams = self._resumed() or (0, self._begin())
        for layer_idx in range(first, self.network.num_layers):
            told("layers", layer_idx, self.network.num_layers)
            outcome = quantise_layer(self.network, layer_idx, streams, self.plan, self.method)
            write_codes(self._layer(layer_idx), outcome.codes, {**outcome.errors, "drift": outcome.drift})
            self._keep(layer_idx + 1, streams)
        told("layers", self.network.num_layers, self.network.num_layers)
        return self._finished(streams)

    def tensors(self, *, packed_head: bool) -> Iterator[tuple[str, torch.Tensor | GroupedCodes]]:
        """Every tensor of the quantised network by its name, once `run` has ended.

        packed_head: give the head's codes, and where it is the embedding give them under both names; otherwise they
        are widened
        """
        codes_of = {f"{name}.weight" for name in self.plan} | ({f"{EMBEDDING}.weight"} if self._is_shared else set())
        yield from self.network.tensors(without=codes_of)
        head = self._head_codes()
        if head is not None:
            yield f"{self._head_name}.weight", head if packed_head else head.dense()
        for layer_idx in range(self.network.num_layers):
            for name, codes in read_codes(self._layer(layer_idx))[0].items():
                yield f"{name}.weight", codes

    def codes_of(self, tensor: str) -> GroupedCodes:
        """Those of one matrix by the network's name of its tensor, once `run` has ended."""
        module = tensor.removesuffix(".weight")
        if module in (EMBEDDING, HEAD):
            codes = self._head_codes()
            assert codes is not None, "the head is in the plan"
            return codes
        return read_codes(self._layer(int(module.split(".")[2])))[0][module]

    @property
    def coded_tensors(self) -> dict[str, Scheme]:
        """By the network's names of its tensors, what they are written in; a tied head is the embedding."""
        names = {name: self._head_name if name == HEAD else name for name in self.plan}
        return {f"{names[name]}.weight": scheme for name, scheme in self.plan.items()}

    @property
    def _is_shared(self) -> bool:
        return HEAD in self.plan and self.network.is_tied

    @property
    def _head_name(self) -> str:
        return EMBEDDING if self.network.is_tied else HEAD

    def _head_codes(self) -> GroupedCodes | None:
        return next(iter(read_codes(self.folder / "head.safetensors")[0].values())) if HEAD in self.plan else None

    def _layer(self, layer_idx: int) -> Path:
        return self.folder / f"layer-{layer_idx:05}.safetensors"

    def _open(self, identity: str) -> None:
        """The folder, emptied where it is of another job."""
        described = {
            "version": _VERSION,
            "model": identity,
            "method": self.method,
            "plan": {name: str(scheme) for name, scheme in self.plan.items()},
            "texts": [_digest(self.texts.calibration), *(f"{n} {_digest(t)}" for n, t in self.texts.measured.items())],
        }
        file = self.folder / "job.json"
        try:
            if json.loads(file.read_text(encoding="utf-8")) == described:
                return
        except (OSError, ValueError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_json(file, described)

    @torch.no_grad()
    def _begin(self) -> Streams:
        with self.network.embedding() as embedding:
            measured = self.network.embed(embedding, self.texts.all_measured)
            if self._is_shared:
                # Rounded, not compensated: errors that a head's inputs even out would stay in the embedding.
                codes = round_to_nearest(weight_of(embedding), self.plan[HEAD])
                write_codes(self.folder / "head.safetensors", {HEAD: codes}, {})
                weight_of(embedding).copy_(codes.dense())
            calibration = self.network.embed(embedding, self.texts.calibration)
            return Streams(calibration, measured, self.network.embed(embedding, self.texts.all_measured))

    def _keep(self, next_layer: int, streams: Streams) -> None:
        tensors = {name: stream.contiguous() for name, stream in vars(streams).items()}
        metadata = {"next_layer": str(next_layer)}
        write_whole(self.folder / "streams.safetensors", lambda file: save_file(tensors, file, metadata=metadata))

    def _resumed(self) -> tuple[int, Streams] | None:
        path = self.folder / "streams.safetensors"
        if not path.exists():
            return None
        with safe_open(path, framework="pt") as file:
            streams = Streams(**{name: file.get_tensor(name).clone() for name in file.keys()})  # noqa: SIM118
            return int(file.metadata()["next_layer"]), streams

    @torch.no_grad()
    def _finished(self, streams: Streams) -> QuantisationOutcome:
        with self.network.end() as (norm, matrix):
            if HEAD in self.plan and not self.network.is_tied:
                self._quantise_head(matrix, norm(streams.calibration))
            head = self._head_codes()
            quantised = matrix if head is None else head.dense()
            quality = {
                name: compare(
                    texts,
                    streams.source[rows],
                    streams.quantised[rows],
                    lambda hidden: self.network.scaled(norm(hidden) @ matrix.T),
                    lambda hidden: self.network.scaled(norm(hidden) @ quantised.T),
                )
                for name, texts, rows in self._measured()
            }
        facts = [read_codes(self._layer(layer_idx))[1] for layer_idx in range(self.network.num_layers)]
        drifts = [of_layer.pop("drift") for of_layer in facts]
        errors = {name: error for of_layer in facts for name, error in of_layer.items()}
        return QuantisationOutcome(self.plan, quality, errors, drifts)

    def _quantise_head(self, matrix: torch.Tensor, hidden: torch.Tensor) -> None:
        scheme, inputs = self.plan[HEAD], hidden.flatten(0, 1)
        if self.method == "gptq" and len(inputs):
            codes = gptq(matrix, Compensation(inputs.T @ inputs / len(inputs)), scheme)
        else:
            codes = round_to_nearest(matrix, scheme)
        write_codes(self.folder / "head.safetensors", {HEAD: codes}, {})

    def _measured(self) -> Iterator[tuple[str, torch.Tensor, slice]]:
        start = 0
        for name, texts in self.texts.measured.items():
            yield name, texts, slice(start, start + len(texts))
            start += len(texts)


def _digest(texts: torch.Tensor) -> str:
    return hashlib.sha256(texts.numpy().tobytes()).hexdigest()[:16]
