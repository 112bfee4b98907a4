"""The table of devices: what is known, what users add, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import ConfigError
from pagoda.planning.devices import DeviceTable, parse_devices


def write(path: Path, **parts: Any) -> Path:
    file = path / "devices.json"
    file.write_text(json.dumps(parts))
    return file


def test_every_known_device_is_whole_and_says_whose_efficiency_it_has(table: DeviceTable) -> None:
    for device in table.devices.values():
        assert device.memory_bytes > 20e9
        assert 0.3 < device.efficiency.bandwidth <= 1
        assert 0.1 < device.peak("bfloat16") / device.peaks["bfloat16"] <= 1
        assert device.peak("codes") == device.peak("bfloat16")
    assert table.device("h100-80gb").borrowed is None
    assert table.device("L4-24GB").borrowed == "H100-80GB"


def test_an_unknown_device_is_refused_with_the_known_ones(table: DeviceTable) -> None:
    with pytest.raises(ConfigError, match="device 'TPU-v9' is not known: give one of cpu, H100-80GB,"):
        table.device("TPU-v9")
    with pytest.raises(ConfigError, match="no products of nvfp4"):
        table.device("A100-80GB").peak("nvfp4")
    with pytest.raises(ConfigError, match='did you mean "vllm"'):
        table.program("vlm")


def test_a_users_file_adds_and_replaces(tmp_path: Path) -> None:
    mine = {"memory_gb": 48, "bandwidth": 1e12, "link": 1e10, "peaks": {"bfloat16": 2e14}, "efficiency": "H100-80GB"}
    table = DeviceTable.load(write(tmp_path, devices={"Mine-48GB": mine}))
    assert table.device("mine-48gb").memory_bytes == 48 * 10**9
    assert table.device("L4-24GB").memory_bytes == 23034 * 2**20  # what is left of 24 GiB with ECC
    assert table.device("B200-180GB")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"bandwith": 1}, 'did you mean "bandwidth"'),
        ({"memory_gb": 1}, "is not whole"),
        ({"memory_gb": 1, "bandwidth": 1, "link": 1, "peaks": {"fp8": 1}}, "X's peaks lack bfloat16"),
        ({"efficiency": "Nobody"}, "takes its efficiency from 'Nobody'"),
        (7, "but an object is expected"),
    ],
)
def test_a_broken_entry_is_refused(tmp_path: Path, entry: object, words: str) -> None:
    whole = {"efficiency": "H100-80GB", **entry} if isinstance(entry, dict) else entry
    with pytest.raises(ConfigError, match=words):
        DeviceTable.load(write(tmp_path, devices={"X": whole}))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("no")
    with pytest.raises(ConfigError, match="cannot read the table of devices"):
        DeviceTable.load(tmp_path / "text.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ConfigError, match="must hold an object"):
        DeviceTable.load(tmp_path / "list.json")
    with pytest.raises(ConfigError, match='did you mean "devices"'):
        DeviceTable.load(write(tmp_path, device={}))


@pytest.mark.parametrize("text", ["", "0xH100", "00xH100", "8 x", "x 8", "8xH100,4xL4"])
def test_what_names_no_devices_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a number and a device are expected"):
        parse_devices(text)
