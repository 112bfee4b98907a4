"""The right state, folded from labels: what the person has said so far for the task under way, and what was let go.

Beside a turn's path. A wish that the dialogue said it could not use is waived: it was told, and the person may say it
again. Values of a task that was left, and old ones of a task that was begun anew, may be kept or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from judged.labels import Label, Want
from judged.meaning import Free, Meaning, Nodes


@dataclass(frozen=True)
class Expected:
    """task: intent under way; wants: by slot; ever: all that was ever said of a slot; missing: lost in turns before."""

    task: str = ""
    wants: Mapping[str, Want] = field(default_factory=dict)
    ever: Mapping[str, tuple[Meaning, ...]] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()

    def after(self, label: Label) -> Expected:
        """With what a sentence says."""
        is_new = bool(label.task) and (label.task != self.task or label.is_fresh)
        wants = {} if is_new else dict(self.wants)
        ever = dict(self.ever)
        for want in label.wants:
            if not want.is_optional or want.slot not in {each.slot for each in label.wants if not each.is_optional}:
                wants[want.slot] = want
            ever[want.slot] = (*ever.get(want.slot, ()), *want.meanings)
        named = {label.node, *(key for asked in label.asked for key in asked.of.split("|"))} - {"", "shown", "booked"}
        ever["name"] = (*ever.get("name", ()), *(Nodes(frozenset({key})) for key in sorted(named)))
        said = {want.slot for want in label.wants}
        missing = frozenset() if is_new else self.missing - said
        return Expected(label.task or self.task, wants, ever, missing)

    def waived(self, slots: frozenset[str]) -> Expected:
        """Without wishes that were told to be unusable or not understood."""
        return replace(self, wants={slot: want for slot, want in self.wants.items() if slot not in slots})

    def lost(self, slots: frozenset[str]) -> Expected:
        """With these known to be missing."""
        return replace(self, missing=self.missing | slots)

    def ended(self) -> Expected:
        """After a booking was written."""
        return replace(self, task="", wants={}, missing=frozenset())

    def answered(self, want: Want) -> Expected:
        """With the answer to a question that the conversation's sentences do not hold."""
        return replace(
            self,
            wants={**self.wants, want.slot: want},
            ever={**self.ever, want.slot: (*self.ever.get(want.slot, ()), *want.meanings)},
            missing=self.missing - {want.slot},
        )

    def knows(self, slot: str) -> bool:
        """Whether the person has given a value for it."""
        want = self.wants.get(slot)
        return want is not None and not want.is_optional and not isinstance(want.meanings[0], Free)
