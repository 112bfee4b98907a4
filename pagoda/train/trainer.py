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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from pagoda.errors import CheckpointError, ConfigError
from pagoda.hardware import has_bf16, resolve_device
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.layers.norm import Norm
from pagoda.models.checkpoint.loading import load_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.llama import LlamaForCausalLM
from pagoda.train.config import Recipe
from pagoda.train.data import BatchSchedule, prepare, save_tokenizer
from pagoda.train.optimizer import build_optimizer, learning_rate_at


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
    """Trains a recipe into `directory`; resumes from the newest checkpoint there."""

    def __init__(self, recipe: Recipe, directory: str | Path, device: str = "auto") -> None:
        self.recipe, self.config = recipe, recipe.train
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.device = resolve_device(device)
        self.tokenizer, self.sources = prepare(recipe, self.directory / "data")
        self.schedule = BatchSchedule(self.sources, recipe)
        self.model = LlamaForCausalLM(recipe.model, ReferenceKernels())
        self.model.initialize(self.config.seed)
        self.model.to(self.device)
        self.norms = [module for module in self.model.modules() if isinstance(module, Norm)]
        self.optimizer = build_optimizer(self.model.parameters(), self.config)
        self.step = 0
        self.loss_of: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor] = self._loss
        if self.config.compile:
            self.loss_of = torch.compile(self._loss)
        self._resume()

    def run(self) -> Iterator[StepReport]:
        """Train to the end, one report a step; checkpoints, curves and metrics are written on the way."""
        while self.step < self.config.num_steps:
            began = time.perf_counter()
            length = self.config.length_at(self.step)
            loss, gradient_norm = self._train_step(length)
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
        """Loss in nats a token on the held-back documents of every corpus, at the longest length."""
        losses = {}
        for source in self.sources:
            pieces = _pieces(source.held_back_ids, self.config.max_length, self.config.eval_tokens)
            if pieces is not None:
                losses[source.config.name] = self._evaluate_pieces(pieces)
        return losses

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
        save_tokenizer(self.tokenizer, directory, self.recipe.model.max_position_embeddings)

    def _train_step(self, length: int) -> tuple[float, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.config)
        for layer in self.norms:
            layer.follow((self.step + 1) / self.config.num_steps)
        batch = torch.from_numpy(self.schedule.batch(self.step)).to(self.device)
        sequences = self.config.micro_batch_tokens // self.config.max_length
        passes = batch.split(max(1, sequences))
        total = 0.0
        for rows in passes:
            with self._autocast():
                loss = self.loss_of(rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1), length)
            (loss / len(passes)).backward()
            total += loss.item() / len(passes)
        if not math.isfinite(total):
            raise ConfigError(f"the loss became {total} at step {self.step}: lower train.learning_rate")
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total, float(norm)

    def _loss(self, input_ids: torch.Tensor, targets: torch.Tensor, length: int) -> torch.Tensor:
        """Mean cross-entropy of `targets [T]` after `input_ids [T]`, in sequences of `length`."""
        num_sequences = input_ids.shape[0] // length
        positions = torch.arange(length, device=input_ids.device).repeat(num_sequences)
        attention = DenseAttention(num_sequences, self.recipe.model.layer_windows)
        logits = self.model.compute_logits(self.model(input_ids, positions, attention))
        return F.cross_entropy(logits.float(), targets)

    @torch.no_grad()
    def _evaluate_pieces(self, pieces: torch.Tensor) -> float:
        sequences = max(1, self.config.micro_batch_tokens // self.config.max_length)
        total = 0.0
        for rows in pieces.to(self.device).split(sequences):
            with self._autocast():
                loss = self._loss(rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1), self.config.max_length)
            total += loss.item() * len(rows)
        return total / len(pieces)

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
        parameters = dict(self.model.named_parameters())
        for key, value in tensors.items():
            name, _, field = key.rpartition("/")
            on = value.device if value.dim() == 0 else self.device
            self.optimizer.state[parameters[name]][field] = value.to(on)

    def _drop_metrics_after(self, step: int) -> None:
        """A killed run may have logged steps that its last checkpoint does not know; they will come again."""
        path = self.directory / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _pieces(ids: object, length: int, max_tokens: int) -> torch.Tensor | None:
    """`[n, length + 1]` consecutive pieces of an id array, or None where there is not even one."""
    array = torch.as_tensor(ids, dtype=torch.int64)
    count = min((len(array) - 1) // length, max(1, max_tokens // length))
    if count < 1:
        return None
    return torch.stack([array[i * length : i * length + length + 1] for i in range(count)])
