"""Results that outlive the machine that measured them: one small file for each experiment, to be committed.

Behind `pagoda lab claims --results`: an experiment whose runs have all ended is written here without its curves, and is
read from here the next time, on whatever machine, so that a page of claims can be written anew when one experiment has
changed. What is kept belongs to one recipe, its texts and its draws (`LabRecipe.fingerprint`); under another it is as
if it were not there. To measure anew, delete the file.

JSON lines: what was measured, where and when; then a line for each run or row of times.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.lab.recipe import LabRecipe

_KEPT = ("arm", "seed", "parameters", "steps", "seconds", "has_diverged", "metrics", "accuracy_by_length")
"""Of a run: all that a claim is judged by, and what it cost."""


def measured_here() -> dict[str, str]:
    """When and where: beside every result."""
    return {"on": f"{datetime.now(UTC):%Y-%m-%d}", "machine": platform.machine(), "torch": version("torch")}


def keep(recipe: LabRecipe, results: Mapping[str, Any], path: Path) -> bool:
    """Write what has ended; whether it was all, for a part of an experiment is not kept."""
    if len(results["runs"]) < results["num_runs"] or (recipe.timing is not None and not results.get("timing")):
        return False
    head = {
        "recipe": recipe.name, "fingerprint": recipe.fingerprint(), "measured": measured_here(), "raw": recipe.raw,
        "num_runs": results["num_runs"],
    }  # fmt: skip
    lines = [head, *({key: run[key] for key in _KEPT if key in run} for run in results["runs"])]
    lines += [{"timing": row} for row in results.get("timing", ())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return True


def kept(recipe: LabRecipe, path: Path) -> dict[str, Any] | None:
    """The results as the laboratory has them; None where none of this very recipe stand there.

    Raises ConfigError for a file that is none of these.
    """
    if not path.is_file():
        return None
    try:
        head, *rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        if head["fingerprint"] != recipe.fingerprint():
            return None
        runs = [row for row in rows if "timing" not in row]
        timing = [row["timing"] for row in rows if "timing" in row]
        results = {key: head[key] for key in ("recipe", "num_runs", "raw", "measured")}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} holds no results of `pagoda lab claims --results` ({error!r}): delete it, or name another folder"
        ) from error
    return {**results, "runs": runs, **({"timing": timing} if timing else {})}
