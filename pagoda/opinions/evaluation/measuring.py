"""All lines of the understanding over a folder of public data: what was trained, what was held out, what came of it.

Beside the path *item -> opinion of a company*. Whatever is measured is held out from what it was trained on; each line
says beside its figures what the commonest label, and groups of characters alone, reach on the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from pagoda.opinions.duplicates import StoryIndex
from pagoda.opinions.evaluation import fiqa, sentfin
from pagoda.opinions.evaluation.figures import Measured, classified, found_pairs, macro_f1, majority
from pagoda.opinions.evaluation.reprints import Article, measured, staged
from pagoda.opinions.evaluation.sets import LabelledSet, read_sets, read_subjects
from pagoda.opinions.evaluation.subject_model import train_subjects
from pagoda.opinions.linking import NameLinker
from pagoda.opinions.reading.gram_model import grams_of, train_grams
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.sentiment import SentimentModel, TargetSentiment
from pagoda.opinions.story import LABELS, Encoder, EncoderName

NAMES = (
    "reprints", "linking", "companies", "companies that disagree", "finnsp", "phrasebank_en", "finnews_zh",
    "stock_comments_zh", "finfe", "finese", "fiqa headline", "fiqa post",
)  # fmt: skip
"""Lines that can be measured, each where the folder holds its data."""
_MOST_ARTICLES = 1000
_FEWEST_CHARACTERS = 80


def measured_lines(
    folder: str | Path, only: frozenset[str] = frozenset(), encoder: Encoder = "auto"
) -> Iterator[Measured]:
    """A line for each set that the folder holds. only: names of sets, empty: all; encoder: as for training."""
    source = Path(folder).expanduser()
    sets = read_sets(source)
    jobs: dict[str, Callable[[], Measured | None]] = {
        "reprints": lambda: _reprints(sets),
        "linking": lambda: _linking(source),
        "companies": lambda: _companies(source),
        "companies that disagree": lambda: _companies(source, conflicting=True),
        "finnsp": lambda: _subjects(source),
        **{f"fiqa {kind}": lambda kind=kind: _scored(source, kind) for kind in fiqa.KINDS},  # type: ignore[misc]
        **{each.name: lambda each=each: _set(each, encoder) for each in sets},  # type: ignore[misc]
    }
    for name, job in jobs.items():
        if not only or name in only:
            line = job()
            if line is not None:
                yield line


def _set(rows: LabelledSet, encoder: Encoder) -> Measured:
    started = time.process_time()
    model = SentimentModel.train(rows.train, encoder=encoder)
    texts = _marked(rows.held)
    truth = np.array([model.labels.index(row["label"]) for row in rows.held])
    figures = classified(truth, model.probabilities(texts))
    spent = time.process_time() - started
    return Measured(rows.name, len(rows.train), len(rows.held), figures, rows.aims, _peers(rows, model, truth), spent)


def _peers(rows: LabelledSet, model: SentimentModel, truth: np.ndarray) -> dict[str, float]:
    """The commonest label and, where it is not what was measured, groups alone."""
    found = {"commonest label": majority(truth)}
    if any(part.version.startswith(get_args(EncoderName)) for part in model.parts.values()):
        right = np.array([model.labels.index(row["label"]) for row in rows.train])
        grams = train_grams([grams_of(text) for text in _marked(rows.train)], right, len(model.labels))
        answers = grams.scores(_marked(rows.held)).argmax(1)
        found |= {"n-grams accuracy": float((answers == truth).mean()), "n-grams macro-F1": macro_f1(truth, answers)}
    return found


def _marked(rows: list[dict[str, Any]]) -> list[Marked]:
    return [Marked(row["text"], _places(row)) for row in rows]


def _places(row: dict[str, str]) -> tuple[tuple[int, int], ...]:
    target = row.get("target")
    if not target:
        return ()
    return tuple((at, at + len(target)) for at in range(len(row["text"])) if row["text"].startswith(target, at))


def _reprints(sets: list[LabelledSet]) -> Measured | None:
    texts = [row["text"] for each in sets if each.name == "finnews_zh" for row in (*each.train, *each.held)]
    articles = [Article(*text.split("\n", 1)) for text in texts if len(text) >= _FEWEST_CHARACTERS and "\n" in text]
    if not articles:
        return None
    items = staged(articles[:_MOST_ARTICLES])
    started = time.process_time()
    found = measured(items, StoryIndex())
    spent = time.process_time() - started
    figures = {
        "precision": found.precision,
        "recall": found.recall,
        "F1": found.f1,
        "items a second": len(items) / spent,
    }
    return Measured("reprints", 0, len(items), figures, {"F1": 0.97, "items a second": 300}, {}, spent)


def _linking(folder: Path) -> Measured | None:
    if not (folder / sentfin.ALIASES).is_file():
        return None
    companies = sentfin.read_aliases(folder)
    linker, resolver = NameLinker(companies), sentfin.Resolver(companies)
    held = [each for each in sentfin.read_headlines(folder) if each.is_held_out]
    right, found = [], []
    started = time.process_time()
    for headline in held:
        marked = [ids for name, _ in headline.entities if (ids := resolver.ids(name))]
        told = {mention.company_id for mention in linker.link(headline.text)}
        # A marked name may be an alias of several companies: any of them is right, and is counted as one.
        named = {min(ids & told or ids) for ids in marked}
        right.append(named)
        found.append(told)
    spent = time.process_time() - started
    return Measured("linking", 0, len(held), found_pairs(right, found), {"precision": 0.97, "recall": 0.90}, {}, spent)


def _companies(folder: Path, *, conflicting: bool = False) -> Measured | None:
    """The shipped model on headlines that it did not see."""
    if not (folder / sentfin.HEADLINES).is_file():
        return None
    held = [each for each in sentfin.read_headlines(folder) if each.is_held_out]
    chosen = [each for each in held if each.is_conflicting] if conflicting else held
    texts, truth = marked_pairs(chosen)
    model, started = TargetSentiment.shipped(), time.process_time()
    scores = model.probabilities(texts)
    spent = time.process_time() - started
    figures = classified(truth, scores)
    aim = {"accuracy": 0.78} if conflicting else {"accuracy": 0.88}
    words = TargetSentiment().probabilities(texts)
    peers = {"commonest label": majority(truth), "word lists": float((words.argmax(1) == truth).mean())}
    return Measured(
        "companies that disagree" if conflicting else "companies", 0, len(texts), figures, aim, peers, spent
    )


def _scored(folder: Path, kind: str) -> Measured | None:
    """The shipped model on texts of another kind and country, none of which anything here was trained on."""
    scored = fiqa.read_scored(folder, kind)
    if not scored:
        return None
    texts, started = [each.text for each in scored], time.process_time()
    figures = fiqa.followed(scored, TargetSentiment.shipped().probabilities(texts))
    spent = time.process_time() - started
    words = fiqa.followed(scored, TargetSentiment().probabilities(texts))
    peers = {f"word lists {name}": value for name, value in words.items()}
    return Measured(f"fiqa {kind}", 0, len(scored), figures, {}, peers, spent)


def marked_pairs(headlines: list[sentfin.Headline]) -> tuple[list[Marked], np.ndarray]:
    """Each (headline, company) with the company marked, and the rows of LABELS that are right."""
    texts, truth = [], []
    for headline in headlines:
        mentions = headline.mentions()
        for name, label in headline.entities:
            others = [mention for other, found in mentions.items() if other != name for mention in found]
            texts.append(Marked.of(headline.text, mentions[name], others))
            truth.append(LABELS.index(label))
    return texts, np.array(truth)


def _subjects(folder: Path) -> Measured | None:
    parts = read_subjects(folder)
    if parts is None:
        return None
    train, held = parts
    started = time.process_time()
    model = train_subjects(train)
    found = [model.negative(each) for each in held if each.named]
    spent = time.process_time() - started
    right = [set(each.negative) for each in held if each.named]
    every = found_pairs(right, [set(each.named) if each.negative else set() for each in held if each.named])
    peers = {"all firms of a text known to be bad news": every["F1"]}
    return Measured("finnsp", len(train), len(held), found_pairs(right, found), {"F1": 0.90}, peers, spent)
