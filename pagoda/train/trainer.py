"""The training loop: forward, loss, backward, step; with checkpoints that a kill cannot hurt.

Last station of training; what it writes, the engine and transformers load. A checkpoint is a Hugging Face
directory plus `optimizer.safetensors` and `trainer.json`; it is written under another name and renamed, so
that it exists whole or not at all. Since a batch depends on its step alone, training that was killed goes on
with the very numbers it would have had.
"""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from pagoda.errors import CheckpointError, DivergedError
from pagoda.hardware import has_bf16, resolve_device
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.layers.norm import Norm
from pagoda.models.checkpoint.loading import load_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.llama import LlamaForCausalLM
from pagoda.train.config import Recipe
from pagoda.train.curriculum import NOT_COUNTED, Curriculum, TextCurriculum, TrainingBatch
from pagoda.train.dropout import Dropout
from pagoda.train.optimizer import build_optimizer, learning_rate_at
from pagoda.train.positions import draw_positions


@dataclass(frozen=True)
class StepReport:
    """What one optimiser step looked like. `loss` in nats a token; `eval_loss` per corpus, where measured."""

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_s: float
    sequence_length: int
    eval_loss: dict[str, float] | None = None


class Trainer:
    """Trains a recipe into `directory`; resumes from the newest checkpoint there.

    curriculum: what is taught; None is the recipe's corpora
    """

    def __init__(
        self, recipe: Recipe, directory: str | Path, device: str = "auto", curriculum: Curriculum | None = None
    ) -> None:
        self.recipe, self.config = recipe, recipe.train
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.device = resolve_device(device)
        self.curriculum = curriculum or TextCurriculum(recipe, self.directory / "data")
        self.model = LlamaForCausalLM(recipe.model, ReferenceKernels())
        self.model.initialize(self.config.seed)
        self.model.to(self.device)
        self.dropout = Dropout(self.model, self.config.dropout)
        self.norms = [module for module in self.model.modules() if isinstance(module, Norm)]
        self.optimizer = build_optimizer(self.model.parameters(), self.config)
        self.step = 0
        self.loss_of: Callable[..., torch.Tensor] = self._loss
        if self.config.compile:
            self.loss_of = torch.compile(self._loss)
        self._resume()

    def run(self) -> Iterator[StepReport]:
        """Train to the end, one report a step; checkpoints, curves and metrics are written on the way."""
        while self.step < self.config.num_steps:
            began = time.perf_counter()
            loss, gradient_norm, length = self._train_step()
            self.step += 1
            is_last = self.step == self.config.num_steps
            rate = self.config.tokens_per_step / (time.perf_counter() - began)
            evaluated = self.evaluate() if is_last or self.step % self.config.eval_every == 0 else None
            report = StepReport(
                self.step, self.config.num_steps, loss, learning_rate_at(self.step - 1, self.config),
                gradient_norm, rate, length, evaluated,
            )  # fmt: skip
            self._log(report)
            if is_last or self.step % self.config.save_every == 0:
                self.save()
            yield report

    def evaluate(self) -> dict[str, float]:
        """Loss in nats a token on what the curriculum holds back; of corpora at the longest length."""
        return {name: self._evaluate_batch(batch) for name, batch in self.curriculum.held_back().items()}

    def logits(self, input_ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """`input_ids` and `positions [sequences, length]` -> `[sequences * length, vocab_size]`."""
        return self.model.compute_logits(self._hidden(input_ids, positions))

    def _hidden(self, input_ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """`[sequences * length, hidden_size]`, what the head is given."""
        attention = DenseAttention(len(input_ids), self.recipe.model.layer_windows, self.curriculum.is_causal)
        hidden: torch.Tensor = self.model(input_ids.flatten(), positions.flatten(), attention)
        return hidden

    def positions(self, shape: tuple[int, int], step: int) -> torch.Tensor:
        """`[sequences, length]`, as the recipe's scheme has them in optimiser step `step`."""
        config = self.config
        drawn = draw_positions(
            config.positions, *shape, reach=config.position_range_at(step), seed=config.seed, step=step
        )  # fmt: skip
        return torch.tensor(drawn, device=self.device)

    def save(self) -> Path:
        """Write `step-N`, whole or not at all; older checkpoints beyond `keep_checkpoints` go."""
        final = self.directory / f"step-{self.step:07d}"
        temporary = self.directory / f".{final.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        self.save_model(temporary)
        save_file(self._optimizer_tensors(), temporary / "optimizer.safetensors")
        state = {"step": self.step, "recipe": repr((self.recipe.model, self.config))}
        (temporary / "trainer.json").write_text(json.dumps(state), encoding="utf-8")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
        for old in self._checkpoints()[: -self.config.keep_checkpoints]:
            shutil.rmtree(old)
        return final

    def save_model(self, directory: Path, dtype: str = "float32") -> None:
        """The model alone, as a Hugging Face directory, rounded to `dtype`."""
        model = self.model if dtype == "float32" else copy.deepcopy(self.model).to(getattr(torch, dtype))
        save_checkpoint(model, self.recipe.model, directory)
        self.curriculum.save(directory)

    def _train_step(self) -> tuple[float, float, int]:
        """Loss, norm of the gradients and length of the sequences."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.config)
        for layer in self.norms:
            layer.follow((self.step + 1) / self.config.num_steps)
        passes = self._passes(self.curriculum.batch(self.step), self.step)
        total, length = 0.0, passes[0][0].shape[1]
        with self.dropout.opened(self.config.seed, self.step, self.device):
            for rows, share in _weighed(passes):
                with self._autocast():
                    loss = self.loss_of(*rows)
                (loss * share).backward()
                total += loss.item() * share
        if not math.isfinite(total):
            raise DivergedError(f"the loss became {total} at step {self.step}: lower train.learning_rate")
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total, float(norm), length

    def _passes(self, batch: TrainingBatch, step: int) -> list[tuple[torch.Tensor, ...]]:
        """Ids, targets and positions, each `[sequences, length]`, of as many sequences as a pass takes; and rivals."""
        shape = batch.input_ids.shape
        ids, targets = (torch.from_numpy(rows).to(self.device) for rows in (batch.input_ids, batch.targets))
        sequences = max(1, self.config.micro_batch_tokens // shape[1])
        own = batch.positions
        places = self.positions((shape[0], shape[1]), step) if own is None else torch.from_numpy(own).to(self.device)
        rows = (ids, targets, places)
        rivals = () if batch.rivals is None else (torch.from_numpy(batch.rivals).to(self.device),)
        return [(*one, *rivals) for one in zip(*(part.split(sequences) for part in rows), strict=True)]

    def _loss(
        self,
        input_ids: torch.Tensor,
        targets: torch.Tensor,
        positions: torch.Tensor,
        rivals: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean cross-entropy of `targets` after `input_ids`, all three `[sequences, length]`.

        rivals: `[n]`, of which and the target the softmax is; None: the vocabulary
        """
        if rivals is None:
            return F.cross_entropy(self.logits(input_ids, positions).float(), targets.flatten())
        counted, wanted = self._hidden(input_ids, positions), targets.flatten()
        counted, wanted = counted[wanted != NOT_COUNTED], wanted[wanted != NOT_COUNTED]
        logits = self.model.compute_some_logits(counted, wanted, rivals)
        return F.cross_entropy(logits.float(), torch.zeros_like(wanted))

    @torch.no_grad()
    def _evaluate_batch(self, batch: TrainingBatch) -> float:
        total = 0.0
        # A draw of positions that no step of training has.
        for rows, share in _weighed(self._passes(batch, self.config.num_steps)):
            with self._autocast():
                loss = self._loss(*rows)
            total += loss.item() * share
        return total

    def _autocast(self) -> AbstractContextManager[object]:
        wants = self.config.precision
        if wants == "bf16" or (wants == "auto" and has_bf16(self.device)):
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _log(self, report: StepReport) -> None:
        with (self.directory / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(report.__dict__) + "\n")

    def _optimizer_tensors(self) -> dict[str, torch.Tensor]:
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        return {
            f"{names[id(parameter)]}/{key}": value.contiguous()
            for parameter, state in self.optimizer.state.items()
            for key, value in state.items()
            if isinstance(value, torch.Tensor)
        }

    def _checkpoints(self) -> list[Path]:
        return sorted(self.directory.glob("step-*"))

    def _resume(self) -> None:
        checkpoints = self._checkpoints()
        if not checkpoints:
            (self.directory / "metrics.jsonl").unlink(missing_ok=True)
            return
        newest = checkpoints[-1]
        state = json.loads((newest / "trainer.json").read_text(encoding="utf-8"))
        if state["recipe"] != repr((self.recipe.model, self.config)):
            raise CheckpointError(
                f"{newest} was trained with another recipe: resume with the old one, or name another --out"
            )
        load_weights(self.model, newest, dtype=torch.float32)
        self._load_optimizer(load_file(newest / "optimizer.safetensors"))
        self.step = state["step"]
        self._drop_metrics_after(self.step)

    def _load_optimizer(self, tensors: dict[str, torch.Tensor]) -> None:
        """Through torch's own loading, which knows what of a state belongs on the device: moments, and not every step.

        A learned number has moments without a dimension, as the count of steps has none: shapes do not tell them apart.
        """
        numbers = {id(each): n for n, each in enumerate(p for g in self.optimizer.param_groups for p in g["params"])}
        parameters = dict(self.model.named_parameters())
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            name, _, field = key.rpartition("/")
            state.setdefault(numbers[id(parameters[name])], {})[field] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})

    def _drop_metrics_after(self, step: int) -> None:
        """A killed run may have logged steps that its last checkpoint does not know; they will come again."""
        path = self.directory / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _weighed(passes: Sequence[tuple[torch.Tensor, ...]]) -> Iterator[tuple[tuple[torch.Tensor, ...], float]]:
    """Each pass with its share of all tokens that count, however they were split; none without such a token.

    Where no token counts at all the loss is no number, and is told as such.
    """
    counts = [int((rows[1] != NOT_COUNTED).sum()) for rows in passes]
    total = sum(counts)
    for rows, count in zip(passes, counts, strict=True):
        if count or not total:
            yield rows, count / total if total else 1.0
