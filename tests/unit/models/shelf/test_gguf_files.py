"""Which files are one model, by names that repositories of the hub give them."""

from __future__ import annotations

import pytest

from pagoda.errors import CheckpointError
from pagoda.models.shelf.gguf_files import choose_model, first_part, gguf_models, only_model

# As repositories of the hub name them.
NAMES = {
    "qwen2.5-0.5b-instruct-q4_k_m.gguf": "Q4_K_M",
    "SmolLM2-135M-Instruct.Q4_1.gguf": "Q4_1",
    "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf": "Q4_K_M",
    "Phi-3-mini-4k-instruct-q4.gguf": "Q4",
    "Phi-3-mini-4k-instruct-fp16.gguf": "FP16",
    "gemma-3-1b-it-f16.gguf": "F16",
    "Qwen3-0.6B-UD-Q4_K_XL.gguf": "UD-Q4_K_XL",
    "Qwen3-0.6B-IQ4_NL.gguf": "IQ4_NL",
    "samantha-mistral-instruct-7b.i1-Q4_K_M.gguf": "Q4_K_M",
    "model-q4_k_m-imat.gguf": "Q4_K_M",
    "gpt-oss-20b-MXFP4.gguf": "MXFP4",
    "Llama-3.2-3B-Instruct-Q4_0_4_8.gguf": "Q4_0_4_8",
    "BF16/Qwen3-235B-A22B-BF16-00001-of-00001.gguf": "BF16",
    "Q2_K_L/part-00001-of-00001.gguf": "Q2_K_L",
    "Qwen2.5-Coder-0.5B.gguf": "",
}
LLAMA = ["Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Llama-3.2-1B-Instruct-Q4_K_S.gguf", "Llama-3.2-1B-Instruct-Q8_0.gguf"]
QWEN_7B = [
    "qwen2.5-7b-instruct-q4_0-00002-of-00002.gguf",
    "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf",
    "qwen2.5-7b-instruct-q4_k_m-00002-of-00002.gguf",
    "qwen2.5-7b-instruct-q2_k.gguf",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_quantisation_stands_in_the_name(name: str) -> None:
    (model,) = gguf_models([name])
    assert model.quantisation == NAMES[name]


@pytest.mark.parametrize("name", ["mmproj-model-f16.gguf", "imatrix_unsloth.gguf", "README.md", "model.safetensors"])
def test_what_is_no_model_is_left_out(name: str) -> None:
    assert gguf_models([name]) == []


@pytest.mark.parametrize(
    ("tag", "file"),
    [("q8_0", LLAMA[2]), ("Q4_K_M", LLAMA[0]), (LLAMA[1].lower(), LLAMA[1]), (None, LLAMA[0])],
)
def test_a_tag_is_a_quantisation_or_a_file_in_any_case(tag: str | None, file: str) -> None:
    assert choose_model("org/name", LLAMA, tag).files == (file,)


def test_the_only_model_needs_no_tag() -> None:
    assert choose_model("org/name", ["a-Q2_K.gguf", "mmproj-a.gguf"]).files == ("a-Q2_K.gguf",)


def test_a_dynamic_quantisation_is_found_with_and_without_its_prefix_but_the_plain_one_goes_first() -> None:
    names = ["m-UD-Q4_K_XL.gguf", "m-Q4_K_M.gguf", "m-UD-Q4_K_M.gguf"]
    assert choose_model("org/name", names, "Q4_K_XL").files == ("m-UD-Q4_K_XL.gguf",)
    assert choose_model("org/name", names, "Q4_K_M").files == ("m-Q4_K_M.gguf",)
    assert choose_model("org/name", names, "ud-q4_k_m").files == ("m-UD-Q4_K_M.gguf",)


@pytest.mark.parametrize(
    ("names", "tag", "said"),
    [
        (LLAMA, "Q6_K", r"org/name holds 3 models in GGUF \(Q4_K_M, Q4_K_S, Q8_0\), and none of them fit Q6_K"),
        (LLAMA[1:], None, r"holds 2 models in GGUF \(Q4_K_S, Q8_0\).* name one, as org/name:Q4_K_S does"),
        (["a/x-Q8_0.gguf", "b/y-Q8_0.gguf"], "Q8_0", r"\(a/x-Q8_0.gguf, b/y-Q8_0.gguf\), and 2 of them fit"),
        (["README.md"], None, "holds 0 models in GGUF"),
        (QWEN_7B, "Q4_0", r"holds 1 of the 2 parts of qwen2.5-7b-instruct-q4_0: all are needed"),
    ],
)
def test_none_or_several_that_fit_are_listed(names: list[str], tag: str | None, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        choose_model("org/name", names, tag)


def test_a_split_set_is_one_model_of_all_its_parts() -> None:
    assert choose_model("org/name", QWEN_7B, "Q4_K_M").files == tuple(QWEN_7B[1:3])
    assert first_part("folder", QWEN_7B[2], QWEN_7B) == QWEN_7B[1]
    with pytest.raises(CheckpointError, match="folder holds 1 of the 2 parts"):
        first_part("folder", QWEN_7B[0], QWEN_7B)


def test_a_directory_s_only_model_is_taken_and_of_several_one_has_to_be_named() -> None:
    found = only_model("folder", QWEN_7B[1:3])
    assert found is not None
    assert found.files[0] == QWEN_7B[1]
    assert only_model("folder", ["config.json"]) is None
    with pytest.raises(CheckpointError, match=rf"give the path of one, such as folder/{LLAMA[0]}"):
        only_model("folder", LLAMA)
