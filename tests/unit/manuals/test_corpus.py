"""The corpus is built from a folder or the network, checked, and what is missing is told with its address."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import pytest
from manuals.archive import files_of, plain
from manuals.corpus import Corpus, fetched
from manuals.sources import Source


def _package(files: dict[str, bytes]) -> bytes:
    """A Debian package with these files, as `ar` and `tar` write them."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    package = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
        package += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        package += b"\n" * (len(content) % 2)
    return package


def _source(package: bytes) -> Source:
    url, sha256 = "https://example.org/a_1.deb", hashlib.sha256(package).hexdigest()
    return Source("manual", "en", "", "public domain", "usr/doc", ("a.txt", "b.html.gz"), url=url, sha256=sha256)


def test_a_package_in_the_folder_is_unpacked_and_its_files_are_plain(tmp_path: Path) -> None:
    package = _package({"usr/doc/a.txt": b"one", "usr/doc/b.html.gz": gzip.compress(b"<p>two</p>")})
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "a_1.deb").write_bytes(package)
    corpus = Corpus(tmp_path, {}, fetches=False)
    assert len(corpus.missing([_source(package)])) == 2
    corpus.build(_source(package))
    assert corpus.missing([_source(package)]) == []
    assert corpus.path("en/manual/b.html").read_bytes() == b"<p>two</p>"


def test_what_is_missing_offline_is_told_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a_1\.deb is not there: have it from https://example\.org"):
        Corpus(tmp_path, {}, fetches=False).build(_source(b"any"))


def test_other_content_than_expected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sources" / "repo").mkdir(parents=True)
    (tmp_path / "sources" / "repo" / "a.md").write_text("changed", "utf-8")
    source = Source("manual", "en", "", "MIT", "", ("a.md",), repository="owner/repo", commit="abc")
    with pytest.raises(ValueError, match="checksum"):
        Corpus(tmp_path, {"en/manual/a.md": "0" * 64}, fetches=False).build(source)


def test_a_file_that_is_no_package_and_one_that_lacks_a_file_are_refused() -> None:
    with pytest.raises(ValueError, match="no Debian package"):
        files_of(b"<html>", ["a"])
    with pytest.raises(KeyError, match=r"b\.txt"):
        files_of(_package({"a.txt": b""}), ["b.txt"])


def test_an_address_that_cannot_be_had_is_named() -> None:
    def refusing(url: str, timeout: float) -> object:
        raise TimeoutError("slow")

    with pytest.raises(OSError, match=r"https://example\.org/a cannot be had .*put it into FOLDER/sources"):
        fetched("https://example.org/a", refusing)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_a_page_of_man_is_made_plain_text_without_hyphens_at_line_ends() -> None:
    page = b".TH A 1\n.SH NAME\na\n.SH DESCRIPTION\n" + b"incomprehensibilities " * 20 + b"\\-\\-all\n"
    text = plain("man1/a.1.gz", gzip.compress(page)).decode()
    assert text.count("incomprehensibilities") == 20
    assert "--all" in text
    assert not {"\x1b", "\x08"} & set(text)
