"""From corpora to batches: documents, chat formatting, tokenizer training, packing and the schedule.

Second station of training. Documents are packed back to back, each opened by the separator, and cut into
pieces of one length; every piece gets a place in a fixed order drawn from the seed. So the batch of step i
is a pure function of recipe and corpora, and training resumes exactly.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.train.config import Recipe, SourceConfig, TokenizerConfig

SEPARATOR = "<|endoftext|>"
TURN_END = "<|end|>"
USER, ASSISTANT = "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (SEPARATOR, TURN_END, USER, ASSISTANT)

# A system message has no turn of its own in the training data: it is put before the first user's words.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% set note = namespace(text='') %}{% for message in messages %}"
    "{% if message.role == 'system' %}{% set note.text = message.content + '\\n' %}"
    "{% elif message.role == 'user' %}<|user|>{{ note.text }}{{ message.content }}<|end|>{% set note.text = '' %}"
    "{% elif message.role == 'assistant' %}<|assistant|>{{ message.content }}<|end|>"
    "{% else %}{{ raise_exception('roles are system, user and assistant, not ' + message.role) }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_SENTENCE = re.compile(r".+?[.!?。！？]", re.DOTALL)


def read_documents(source: SourceConfig, path: Path) -> Iterator[str]:
    """The documents of the corpus at `path`, stripped, in order, up to its `share`."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        text = file.read()
    text = text[: int(len(text) * source.share)]
    if source.script == "simplified":
        text = _to_simplified(text)
    for document in text.split(SEPARATOR):
        if document := document.strip():
            yield document


def _to_simplified(text: str) -> str:
    try:
        import opencc
    except ImportError as error:
        raise MissingExtraError("converting Chinese characters (sources.script)", "train") from error
    return opencc.OpenCC("t2s").convert(text)


def format_document(document: str, source: SourceConfig, rng: random.Random) -> str:
    """A document as the model sees it: plain, a dialogue in turns, or the answer to a prompt."""
    if source.kind == "dialogue":
        return _dialogue(document)
    if source.chat_prompts and rng.random() < source.chat_share:
        prompt = rng.choice(source.chat_prompts)
        first = _SENTENCE.match(document)
        prompt = prompt.replace("{first_sentence}", first.group().strip() if first else document[:40])
        prompt = prompt.replace("{title}", document.split("\n", 1)[0].strip())
        return f"{USER}{prompt}{TURN_END}{ASSISTANT}{document}{TURN_END}"
    return document


def _dialogue(document: str) -> str:
    turns: list[tuple[str, str]] = []
    for line in document.split("\n"):
        speaker, _, words = line.partition(": ")
        if speaker in ("User", "Assistant"):
            turns.append((USER if speaker == "User" else ASSISTANT, words.strip()))
        elif turns:
            turns[-1] = (turns[-1][0], f"{turns[-1][1]}\n{line}")
    return "".join(f"{role}{words}{TURN_END}" for role, words in turns)


def train_tokenizer(documents: Iterator[str], config: TokenizerConfig) -> Tokenizer:
    """A byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909) for Chinese and English.

    Each Chinese character stands alone before merging, so that the vocabulary holds characters and not
    chance phrases; digits too. Encoding opens a text with the separator, which serves as BOS.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SEPARATOR} $A", pair=f"{SEPARATOR} $A {SEPARATOR} $B", special_tokens=[(SEPARATOR, 0)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: Path, max_length: int) -> None:
    """`tokenizer.json` and `tokenizer_config.json`, as transformers reads them."""
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SEPARATOR,
        "eos_token": SEPARATOR,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


@dataclass(frozen=True)
class TokenizedSource:
    """One corpus as ids: for training, and held back for evaluation. Separators stand before documents."""

    config: SourceConfig
    train_ids: np.ndarray
    held_back_ids: np.ndarray


def prepare(recipe: Recipe, directory: Path) -> tuple[Tokenizer, list[TokenizedSource]]:
    """Train the tokenizer and tokenise the corpora, or read both back from `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _prepare_tokenizer(recipe, directory)
    return tokenizer, [_prepare_source(source, recipe, tokenizer, directory) for source in recipe.sources]


def _prepare_tokenizer(recipe: Recipe, directory: Path) -> Tokenizer:
    path = directory / f"tokenizer-{_fingerprint(asdict(recipe.tokenizer), recipe)}.json"
    if path.exists():
        return Tokenizer.from_file(str(path))
    tokenizer = train_tokenizer(_tokenizer_sample(recipe), recipe.tokenizer)
    tokenizer.save(str(path))
    return tokenizer


def _tokenizer_sample(recipe: Recipe) -> Iterator[str]:
    """Documents to train the tokenizer on, each corpus weighed by what training will see of it."""
    budget = recipe.tokenizer.train_mb * 1e6 / len(recipe.sources)
    for source in recipe.sources:
        seen = 0
        for document in read_documents(source, recipe.locate(source)):
            yield format_document(document, source, random.Random(0))
            seen += len(document.encode())
            if seen > budget:
                break


def _prepare_source(source: SourceConfig, recipe: Recipe, tokenizer: Tokenizer, directory: Path) -> TokenizedSource:
    path = directory / f"{source.name}-{_fingerprint(asdict(source), recipe)}.npz"
    if not path.exists():
        train_ids, held_back_ids = _tokenize(source, recipe, tokenizer)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, train=train_ids, held_back=held_back_ids)
        temporary.rename(path)
    with np.load(path) as saved:
        return TokenizedSource(source, saved["train"], saved["held_back"])


def _tokenize(source: SourceConfig, recipe: Recipe, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    rng = random.Random(f"{recipe.train.seed}/{source.name}")
    documents = [format_document(document, source, rng) for document in read_documents(source, recipe.locate(source))]
    rng.shuffle(documents)
    dtype = np.uint16 if recipe.tokenizer.vocab_size <= 1 << 16 else np.uint32
    encoded = [np.array(item.ids, dtype=dtype) for item in tokenizer.encode_batch_fast(documents)]
    every = recipe.train.held_back
    held_back = encoded[::every] if every else []
    train = [ids for i, ids in enumerate(encoded) if not every or i % every]
    empty = np.zeros(0, dtype=dtype)
    return np.concatenate([empty, *train]), np.concatenate([empty, *held_back])


def _fingerprint(settings: dict[str, object], recipe: Recipe) -> str:
    """Names a cached file after everything that determines its contents."""
    corpora = [(source.path, recipe.locate(source).stat().st_size) for source in recipe.sources]
    relevant = {key: value for key, value in settings.items() if key not in ("epochs", "start", "stop")}
    facts = (relevant, asdict(recipe.tokenizer), recipe.train.seed, recipe.train.held_back, corpora, CHAT_TEMPLATE)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


class BatchSchedule:
    """Which piece of which corpus every training sequence is; fixed by the recipe before training starts.

    A piece is `max_length + 1` tokens at (source, offset). Each corpus is spread evenly over its part of
    training; epochs are scaled by one common factor so that the pieces add up to the tokens asked for.
    """

    def __init__(self, sources: list[TokenizedSource], recipe: Recipe) -> None:
        self.sources = sources
        self.length = recipe.train.max_length
        self.per_step = recipe.train.tokens_per_step // self.length
        self.num_steps = recipe.train.num_steps
        needed = self.num_steps * self.per_step
        offered = sum(source.config.epochs * self._num_pieces(source) for source in sources)
        if not offered:
            raise ConfigError(f"the corpora hold less than one sequence of {self.length + 1} tokens")
        self.scale = needed / offered
        self.pieces = self._arrange(np.random.default_rng(recipe.train.seed), needed)

    def _num_pieces(self, source: TokenizedSource) -> int:
        return max(0, len(source.train_ids) - 1) // self.length

    def _arrange(self, rng: np.random.Generator, needed: int) -> list[tuple[int, int]]:
        timed: list[tuple[float, int, int]] = []
        for index, source in enumerate(self.sources):
            count = round(source.config.epochs * self.scale * self._num_pieces(source))
            times = source.config.start + (source.config.stop - source.config.start) * rng.random(count)
            timed.extend(zip(np.sort(times), [index] * count, self._offsets(source, count, rng), strict=True))
        timed.sort()
        pieces = [(index, offset) for _, index, offset in timed]
        return (pieces + pieces[: max(0, needed - len(pieces))])[:needed]

    def _offsets(self, source: TokenizedSource, count: int, rng: np.random.Generator) -> list[int]:
        """Pieces in random order, epoch by epoch; each epoch cuts at another place."""
        offsets: list[int] = []
        while len(offsets) < count:
            slack = (len(source.train_ids) - 1) % self.length
            phase = int(rng.integers(slack + 1))
            offsets.extend(phase + self.length * int(piece) for piece in rng.permutation(self._num_pieces(source)))
        return offsets[:count]

    def batch(self, step: int) -> np.ndarray:
        """`[sequences, max_length + 1]` int64 ids of optimiser step `step`."""
        rows = self.pieces[step * self.per_step : (step + 1) * self.per_step]
        return np.stack([self.sources[i].train_ids[at : at + self.length + 1].astype(np.int64) for i, at in rows])
