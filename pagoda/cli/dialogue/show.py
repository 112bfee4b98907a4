"""What `pagoda dialogue` prints of a turn and of a measurement, line by line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pagoda.cli.dialogue.words import DialogueWords

if TYPE_CHECKING:
    from pagoda.dialogue.turn.turn import Turn
    from pagoda.nlu.report import Report


def turn_lines(turn: Turn, words: DialogueWords) -> list[str]:
    """Everything between the sentence and the reply; what a turn did not do has no line."""
    told = turn.as_dict()
    return [*_reading_lines(told["understanding"], words), *_state_lines(told["state"], words), *_found(told, words)]


def _reading_lines(read: dict[str, Any], words: DialogueWords) -> list[str]:
    lines = [words.intent.format(**read)]
    slots = "  ".join(f"{slot['slot']}={slot['value']}" for slot in read["slots"])
    lines.append(words.slots.format(slots=slots or words.none))
    acts = "  ".join(":".join(filter(None, (act["kind"], act["slot"], act["value"]))) for act in read["acts"])
    return [*lines, words.acts.format(acts=acts)] if acts else lines


def _state_lines(state: dict[str, Any], words: DialogueWords) -> list[str]:
    slots = "  ".join(f"{slot}={_shown(value)}" for slot, value in state["slots"].items())
    lines = [words.state.format(intent=state["intent"] or words.none, slots=slots or words.none)]
    if state["requested"]:
        lines.append(words.requested.format(requested=state["requested"]))
    for name, template in (("missing", words.missing), ("suspended", words.suspended), ("results", words.results)):
        if state[name]:
            lines.append(template.format(**{name: "  ".join(state[name])}))
    return lines


def _found(told: dict[str, Any], words: DialogueWords) -> list[str]:
    lines = [words.action.format(action=told["action"])]
    if told["statement"]:
        lines.append(words.statement.format(statement=told["statement"].replace("\n", "\n" + " " * 12)))
        lines.append(words.parameters.format(parameters=json.dumps(told["parameters"], ensure_ascii=False)))
        lines.append(words.rows.format(count=len(told["rows"])))
    times = "  ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in told["timings"].items())
    return [*lines, words.timings.format(timings=times)]


def evaluation_lines(name: str, report: Report, words: DialogueWords) -> list[str]:
    """For a person, without what was not measured."""
    fields = {"name": name, "median": report.median_ms, "slow": report.p95_ms}
    shares = {"accuracy": _share(report.accepted_accuracy), "sentence": _share(report.sentence_accuracy)}
    lines = [words.evaluated.format(**fields, **shares)]
    if report.slots is not None:
        scores = {"precision": report.slots.precision, "recall": report.slots.recall, "f1": report.slots.f1}
        lines.append(words.evaluated_slots.format(name=name, **scores))
    if report.out_of_scope_recall is not None:
        scope = {"recall": _share(report.out_of_scope_recall), "rejects": _share(report.false_rejects)}
        lines.append(words.evaluated_scope.format(name=name, **scope))
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
