"""The fast understanding of a domain: given, kept, shipped, or learned now, in this order.

Before the turn's path: *sentence -> Understanding* needs it, `assembly` asks for it once. What is learned depends on
the domain's examples and on which slots have names in the graph, not on the names themselves (`nlu.gazetteer`): so one
file ships for the shipped domain, whatever the graph holds, and a graph may grow without new training. Files are data,
safetensors and JSON, with checksums (`nlu.files`); the shipped ones are made by `recipes/city_understanding.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.errors import CheckpointError, ConfigError, nearest
from pagoda.files.yaml_lines import LANGUAGES
from pagoda.language import language_of
from pagoda.nlu.understanding import OUT_OF_SCOPE

if TYPE_CHECKING:
    from pagoda.nlu.fast_understanding import FastUnderstanding

SHIPPED = Path(__file__).parent / "data" / "understanding"
# To be raised when training comes to learn something else from the same examples.
LEARNER = 1
OnProgress = Callable[[str, int, int], None]
logger = logging.getLogger(__name__)


def understanding_of(
    domain: Domain,
    lexicon: Mapping[str, Sequence[str]],
    folder: Path,
    given: Path | None = None,
    on_progress: OnProgress | None = None,
) -> FastUnderstanding:
    """What reads the domain's sentences, knowing the lexicon {slot: values}.

    folder: where one that has to be learned is kept; given: folder of one that `pagoda dialogue train` wrote
    on_progress: called while one is learned, with what is done, steps done and steps in all

    Raises ConfigError where the given one is of another domain, CheckpointError where it cannot be read.
    """
    if given is not None:
        return _fitting(given, domain).with_lexicon(lexicon)
    mark = mark_of(domain.examples(), lexicon)
    kept = _kept(folder / mark)
    if kept is not None:
        return kept.with_lexicon(lexicon)
    shipped = _kept(SHIPPED / mark)
    if shipped is not None:
        return shipped.with_examples(domain.examples()).with_lexicon(lexicon)
    understanding = learned(domain, lexicon, on_progress)
    folder.mkdir(parents=True, exist_ok=True)
    understanding.with_lexicon({}).save(folder / mark)
    return understanding


def import_readers() -> None:
    """Import what reads sentences, torch above all: to be done in a thread while a graph starts, which takes as long.

    What is not installed is told by whoever needs it.
    """
    with contextlib.suppress(ImportError):
        import safetensors.torch  # noqa: F401

        import pagoda.nlu.fast_understanding  # noqa: F401


def learned(
    domain: Domain, lexicon: Mapping[str, Sequence[str]], on_progress: OnProgress | None = None
) -> FastUnderstanding:
    """Learned now from the domain's examples: some half a minute of one thread for 1,600 sentences."""
    from pagoda.nlu.fast_understanding import FastUnderstanding

    return FastUnderstanding.train(domain.examples(), lexicon=lexicon, effort="heads", on_progress=on_progress)


def mark_of(examples: Sequence[Mapping[str, Any]], lexicon: Mapping[str, Sequence[str]]) -> str:
    """Equal where the same would be learned; 16 hexadecimal digits."""
    from pagoda.nlu.files import FORMAT

    named = sorted(
        f"{slot} {language}"
        for slot, values in lexicon.items()
        for language in LANGUAGES
        if any(language_of(value) == language for value in values)
    )
    whole = json.dumps([LEARNER, FORMAT, list(examples), named], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _kept(place: Path) -> FastUnderstanding | None:
    """What lies there; None where there is nothing, or nothing that can be read: it is learned again."""
    from pagoda.nlu.fast_understanding import FastUnderstanding

    if not place.exists():
        return None
    try:
        return FastUnderstanding.load(place)
    except CheckpointError as error:
        logger.warning("%s: it is learned again", error)
        return None


def _fitting(given: Path, domain: Domain) -> FastUnderstanding:
    """One that was trained on its own, if it speaks of this domain."""
    from pagoda.nlu.fast_understanding import FastUnderstanding

    understanding = FastUnderstanding.load(given)
    known = {"intents": [*domain.intents, OUT_OF_SCOPE], "slots": [*domain.slots]}
    for part, names in (("intents", understanding.intents), ("slots", understanding.slots)):
        strange = next((name for name in names if name not in known[part]), None)
        if strange is not None:
            raise ConfigError(
                f'{given} was trained for {part} that domain "{domain.name}" lacks, such as "{strange}": '
                f"{nearest(strange, known[part])}"
            )
    if not understanding.intents:
        raise ConfigError(f"{given} was trained without intents: a dialogue needs sentences that name theirs")
    return understanding
