"""GGUF files: what is read of the header, sets of parts, and every way in which a file can be wrong."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagoda.errors import CheckpointError
from pagoda.models.checkpoint.gguf_source import GGUFSource
from pagoda.models.checkpoint.source import as_floats
from pagoda.models.gguf.container import GGUFFile, is_gguf, part_names

_METADATA: dict[str, Any] = {
    "llama.block_count": 3,
    "llama.scale": 0.5,
    "llama.is_causal": True,
    "llama.lengths": [1, 2, 3],
    "tokenizer.ggml.tokens": ["a", "狐狸", ""],
    "tokenizer.ggml.scores": [0.0, -1.5, 2.0],
}


def _write(path: Path, tensors: dict[str, np.ndarray], **options: Any) -> Path:
    """A file as the `gguf` package writes it, with `_METADATA`."""
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_uint32("llama.block_count", 3)
    writer.add_float32("llama.scale", 0.5)
    writer.add_bool("llama.is_causal", True)
    for key in ("llama.lengths", "tokenizer.ggml.tokens", "tokenizer.ggml.scores"):
        writer.add_array(key, _METADATA[key])
    for name, tensor in tensors.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if name.endswith("q8") else None
        writer.add_tensor(name, gguf.quants.quantize(tensor, kind) if kind is not None else tensor, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"embed": (5, 64), "norm": (7,), "experts": (2, 3, 32), "matrix.q8": (3, 64)}
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return _write(tmp_path / "tiny.gguf", _tensors())


def test_metadata_and_tensors_are_read_as_they_were_written(file: Path) -> None:
    opened = GGUFFile.open(file)
    assert opened.metadata["general.architecture"] == "llama"
    for key, value in _METADATA.items():
        np.testing.assert_array_equal(opened.metadata[key], value)
    assert opened.num_bytes == file.stat().st_size
    found = dict(GGUFSource(opened).read(opened.tensors))
    for name, tensor in _tensors().items():
        assert found[name].shape == tensor.shape
        np.testing.assert_allclose(as_floats(found[name]).numpy(), tensor, atol=0.02 if name.endswith("q8") else 0)


def test_a_set_of_parts_is_opened_by_its_first(tmp_path: Path) -> None:
    _write(tmp_path / "big.gguf", _tensors(), split_max_tensors=2)
    names = ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    assert sorted(os.listdir(tmp_path)) == names
    opened = GGUFFile.open(tmp_path / names[0])
    assert [path.name for path in opened.paths] == names
    assert list(opened.tensors) == list(_tensors())
    np.testing.assert_array_equal(dict(GGUFSource(opened).read(["norm"]))["norm"], _tensors()["norm"])
    with pytest.raises(CheckpointError, match=r"is part 2 of 2: give the first, big-00001-of-00002.gguf"):
        GGUFFile.open(tmp_path / names[1])
    (tmp_path / names[1]).rename(tmp_path / "other.gguf")
    with pytest.raises(CheckpointError, match=r"lacks big-00002-of-00002.gguf: download all of them"):
        GGUFFile.open(tmp_path / names[0])
    (tmp_path / names[0]).rename(tmp_path / "first.gguf")
    with pytest.raises(CheckpointError, match=r"is one of 2 parts, so its name should end in -00001-of-00002.gguf"):
        GGUFFile.open(tmp_path / "first.gguf")


def test_a_part_of_another_set_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "one.gguf", _tensors(), split_max_tensors=2)
    _write(tmp_path / "two.gguf", _tensors(), split_max_tensors=1)
    (tmp_path / "two-00002-of-00004.gguf").replace(tmp_path / "one-00002-of-00002.gguf")
    with pytest.raises(CheckpointError, match=r"split.count=4, and 2 is expected: it is of another set"):
        GGUFFile.open(tmp_path / "one-00001-of-00002.gguf")


def _header(*rows: bytes, version: int = 3, keys: bytes = b"", num_keys: int = 0, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, len(rows), num_keys) + keys + b"".join(rows)


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _row(name: bytes = b"w", dims: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return _text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


_BROKEN: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "is empty"),
    "another format": (b"PK\x03\x04" + bytes(60), r"is no GGUF file: it begins with b'PK"),
    "llama.cpp before GGUF": (b"tjgg" + bytes(60), "have to be converted"),
    "a pointer of git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run git lfs pull"),
    "a magic alone": (b"GGUF", "4 bytes are promised at byte 4, 0 are left"),
    "version 1": (_header(version=1), "is of GGUF version 1, read are 2 and 3"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is a big-endian GGUF file"),
    "counts beyond the file": (
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
        "bytes are promised at byte 24, 0 are left",
    ),
    "a text beyond the file": (_header(keys=struct.pack("<Q", 1 << 50), num_keys=1), "are left"),
    "a list beyond the file": (
        _header(keys=_text(b"k") + struct.pack("<IIQ", 9, 5, 1 << 50), num_keys=1),
        "are left",
    ),
    "a list of texts that ends early": (
        _header(keys=_text(b"k") + struct.pack("<IIQ", 9, 8, 2) + _text(b"a") + struct.pack("<Q", 99), num_keys=1),
        "does not end in the file",
    ),
    "lists without end": (
        _header(keys=_text(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 9 + bytes(64), num_keys=1),
        "more than 4 deep",
    ),
    "a value of no type": (_header(keys=_text(b"k") + struct.pack("<I", 77), num_keys=1), "a value of type 77"),
    "a key twice": (
        _header(keys=(_text(b"k") + struct.pack("<IB", 7, 1)) * 2, num_keys=2),
        "the key 'k' stands in it twice",
    ),
    "an odd alignment": (
        _header(keys=_text(b"general.alignment") + struct.pack("<II", 4, 24), num_keys=1),
        "general.alignment is 24",
    ),
    "a type that is not read": (_header(_row(kind=16)) + bytes(999), r"does not read \(w is IQ2_XXS\)"),
    "a type that nobody has": (_header(_row(kind=250)) + bytes(999), r"\(w is number 250\)"),
    "too many dimensions": (_header(_row(dims=(1,) * 5)) + bytes(999), "has 5 dimensions"),
    "no dimensions": (_header(_row(dims=())) + bytes(999), "holds nothing"),
    "a dimension of none": (_header(_row(dims=(32, 0))) + bytes(999), "holds nothing"),
    "half a block": (_header(_row(dims=(48, 2), kind=8)) + bytes(999), "not whole blocks of 32"),
    "a tensor between the bars": (_header(_row(offset=8)) + bytes(999), "is no multiple of the alignment 32"),
    "a tensor behind the end": (_header(_row(dims=(32, 99))) + bytes(999), "the file was cut short"),
    "a size beyond all numbers": (_header(_row(dims=(32, 1 << 62, 1 << 62))) + bytes(999), "the file was cut short"),
    "two tensors in one place": (_header(_row(), _row(b"v")) + bytes(999), "tensors 'w' and 'v' overlap"),
    "a tensor twice": (_header(_row(), _row(offset=128)) + bytes(999), "holds the tensor 'w' twice"),
}


@pytest.mark.parametrize("case", _BROKEN)
def test_a_broken_file_is_one_clear_error(case: str, tmp_path: Path) -> None:
    content, told = _BROKEN[case]
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=told) as caught:
        GGUFFile.open(path)
    assert str(path) in str(caught.value)


def test_a_file_cut_anywhere_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(0, len(whole) - 1, 37):
        file.write_bytes(whole[:size])
        with pytest.raises(CheckpointError):
            GGUFFile.open(file)


@given(data=st.data())
def test_a_changed_byte_of_the_header_never_ends_in_another_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("changed") / "tiny.gguf"
    whole = bytearray(_write(path, {"norm": np.zeros(8, np.float32)}).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(whole))
    try:
        opened = GGUFFile.open(path)
        list(GGUFSource(opened).read(opened.tensors))
    except CheckpointError:
        pass


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, path.stat().st_size - 40),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: (path.write_bytes(path.read_bytes()), os.utime(path, ns=(1, 1))),
    ],
    ids=["cut", "grown", "written anew"],
)
def test_a_file_that_changes_while_it_is_read_is_refused(file: Path, change: Callable[[Path], Any]) -> None:
    opened = GGUFFile.open(file)
    reading = GGUFSource(opened).read(opened.tensors)
    next(reading)
    change(file)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        list(reading)


def test_a_file_that_is_replaced_meanwhile_is_read_as_it_was(file: Path, tmp_path: Path) -> None:
    opened = GGUFFile.open(file)
    os.replace(_write(tmp_path / "new", {"other": np.ones(8, np.float32)}), file)
    np.testing.assert_array_equal(dict(GGUFSource(opened).read(["norm"]))["norm"], _tensors()["norm"])


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        GGUFFile.open(tmp_path / "absent.gguf")
    with pytest.raises(CheckpointError, match="cannot be read"):
        GGUFFile.open(tmp_path)


def test_a_file_is_known_by_its_name_or_its_first_bytes(file: Path, tmp_path: Path) -> None:
    renamed = file.rename(tmp_path / "sha256-0123")
    (tmp_path / "weights.bin").write_bytes(b"\x00\x01")
    assert is_gguf(renamed)
    assert is_gguf(tmp_path / "absent.GGUF")
    assert not is_gguf(tmp_path / "weights.bin")
    assert not is_gguf(tmp_path)


def test_names_of_a_set() -> None:
    assert part_names("a-00003-of-00003.gguf") == [f"a-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert part_names("a-0001-of-0003.gguf") == ["a-0001-of-0003.gguf"]
