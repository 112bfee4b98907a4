r"""How byte-level tokenizers cut a text before they merge bytes: what the name in `tokenizer.ggml.pre` stands for.

On the token's path: under `gguf_vocabulary`. A GGUF file holds a byte-level vocabulary and its merges, and names the
rest: llama.cpp keeps the split of each family, and what else goes with it, in its source (`llama-vocab.cpp`) under the
name that its converter found. The names and which belong together are facts of llama.cpp; the patterns here are those
of the families' own tokenizer.json as far as one could be had (Llama 3, Qwen, DeepSeek, Gemma, gpt-oss, GPT-2), which
Oniguruma reads as they are and llama.cpp approximates; the others are llama.cpp's. They differ in
`(?i:'s|...)` (which takes "ſ", too), in \p{Lu}, which llama.cpp takes for any letter, in Unicode's white space,
in what is normalised (NFC where the family does), in Falcon's digits and in possessive repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Regex, normalizers, pre_tokenizers

_ENGLISH = "'s|'t|'re|'ve|'m|'ll|'d"
_ANY_CASE = f"(?i:{_ENGLISH})"
_LINES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_ONE_DIGIT = r"\p{N}"
_THREE_DIGITS = r"\p{N}{1,3}"
_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_LATIN_PUNCTUATION = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"


def _gpt4(letters: str = r"[^\r\n\p{L}\p{N}]?\p{L}+", numbers: str = _THREE_DIGITS, signs: str = _SIGNS) -> str:
    r"""cl100k's pattern (GPT-4, Llama 3), with the parts in which its descendants differ.

    >>> _gpt4(numbers=r"\p{N}")[:40]
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}"
    """
    return f"{_ANY_CASE}|{letters}|{numbers}|{signs}|{_LINES}"


def _gpt4o(numbers: str = _THREE_DIGITS, ending: str = f"{_ANY_CASE}?", only: str = "") -> str:
    """o200k's (GPT-4o): words end where a capital follows a small letter. only: a class that letters are cut with."""
    capital, small = (rf"[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}{only}]", rf"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}{only}]")
    before = r"[^\r\n\p{L}\p{N}]?"
    words = f"{before}{capital}*{small}+{ending}|{before}{capital}+{small}*{ending}"
    return rf"{words}|{numbers}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES}"


def _deepseek(signs_end: str = r"[\r\n]*", lines: str = r"\s*[\r\n]+") -> str:
    """DeepSeek-V3's last step, after numbers and CJK are cut out."""
    words = rf"{_LATIN_PUNCTUATION}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
    return rf"{words}| ?[\p{{P}}\p{{S}}]+{signs_end}|{lines}|\s+(?!\S)|\s+"


_GPT2 = rf"{_ENGLISH}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
_LLAMA3 = _gpt4()
_QWEN2 = _gpt4(numbers=_ONE_DIGIT)
_O200K = _gpt4o()
_FROM_THE_RIGHT = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"
_CASED_LETTERS = (
    "\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377"
    "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556"
    "\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
    "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
    "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b"
    "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)
_DEEPSEEK_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_DEEPSEEK_LLM = (
    *("[\r\n]", rf"\s?[A-Za-z{_CASED_LETTERS}]+", "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
    *(r"\s+$", _DEEPSEEK_CJK, _ONE_DIGIT),
)
_YOUTU = (
    "[\uac00-\ud7a3\u3131-\u318e]+|"
    "[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|"
    "[\u3105-\u312f]+|" + _CJK
)
_AFMOE = (
    "[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f"
    "\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+"
)
_HALVED_SPACES = "|".join(rf"\s{{{count}}}(?!\S)" for count in ("512", "256", "128", "64", "32", "16", "8", "4", "1,2"))


@dataclass(frozen=True)
class TextSplit:
    """What goes with a byte-level vocabulary.

    patterns: regular expressions, one after another; each cuts out what it matches from the pieces that are left
    ignore_merges: a piece that is a token is that token, whatever its merges make of it
    add_bos: a text begins with BOS where the file does not say
    nfc: the text is normalised to Unicode's NFC
    """

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    add_bos: bool = False
    nfc: bool = False

    def pre_tokenizer(self) -> pre_tokenizers.PreTokenizer:
        steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in self.patterns]
        return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    def normalizer(self) -> normalizers.Normalizer | None:
        return normalizers.NFC() if self.nfc else None


DEFAULT = TextSplit((r"[\p{P}$+<=>^~|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"))
"""Of files without a name: of Falcon's kind, as llama.cpp takes them."""


def _named(split: TextSplit, *names: str) -> dict[str, TextSplit]:
    return dict.fromkeys(names, split)


SPLITS: dict[str, TextSplit] = {
    "default": DEFAULT,
    **_named(
        TextSplit((_LLAMA3,), ignore_merges=True, add_bos=True),
        *("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
    ),
    **_named(TextSplit((_LLAMA3,)), "dbrx", "smaug-bpe", "chatglm-bpe"),
    **_named(TextSplit((_LLAMA3,), ignore_merges=True), "glm4", "glm5"),
    **_named(TextSplit((_QWEN2,), nfc=True), "qwen2", "deepseek-r1-qwen", "f2llmv2", "stablelm2"),
    **_named(TextSplit((_QWEN2,)), "kormo", "megrez", "hunyuan", "solar-open", "grok-2"),
    "qwen35": TextSplit(
        (
            _gpt4(
                letters=r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
                numbers=_ONE_DIGIT,
                signs=r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
            ),
        ),
        nfc=True,
    ),
    "ufakzeka": TextSplit((_QWEN2.removeprefix(f"{_ANY_CASE}|"),)),
    "laguna": TextSplit((r"[^\n]+|[\n]+", _QWEN2)),
    "minicpm5": TextSplit((_THREE_DIGITS, _gpt4(numbers=r"\p{N}+")), ignore_merges=True),
    "seed-coder": TextSplit((_gpt4(numbers=_ONE_DIGIT, signs=r" ?[^\s\p{L}\p{N}\r\n]+"),)),
    "jais-2": TextSplit((_LLAMA3.replace(r"|\s+(?!\S)|\s+", rf"|{_HALVED_SPACES}|\s"),)),
    "exaone-moe": TextSplit(
        (
            _gpt4(
                letters=r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
                numbers=_ONE_DIGIT,
                signs=r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
            ).replace(r"\s*[\r\n]+", r"\s*[\r\n]"),
        )
    ),
    **_named(
        TextSplit(
            (
                r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
                r"\s*[\r\n]|\s+(?!\S)|\s+",
            )
        ),
        *("bailingmoe", "bailingmoe2", "llada-moe"),
    ),
    **_named(TextSplit((_O200K,)), "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"),
    "granite-embed-multi-97m": TextSplit((_O200K,), ignore_merges=True),
    "tekken": TextSplit((_gpt4o(numbers=_ONE_DIGIT, ending=""),), ignore_merges=True, add_bos=True),
    **_named(TextSplit((r"\d{1,3}(?=(?:\d{3})*\b)", _O200K)), "tiny_aya", "cohere2moe"),
    "youtu": TextSplit((_YOUTU, _gpt4o(numbers=_ONE_DIGIT)), ignore_merges=True),
    "kimi-k2": TextSplit((r"\p{Han}+", _gpt4o(only=r"&&[^\p{Han}]").replace(r"[\r\n/]*", r"[\r\n]*"))),
    **_named(TextSplit((_THREE_DIGITS, _CJK, _deepseek())), "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"),
    "spark2_5": TextSplit((_THREE_DIGITS, _CJK, _deepseek(signs_end="", lines=r"[\r\n]"), _ONE_DIGIT)),
    "afmoe": TextSplit((_FROM_THE_RIGHT, _AFMOE, _deepseek())),
    "deepseek-llm": TextSplit(_DEEPSEEK_LLM),
    "deepseek-coder": TextSplit(("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_CJK, _ONE_DIGIT)),
    "falcon": TextSplit((r"[\p{P}$+<=>^~|`]+", _GPT2, "[0-9][0-9][0-9]")),
    **_named(TextSplit((_GPT2,), nfc=True), "mpt", "olmo"),
    **_named(
        TextSplit((_GPT2,)),
        *("gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "jais", "trillion"),
        *("granite-docling", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code"),
        "roberta-bpe",
    ),
    **_named(
        TextSplit((_ONE_DIGIT, _GPT2)),
        *("smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"),
    ),
    "command-r": TextSplit((_ONE_DIGIT, _GPT2), nfc=True),
    **_named(TextSplit((_BLOOM,)), "bloom", "poro-chat", "gpt3-finnish"),
    "viking": TextSplit((_BLOOM, _ONE_DIGIT)),
    "superbpe": TextSplit((r"\p{N}+", r"(?=(\d{3})+(?!\d))")),
    "chameleon": TextSplit(
        (
            *("<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )"),
            *(_ONE_DIGIT, r"[\p{P}!-/:-@\[-`{-~]", _GPT2),
        ),
        add_bos=True,
    ),
}
"""By the name in `tokenizer.ggml.pre`."""
SPACE_MARKED = ("gemma4", "granite-embed-multi-311m", "sarvam-moe")
"""Names of vocabularies that are not byte-level: their merges join characters, of which "▁" is the space."""
