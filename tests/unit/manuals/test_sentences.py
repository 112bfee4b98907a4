"""Sentences are taken as they were written: paragraphs joined, marks gone, headings, code and tables left out."""

from __future__ import annotations

from pathlib import Path

from manuals.sentences import sentences


def test_of_markdown_paragraphs_are_joined_and_all_else_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "---\ntitle: x\n---\n# Head\n\nThe *limit* is\n`50`. See [this](b.md).\n\n```\ncode here.\n```\n\n| a | b |\n",
        "utf-8",
    )
    assert list(sentences(path, "en")) == ["The limit is 50.", "See this."]


def test_of_a_web_page_paragraphs_and_items_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>视图<b>不支持</b>写入。可以查询。</p><pre>code。</pre><ul><li>一项。</li></ul>", "utf-8")
    assert list(sentences(path, "zh")) == ["视图不支持写入。", "可以查询。", "一项。"]


def test_of_a_pdf_none_are_taken(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    assert list(sentences(tmp_path / "a.pdf", "en")) == []
