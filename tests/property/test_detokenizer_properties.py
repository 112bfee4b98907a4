"""Streamed text equals decoding at once, whatever the ids are, for both ways a vocabulary spells bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models
from tokenizers import Tokenizer as BackendTokenizer
from tokenizers.pre_tokenizers import ByteLevel

from pagoda.engine.text.detokenizer import IncrementalDetokenizer
from pagoda.engine.text.stop_strings import StopStringMatcher, StopStrings
from pagoda.models.tokenizer.tokenizer import Tokenizer

LLAMA_2_MODEL = Path(__file__).parents[3] / "shared" / "data" / "weights" / "tokenizer.model"
NUM_BEYOND = 5
"""Ids drawn past the end of the vocabulary."""


def byte_level_tokenizer() -> Tokenizer:
    """The 256 bytes, some longer pieces (half of a character among them), two special tokens, one added one."""
    alphabet = sorted(ByteLevel.alphabet())
    pieces = [*alphabet, "Ġthe", "ab", "ä¸Ń", "ä¸", "ŃæĸĩĠ", "ðŁĺ", "<0x41>"]
    backend = BackendTokenizer(models.BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|begin|>", "<|end of text|>"])
    backend.add_tokens([AddedToken("中 文", special=False)])
    return Tokenizer(backend)


def byte_fallback_tokenizer() -> Tokenizer:
    """Llama 2's way: specials, 256 byte pieces, then pieces with ▁ for the space."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁▁", "▁▁▁", "▁the", "A", "b", "中", "▁文", "é", "\n"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    backend = BackendTokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    steps = [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(content=" ", left=1, right=0),
    ]
    backend.decoder = decoders.Sequence(steps)
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return Tokenizer(backend)


def metaspace_tokenizer() -> Tokenizer:
    """SentencePiece without byte fallback: the whole first piece loses its ▁."""
    pieces = ["<unk>", "▁", "▁▁", "▁the", "a", "b▁c"]
    backend = BackendTokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    backend.decoder = decoders.Metaspace()
    return Tokenizer(backend)


TOKENIZERS = {
    "byte level": byte_level_tokenizer(),
    "byte fallback": byte_fallback_tokenizer(),
    "metaspace": metaspace_tokenizer(),
}


def stream(tokenizer: Tokenizer, token_ids: list[int], skip_special_tokens: bool) -> tuple[list[str], str]:
    """The deltas, and what comes at the end."""
    detokenizer = IncrementalDetokenizer(tokenizer, skip_special_tokens=skip_special_tokens)
    return [detokenizer.push(token_id) for token_id in token_ids], detokenizer.flush()


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(deadline=None, max_examples=400)
@given(data=st.data(), skip_special_tokens=st.booleans())
def test_the_deltas_joined_are_the_decoded_text(kind: str, data: st.DataObject, skip_special_tokens: bool) -> None:
    tokenizer = TOKENIZERS[kind]
    token_ids = data.draw(st.lists(st.integers(0, tokenizer.num_tokens - 1 + NUM_BEYOND), max_size=40))
    deltas, rest = stream(tokenizer, token_ids, skip_special_tokens)
    assert "".join(deltas) + rest == tokenizer.decode(token_ids, skip_special_tokens=skip_special_tokens)
    for delta in deltas:
        delta.encode("utf-8")


@pytest.mark.parametrize("kind", ["byte level", "byte fallback"])
@settings(deadline=None, max_examples=200)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_real_text_is_never_shown_with_half_a_character(kind: str, text: str) -> None:
    """Every byte a token of its own: the hardest way to write a text."""
    pieces = byte_order() if kind == "byte level" else [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = TOKENIZERS[kind]
    token_ids = [tokenizer.token_to_id(pieces[byte]) for byte in text.encode()]
    deltas, rest = stream(tokenizer, token_ids, skip_special_tokens=True)
    shown = "".join(deltas) + rest
    assert shown == (text if kind == "byte level" else text.removeprefix(" "))
    assert rest == "" or kind == "byte fallback"


def byte_order() -> list[str]:
    """The byte alphabet's characters in the order of the bytes they stand for."""
    by_byte = {TOKENIZERS["byte level"].token_bytes(index)[0]: index for index in range(256)}
    pieces = sorted(ByteLevel.alphabet())
    return [pieces[by_byte[byte]] for byte in range(256)]


@pytest.fixture(scope="module")
def llama_2_tokenizer() -> Tokenizer:
    if not LLAMA_2_MODEL.exists():
        pytest.skip("the Llama 2 tokenizer.model is not in the data folder beside the checkout")
    return Tokenizer.from_file(LLAMA_2_MODEL)


@pytest.mark.shared_data
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_the_vocabulary_of_llama_2_streams_as_it_decodes(llama_2_tokenizer: Tokenizer, data: st.DataObject) -> None:
    tokenizer = llama_2_tokenizer
    ids = st.one_of(st.integers(0, 300), st.integers(0, tokenizer.num_tokens))
    token_ids = data.draw(st.lists(ids, max_size=40))
    deltas, rest = stream(tokenizer, token_ids, skip_special_tokens=True)
    assert "".join(deltas) + rest == tokenizer.decode(token_ids)


def first_stop(text: str, stop: list[str]) -> tuple[int, str] | None:
    """The slow definition: the shortest beginning of the text that ends in a stop string, and the longest such."""
    for end in range(len(text) + 1):
        ending = [candidate for candidate in stop if text[:end].endswith(candidate)]
        if ending:
            longest = max(ending, key=len)
            return end - len(longest), longest
    return None


@settings(deadline=None, max_examples=500)
@given(
    pieces=st.lists(st.text("abc", max_size=4), max_size=12),
    stop=st.lists(st.text("abc", min_size=1, max_size=5), max_size=3),
    include=st.booleans(),
)
def test_a_stop_string_is_found_wherever_the_borders_fall(pieces: list[str], stop: list[str], include: bool) -> None:
    matcher = StopStringMatcher(StopStrings(stop), include)
    shown, hit = "", None
    expected = first_stop("".join(pieces), stop)
    limit = len("".join(pieces)) if expected is None else expected[0] + include * len(expected[1])
    for piece in pieces:
        match = matcher.push(piece)
        shown += match.text
        assert len(shown) <= limit, "a part of the stop string leaked"
        if match.stop is not None:
            hit = match.stop
            break
    assert hit == (None if expected is None else expected[1])
    assert (shown if hit else shown + matcher.flush()) == "".join(pieces)[:limit]
