"""The constants of `pagoda/planning/devices.json`, fitted anew on half of public measurements; the error on the other.

The measurements are `silicon_sample.csv` of github.com/ai-dynamo/aiconfigurator (Apache-2.0; aic-core/src/
aiconfigurator_core/systems), which is not part of this repository. A row is in the fitted half where the SHA-256 of its
id is even. Of the rows those count that serve Llama 3.1 or Qwen3-32B in one place (`agg`) on H100, H200 or B200. Needs
nothing but numpy. Run from the repository root:

    python benchmarks/fit_devices.py silicon_sample.csv [--write pagoda/planning/devices.json]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from least_squares import fitted

from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel, StepCost
from pagoda.planning.devices import TABLE, DeviceTable
from pagoda.planning.formats import FORMATS
from pagoda.planning.shapes import ModelShape, shape_of
from pagoda.planning.steady import Expected, RequestMix, expected

DEVICES = {"h100_sxm": "H100-80GB", "h200_sxm": "H200-141GB", "b200_sxm": "B200-180GB"}
_LLAMA = {"architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "num_key_value_heads": 8, "rms_norm_eps": 1e-5}
_8B = {**_LLAMA, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
_70B = {**_LLAMA, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64}
_32B = {
    **_LLAMA, "architectures": ["Qwen3ForCausalLM"], "vocab_size": 151936, "hidden_size": 5120,
    "intermediate_size": 25600, "num_hidden_layers": 64, "num_attention_heads": 64, "head_dim": 128,
}  # fmt: skip
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": _8B,
    "nvidia/Llama-3.1-8B-Instruct-FP8": _8B,
    "meta-llama/Llama-3.1-70B": _70B,
    "Qwen/Qwen3-32B": _32B,
}
FORMAT_OF = {"": "bfloat16", "bf16": "bfloat16", "fp8": "fp8", "fp4": "nvfp4"}
STEP_TOKENS = 8192
"""Of a step of the programs that were measured, at most."""
TTFT_WEIGHT = 0.6
PRIOR_WEIGHT = 0.05


@dataclass(frozen=True)
class Point:
    """One measurement. first_piece: tokens in the first piece that the client saw."""

    model: str
    device: str
    program: str
    shape: ModelShape
    parallel: Parallel
    usage: RequestMix
    ttft_s: float
    tpot_s: float
    first_piece: int
    is_fitted: bool


def read(path: Path) -> list[Point]:
    points = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["mode"] != "agg" or row["model_path"] not in MODELS or row["system"] not in DEVICES:
                continue
            config = ModelConfig.from_dict(dict(MODELS[row["model_path"]]))
            held = FORMATS[FORMAT_OF[row["precision"]]]
            shape = shape_of(config, held)
            if held.products != "bfloat16":
                # Such checkpoints bring scales for keys and values of one byte.
                shape = replace(shape, kv_bytes_per_token=shape.kv_bytes_per_token // 2)
            points.append(
                Point(
                    model=row["model_path"].split("/")[1],
                    device=DEVICES[row["system"]],
                    program=row["backend"],
                    shape=shape,
                    parallel=Parallel(int(row["tp_size"])),
                    usage=RequestMix(int(row["isl"]), int(row["osl"]), int(row["batch_size"])),
                    ttft_s=float(row["silicon_ttft_ms"]) / 1e3,
                    tpot_s=float(row["silicon_tpot_ms"]) / 1e3,
                    first_piece=_first_piece(row),
                    is_fitted=int(hashlib.sha256(row["id"].encode()).hexdigest(), 16) % 2 == 0,
                )
            )
    return points


def _first_piece(row: dict[str, str]) -> int:
    """TensorRT-LLM's runs of Llama 70B at 1,024 and 1,024 tokens send 20 tokens at a time.

    No column says so: in the fitted half their times to the first token are 20 steps above those of the same prompts
    with longer answers, whatever the device and the number of ranks.
    """
    return 20 if row["backend"] == "trtllm" and "70B" in row["model_path"] and row["osl"] == "1024" == row["isl"] else 1


@dataclass(frozen=True)
class Constant:
    """A positive number of the table. `places`: where it stands; `weight`: how firmly it is held to its start."""

    name: str
    start: float
    places: Sequence[tuple[str, ...]]
    weight: float = PRIOR_WEIGHT


def constants() -> list[Constant]:
    """Bandwidth is held near 80 %: full steps tell it from overheads of layers only poorly."""
    devices = list(DEVICES.values())
    found = []
    for name in devices:
        where = ("devices", name, "efficiency")
        found.append(Constant(f"bandwidth {name}", 0.8, [(*where, "bandwidth")], 1.0))
        found.append(Constant(f"bfloat16 {name}", 0.6, [(*where, "products", "bfloat16")]))
        found.append(Constant(f"fp8 {name}", 0.5, [(*where, "products", "fp8")], 0.3))
    found.append(Constant("nvfp4", 0.4, [("devices", "B200-180GB", "efficiency", "products", "nvfp4")]))
    for name, start in (("kv", 0.8), ("attention", 0.5)):
        found.append(Constant(name, start, [("devices", device, "efficiency", name) for device in devices], 0.2))
    for name, start in (("all_reduce", 4e-6), ("link_share", 0.5)):
        found.append(Constant(name, start, [("devices", device, name) for device in devices], 0.2))
    starts = {"step": 2e-3, "layer": 1e-5, "sequence": 2e-5, "request": 2e-2, "request_beside": 1e-3}
    starts |= {"crowding": 0.3, "mixing": 0.8, "products": 1.0}
    for program in ("vllm", "trtllm", "sglang"):
        found += [Constant(f"{name} {program}", start, [("programs", program, name)]) for name, start in starts.items()]
    return found


def filled(table: DeviceTable, wanted: Sequence[Constant], logarithms: np.ndarray) -> DeviceTable:
    """The table with these constants in their places."""
    devices, programs = dict(table.devices), dict(table.programs)
    for constant, value in zip(wanted, np.exp(logarithms).tolist(), strict=True):
        for part, name, *rest in constant.places:
            if part == "programs":
                programs[name] = replace(programs[name], **{rest[0]: value})
            else:
                devices[name] = _with(devices[name], rest, value)
    return DeviceTable(devices, programs)


def _with(record: Any, path: Sequence[str], value: float) -> Any:
    if not path:
        return value
    if isinstance(record, dict):
        return {**record, path[0]: _with(record.get(path[0]), path[1:], value)}
    return replace(record, **{path[0]: _with(getattr(record, path[0]), path[1:], value)})


def predict(table: DeviceTable, point: Point) -> Expected:
    device, overheads = table.devices[point.device], table.programs[point.program]
    cost = StepCost(device, point.shape, point.parallel, overheads)
    room = device.memory_bytes * device.usable * point.parallel.num_devices - point.shape.weight_bytes
    kv_tokens = max(room, 0.0) / point.shape.kv_bytes_per_token
    found = expected(cost, overheads, point.usage, kv_tokens, STEP_TOKENS)
    return replace(found, ttft_s=found.ttft_s + (point.first_piece - 1) * found.tpot_s)


def residuals(
    table: DeviceTable, wanted: Sequence[Constant], points: Sequence[Point], logarithms: np.ndarray
) -> np.ndarray:
    now = filled(table, wanted, logarithms)
    found = [predict(now, point) for point in points]
    ttft = [TTFT_WEIGHT * np.log(each.ttft_s / point.ttft_s) for each, point in zip(found, points, strict=True)]
    tpot = [np.log(each.tpot_s / point.tpot_s) for each, point in zip(found, points, strict=True)]
    prior = [
        constant.weight * (value - np.log(constant.start)) for constant, value in zip(wanted, logarithms, strict=True)
    ]
    return np.array([*ttft, *tpot, *(10 * weighed for weighed in prior)])


def fit(table: DeviceTable, wanted: Sequence[Constant], points: Sequence[Point]) -> np.ndarray:
    """Logarithms of the constants."""

    def of(logarithms: np.ndarray) -> np.ndarray:
        return residuals(table, wanted, points, logarithms)

    return fitted(of, np.log([constant.start for constant in wanted]), step=1e-4, scale=0.15, num_rounds=25)


def report(table: DeviceTable, points: Sequence[Point], title: str) -> None:
    found = [predict(table, point) for point in points]
    ttft = np.array([abs(each.ttft_s / point.ttft_s - 1) for each, point in zip(found, points, strict=True)])
    tpot = np.array([abs(each.tpot_s / point.tpot_s - 1) for each, point in zip(found, points, strict=True)])
    groups = {"all": list(range(len(points)))}
    groups["Llama"] = [i for i, point in enumerate(points) if "Llama" in point.model]
    for i, point in enumerate(points):
        groups.setdefault(f"{point.model} {point.program} {point.device}", []).append(i)
    print(f"{title}: error of TTFT and TPOT, median and 90th percentile")
    for name, members in groups.items():
        a, b = (np.quantile(errors[members], [0.5, 0.9]) * 100 for errors in (ttft, tpot))
        print(f"  {name:<48}{len(members):>4}  TTFT {a[0]:5.1f} % {a[1]:6.1f} %   TPOT {b[0]:5.1f} % {b[1]:6.1f} %")


def write(path: Path, wanted: Sequence[Constant], logarithms: np.ndarray) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    for constant, value in zip(wanted, np.exp(logarithms).tolist(), strict=True):
        for place in constant.places:
            entry = raw
            for name in place[:-1]:
                entry = entry[name]
            entry[place[-1]] = float(f"{value:.4g}")
    parts = []
    for part in ("devices", "programs"):
        entries = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in raw[part].items())
        parts.append(f"  {json.dumps(part)}: {{\n{entries}\n  }}")
    about = f'  "about": {json.dumps(raw["about"])}'
    path.write_text("{\n" + ",\n".join([about, *parts]) + "\n}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path, help="silicon_sample.csv")
    parser.add_argument("--write", type=Path, help=f"put the constants into this table, such as {TABLE.name}")
    parser.add_argument("--only-report", action="store_true", help="fit nothing: the error of the table as it is")
    parser.add_argument("--only-fitted", action="store_true", help="do not look at the held-back half")
    args = parser.parse_args()
    points, table, wanted = read(args.sample), DeviceTable.load(), constants()
    known = [point for point in points if point.is_fitted]
    if not args.only_report:
        logarithms = fit(table, wanted, known)
        table = filled(table, wanted, logarithms)
        for constant, value in zip(wanted, np.exp(logarithms).tolist(), strict=True):
            print(f"  {constant.name:<28}{value:.4g}")
        if args.write is not None:
            write(args.write, wanted, logarithms)
    report(table, known, "fitted half")
    if not args.only_fitted:
        report(table, [point for point in points if not point.is_fitted], "held-back half")


if __name__ == "__main__":
    main()
