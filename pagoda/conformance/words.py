"""The report's words, in English and in Chinese: one record per language with the same fields.

The sentences of the checks are their docstrings; the Chinese ones stand in `chinese`, by the names of the checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pagoda.conformance.check import Check
from pagoda.conformance.chinese import SENTENCES


@dataclass(frozen=True, kw_only=True)
class Words:
    """Headings and sentences in one language. `sentences`: those of the checks that differ from their docstrings."""

    title: str
    running: str
    score: str
    needed_by: str
    group: str
    held: str
    failed: str
    skipped: str
    expected: str
    got: str
    sent: str
    sentences: Mapping[str, str] = field(default_factory=dict)

    def sentence(self, check: Check) -> str:
        """What a check says in this language."""
        return self.sentences.get(check.name, check.sentence)


ENGLISH = Words(
    title="Conformance of {url}",
    running="running {count} checks against {url}",
    score="{held} of {counted} checks held, {failed} failed, {skipped} did not apply",
    needed_by="needed by",
    group="group",
    held="held",
    failed="failed",
    skipped="skipped",
    expected="expected",
    got="got",
    sent="sent",
)

CHINESE = Words(
    title="{url} 的一致性",
    running="正在对 {url} 运行 {count} 项检查",
    score="{counted} 项检查中通过 {held} 项，失败 {failed} 项；另有 {skipped} 项不适用",
    needed_by="依赖者",
    group="分组",
    held="通过",
    failed="失败",
    skipped="跳过",
    expected="期望",
    got="实际",
    sent="请求",
    sentences=SENTENCES,
)
