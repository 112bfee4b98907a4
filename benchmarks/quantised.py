"""What quantisation costs a model: perplexity, KL and agreement with the source for each scheme, at its exact bytes.

    python benchmarks/quantised.py MODEL --calibration FILE [FILE ...] --evaluation FILE [FILE ...] [--only NAME ...]

Texts are yours to choose; take some that nobody tuned on. Windows are spread evenly over a file, `--windows` of each
calibration text and `--measured` of each evaluation text. All schemes are calibrated and measured on the same windows,
so rows compare. `--beside FILE ...` adds rows for GGUF files that another program made of the same model, held against
it over the same windows; their bits are those of all tensors in the file. `--work FOLDER` keeps what is done, and an
interrupted run goes on there; a row that is finished is read from it. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pagoda.engine.args import BUILTIN_MODEL
from pagoda.models.checkpoint.hub import resolve_model
from pagoda.models.checkpoint.loading import load_config, load_tokenizer
from pagoda.models.gguf.container import GGUFFile, opened
from pagoda.models.quantise.job import Texts
from pagoda.models.quantise.plans import size_of
from pagoda.models.quantise.quality import Logits, Quality, compare
from pagoda.models.quantise.running import Bounds, QuantisationRequest, Quantiser
from pagoda.models.quantise.streamed import StreamedNetwork, run_layer
from pagoda.models.quantise.texts import read_windows

ROWS: dict[str, QuantisationRequest] = {
    "int8": QuantisationRequest("int8", "rtn"),
    "int4 g64 RTN": QuantisationRequest("int4", "rtn", 64, symmetric=False),
    "int4 g64 GPTQ": QuantisationRequest("int4", "gptq", 64, symmetric=False),
    "int4 g64 symmetric RTN": QuantisationRequest("int4", "rtn", 64, symmetric=True),
    "int4 g64 symmetric GPTQ": QuantisationRequest("int4", "gptq", 64, symmetric=True),
    "mixed 5.2 bits GPTQ": QuantisationRequest("mixed", "gptq", symmetric=False, bounds=Bounds(target_bits=5.2)),
    "int4 g32 GPTQ": QuantisationRequest("int4", "gptq", 32, symmetric=False),
}


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    checkpoint = opened(resolve_model(BUILTIN_MODEL if arguments.model == "builtin" else arguments.model))
    config, tokenizer = load_config(checkpoint), load_tokenizer(checkpoint)

    def windows(paths: list[Path], count: int) -> dict[str, torch.Tensor]:
        return {path.name: read_windows(path, tokenizer, count, arguments.length) for path in paths}

    calibration = torch.cat(list(windows(arguments.calibration, arguments.windows).values()))
    texts = Texts(calibration, windows(arguments.evaluation, arguments.measured))
    network = StreamedNetwork(checkpoint, config)
    print(f"{arguments.model}: {len(calibration)} windows of {arguments.length} tokens to calibrate on\n")
    names = list(texts.measured)
    print(f"| scheme | bits a weight | {' | '.join(f'{n}: perplexity | change | KL | top-1' for n in names)} | s |")
    print(f"|---|---|{'---|---|---|---|' * len(names)}---|", flush=True)
    source = Measured(network, texts)
    for path in arguments.beside:
        print(_row(path.name, source.beside(path, arguments.work / path.name), names), flush=True)
    for name in ROWS if arguments.only is None else arguments.only:
        folder = arguments.work / name.replace(" ", "-")
        # Rounding learns nothing from a text: it need not walk through the network.
        used = Texts(calibration[:0], texts.measured) if ROWS[name].method == "rtn" else texts
        quantiser = Quantiser(network, checkpoint, used, folder)
        print(_row(name, _found(quantiser, ROWS[name], folder), names), flush=True)


def _found(quantiser: Quantiser, request: QuantisationRequest, folder: Path) -> dict[str, Any]:
    """What a row came to, carried out or kept. The bits count the head in its codes, int8 where not mixed."""
    kept = folder / "row.json"
    if kept.exists():
        return json.loads(kept.read_text())
    began = time.monotonic()
    outcome = quantiser.run(request).outcome
    bits = size_of(quantiser.network.config, outcome.plan).bits_per_weight
    return _kept(kept, bits, outcome.quality, time.monotonic() - began)


def _kept(path: Path, bits: float, quality: Mapping[str, Quality], seconds: float) -> dict[str, Any]:
    found = {
        "bits": bits,
        "quality": {name: {**asdict(each), "change": each.perplexity_change} for name, each in quality.items()},
        "seconds": seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return found


class Measured:
    """A source, which walks through its layers once, however many copies of it are held against it."""

    def __init__(self, network: StreamedNetwork, texts: Texts) -> None:
        self.network, self.texts = network, texts
        self._hidden: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def beside(self, path: Path, folder: Path) -> dict[str, Any]:
        """The row of a file that another program made."""
        kept = folder / "row.json"
        if kept.exists():
            return json.loads(kept.read_text())
        began, file = time.monotonic(), GGUFFile.open(path)
        copy = StreamedNetwork(file, load_config(file))
        quality = {}
        for name, windows in self.texts.measured.items():
            if name not in self._hidden:
                self._hidden[name] = _through(self.network, windows)
            hidden = self._hidden[name], _through(copy, windows)
            with _head(self.network) as ours, _head(copy) as theirs:
                quality[name] = compare(windows, *hidden, ours, theirs)
        num_bytes = sum(tensor.num_bytes for tensor in file.tensors.values())
        bits = 8 * num_bytes / self.network.config.num_parameters
        return _kept(kept, bits, quality, time.monotonic() - began)


@contextmanager
def _head(network: StreamedNetwork) -> Iterator[Logits]:
    with network.end() as (norm, matrix):
        yield lambda hidden: network.scaled(norm(hidden) @ matrix.T)


def _through(network: StreamedNetwork, texts: torch.Tensor) -> torch.Tensor:
    """`texts [n, length]` -> hidden states behind the last layer."""
    with network.embedding() as embedding:
        hidden = network.embed(embedding, texts)
    for layer_idx in range(network.num_layers):
        with network.layer(layer_idx) as layer:
            run_layer(network, layer, hidden, layer_idx)
    return hidden


def _row(name: str, found: dict[str, Any], texts: list[str]) -> str:
    cells = [name, f"{found['bits']:.2f}"]
    for text in texts:
        quality = found["quality"][text]
        cells += [
            f"{quality['perplexity']:.3f} of {quality['source_perplexity']:.3f}",
            f"{quality['change']:+.2%}",
            f"{quality['kl']:.4f}",
            f"{quality['top1_agreement']:.1%}",
        ]
    return f"| {' | '.join([*cells, format(found['seconds'], '.0f')])} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--calibration", type=Path, nargs="+", required=True)
    parser.add_argument("--evaluation", type=Path, nargs="+", required=True)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--measured", type=int, default=16)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=[*ROWS])
    parser.add_argument("--beside", type=Path, nargs="+", default=[])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "pagoda-quantised")
    return parser.parse_args()


if __name__ == "__main__":
    main()
