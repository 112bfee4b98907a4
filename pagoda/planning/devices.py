"""Devices by name: memory, peaks, links, and the constants that were fitted to public measurements of them.

Beside the token's path. `devices.json` is the table; a file of the same form adds to it (`--device-table`). A constant
that nobody measured is taken from a device that somebody did, and the plan says so. Imports no torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pagoda.errors import ConfigError, nearest

TABLE = Path(__file__).parent / "devices.json"
THIS_MACHINE = "cpu"
_ASKED = re.compile(r"^(?:(\d+)\s*[xX]\s*)?([A-Za-z][\w.+-]*)$")
_UNITS = {"memory_gb": 10**9, "memory_mib": 1 << 20}
"""In which a table may say a device's memory, besides `memory_bytes`."""
_PARTS = ("devices", "programs")
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Efficiency:
    """Shares of a device's peaks that kernels reach: of its bandwidth, and of its products by dtype.

    kv: of the bandwidth that weights are read at, what keys and values are read at
    attention: of the peak of 16-bit products, what a prompt's attention reaches
    """

    bandwidth: float
    products: Mapping[str, float]
    kv: float
    attention: float


@dataclass(frozen=True)
class Overheads:
    """What a serving program adds, in seconds.

    step, layer, sequence: to a step, for each of its layers, for each sequence in it
    request: to each request's first token; request_beside: for each other one that is under way
    crowding: share of the prompts of the others that a request's first token waits for
    mixing: share of a prompt's own time that it costs when it is computed beside answers
    products: of the device's efficiency in products, what this program's kernels reach
    """

    step: float
    layer: float
    sequence: float
    request: float = 0.0
    request_beside: float = 0.0
    crowding: float = 0.3
    mixing: float = 1.0
    products: float = 1.0


@dataclass(frozen=True)
class Device:
    """One device. Rates are a second, of one direction; `peaks` of products by dtype, two operations a weight.

    opening: weights in codes a second that are made numbers on their way into a product, once a step for all its rows;
    infinite where that takes no time of its own
    usable: share of the memory for weights, keys and values, and a step's own tensors
    all_reduce: seconds of one all-reduce of nothing, for each doubling of the ranks; link_share: of the link's rate
    borrowed: the device whose efficiency was taken, as this one's was not measured; None where it was
    """

    name: str
    memory_bytes: int
    bandwidth: float
    peaks: Mapping[str, float]
    link: float
    efficiency: Efficiency
    opening: float = math.inf
    usable: float = 0.9
    all_reduce: float = 5e-6
    link_share: float = 0.5
    borrowed: str | None = None

    def peak(self, dtype: str) -> float:
        """Operations a second that products of this dtype reach. Raises ConfigError where the device has none.

        Codes are widened to 16 bits on their way into products, where nothing else was measured.
        """
        if dtype == "codes" and dtype not in self.peaks:
            dtype = "bfloat16"
        if dtype not in self.peaks:
            raise ConfigError(f"{self.name} has no products of {dtype}, but of {', '.join(self.peaks)}")
        return self.peaks[dtype] * self.efficiency.products.get(dtype, self.efficiency.products["bfloat16"])


@dataclass(frozen=True)
class DeviceTable:
    """What is known: devices by name, and overheads of serving programs by name."""

    devices: Mapping[str, Device]
    programs: Mapping[str, Overheads]

    @classmethod
    def load(cls, *more: Path) -> DeviceTable:
        """The table that ships, and what the files say beyond it. Raises ConfigError."""
        raw: dict[str, dict[str, Any]] = {"devices": {}, "programs": {}}
        for path in (TABLE, *more):
            for part, entries in _read(path).items():
                raw[part].update(entries)
        programs = {name: _record(Overheads, entry, name) for name, entry in raw["programs"].items()}
        return cls({name: _device(name, raw["devices"]) for name in raw["devices"]}, programs)

    def device(self, name: str) -> Device:
        """Raises ConfigError that lists the known ones. Case does not matter."""
        by_name = {known.lower(): device for known, device in self.devices.items()}
        if (found := by_name.get(name.lower())) is None:
            known = ", ".join([THIS_MACHINE, *self.devices])
            raise ConfigError(
                f"device {name!r} is not known: give one of {known}, or describe it in a file for --device-table "
                f"(pagoda/planning/devices.json is an example)"
            )
        return found

    def program(self, name: str) -> Overheads:
        if name not in self.programs:
            raise ConfigError(f"program {name!r} is not known: {nearest(name, self.programs)}")
        return self.programs[name]


def parse_devices(text: str) -> tuple[int | None, str]:
    """How many, None where nothing is said of it, and of what. Raises ConfigError.

    >>> parse_devices("8xH100-80GB"), parse_devices("CPU")
    ((8, 'H100-80GB'), (None, 'cpu'))
    """
    asked = _ASKED.match(text.strip())
    if asked is None or (asked[1] is not None and int(asked[1]) == 0):
        raise ConfigError(f"devices is {text!r}, but a number and a device are expected, such as 8xH100-80GB or cpu")
    name = THIS_MACHINE if asked[2].lower() == THIS_MACHINE else asked[2]
    return None if asked[1] is None else int(asked[1]), name


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the table of devices {path}: {error}") from error
    if not isinstance(raw, dict) or not all(isinstance(raw.get(part, {}), dict) for part in _PARTS):
        raise ConfigError(f"{path} must hold an object with the objects devices and programs")
    if unknown := sorted(set(raw) - {*_PARTS, "about"}):
        raise ConfigError(f"{path} has {unknown[0]!r}: {nearest(unknown[0], _PARTS)}")
    return {part: raw.get(part, {}) for part in _PARTS}


def _device(name: str, entries: Mapping[str, Any]) -> Device:
    """An entry; its efficiency may be the name of another device."""
    entry = dict(_object(entries[name], name))
    borrowed = entry.get("efficiency") if isinstance(entry.get("efficiency"), str) else None
    if borrowed is not None:
        if borrowed not in entries or isinstance(_object(entries[borrowed], borrowed).get("efficiency"), str):
            raise ConfigError(f"{name} takes its efficiency from {borrowed!r}, which has none of its own")
        entry["efficiency"] = entries[borrowed]["efficiency"]
    entry["efficiency"] = _record(Efficiency, _object(entry.get("efficiency"), name), f"{name}'s efficiency")
    for unit, num_bytes in _UNITS.items():
        if unit in entry:
            entry["memory_bytes"] = int(entry.pop(unit) * num_bytes)
    device = _record(Device, {"name": name, **entry}, name)
    for what, rates in (("peaks", device.peaks), ("efficiency's products", device.efficiency.products)):
        if "bfloat16" not in _object(rates, f"{name}'s {what}"):
            raise ConfigError(f"{name}'s {what} lack bfloat16, which attention and the head are reckoned in: add it")
    return replace(device, borrowed=borrowed)


def _object(entry: object, name: str) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{name}: {entry!r:.80}, but an object is expected")
    return entry


def _record(kind: type[_Kind], entry: Mapping[str, Any], name: str) -> _Kind:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(entry) - known):
        raise ConfigError(f"{name} has {unknown[0]!r}: {nearest(unknown[0], known)}")
    try:
        return kind(**entry)
    except TypeError as error:
        raise ConfigError(f"{name} is not whole ({error}): compare it with an entry of {TABLE.name}") from error
