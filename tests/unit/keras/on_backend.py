"""Run by `test_keras.py` as `python on_backend.py BACKEND CHECKS`: Keras has one backend a process.

Each check is a function of no arguments that fails by an assertion. Ours are the torch layers and the torch network.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = sys.argv[1]

import keras
import numpy as np
import pytest
import torch
from keras import ops

from pagoda.keras import LlamaCausalLM, RMSNormalization, RotaryEmbedding, load_model
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers import NORM_KINDS, Rope, make_norm
from pagoda.layers import RotaryEmbedding as OurRotary
from pagoda.layers.attention import DenseAttention
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

ORIGINAL = {"original_max_position_embeddings": 32}
FACTORS = [1.0 + 0.3 * index for index in range(8)]
KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 4.0, **ORIGINAL},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **ORIGINAL},
    "longrope": {"short_factor": FACTORS, "long_factor": [2 * each for each in FACTORS], "factor": 4.0, **ORIGINAL},
    "frequency_factors": {"frequency_factors": FACTORS},
}
UNIX = 1.7e9
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 40, 2, 16)).astype("float32")


def numpy_of(tensor: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def layer_of(kind: str, **shape: Any) -> RotaryEmbedding:
    said = {**ORIGINAL, **KINDS[kind]}
    return RotaryEmbedding(scaling_factor=said.pop("factor", 1.0), rope_type=kind, **{**said, **shape})


def ours_of(kind: str, head_dim: int = 16, **shape: Any) -> OurRotary:
    return OurRotary(Rope(head_dim, 10000.0, 32, {"rope_type": kind, **KINDS[kind]}, **shape))


def expected(ours: OurRotary, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    with torch.no_grad():  # angles in the precision of the positions, as the network has them
        return ours.turned(torch.tensor(x), *ours(torch.tensor(positions))).numpy()


def close(one: Any, other: np.ndarray, tolerance: float) -> None:
    assert (found := float(np.abs(numpy_of(one) - other).max())) <= tolerance, f"{found} > {tolerance}"


def rotary_of_every_kind() -> None:
    """Integers from a start, reals of each row of a batch, and Unix seconds: 1e-6."""
    reals = np.sort(RNG.random((2, 40)) * 90)
    for kind in KINDS:
        layer, ours = layer_of(kind), ours_of(kind)
        close(layer(X, start_index=3), expected(ours, X, np.arange(3, 43)), 1e-6)
        for positions in (reals.astype("float32"), reals, reals + UNIX):
            close(layer(X, positions=positions), expected(ours, X, positions), 1e-6)


def rotary_of_several_axes() -> None:
    grid = RNG.random((2, 40, 2)) * 50
    for shape in ({}, {"layout": "axial"}, {"layout": "mixed"}, {"layout": "mixed", "num_heads": 2}):
        for kind in ("default", "dynamic", "yarn"):
            layer = layer_of(kind, axes=2, **shape)
            close(layer(X, positions=grid), expected(ours_of(kind, axes=2, **shape), X, grid), 1e-6)


def rotary_of_other_shapes() -> None:
    """Axes elsewhere, no heads, a part of the features, another denominator; bf16 rounds what turns, not its angle."""
    ours = expected(ours_of("default"), X, np.arange(40))
    close(layer_of("default", sequence_axis=2)(X.transpose(0, 2, 1, 3)), ours.transpose(0, 2, 1, 3), 1e-6)
    close(
        layer_of("default", sequence_axis=2, feature_axis=1)(X.transpose(0, 3, 1, 2)), ours.transpose(0, 3, 1, 2), 1e-6
    )
    close(layer_of("default")(X[:, :, 0]), ours[:, :, 0], 1e-6)
    part = np.concatenate([expected(ours_of("default", 8), X[..., :8], np.arange(40)), X[..., 8:]], -1)
    close(layer_of("default", rotary_dim=8)(X), part, 1e-6)
    slower = Rope(16, 10000.0 ** (16 / 32))
    close(RotaryEmbedding(denominator_dim=32)(X), expected(OurRotary(slower), X, np.arange(40)), 1e-6)
    few = layer_of("default", dtype="mixed_bfloat16")(X, positions=np.arange(40.0) + 1000.3)
    assert keras.backend.standardize_dtype(few.dtype) == "bfloat16"
    close(ops.cast(few, "float32"), expected(ours_of("default"), X, np.arange(40.0) + 1000.3), 0.05)


def norms() -> None:
    """Every RMSNorm of ours, several axes as Keras's own, and bf16 rounded once."""
    x, scale = RNG.standard_normal((3, 5, 40)).astype("float32"), RNG.standard_normal(40).astype("float32")
    for kind, settings in (
        ("rms_norm", {}),
        ("rms_norm_1p", {"unit_offset": True}),
        ("rms_norm_partial", {"share": 0.0625}),
    ):
        ours, layer = make_norm(40, kind, 1e-5), RMSNormalization(epsilon=1e-5, **settings)
        layer.build(x.shape)
        assert numpy_of(layer.scale).tolist() == [1 - NORM_KINDS[kind].offset] * 40
        layer.scale.assign(scale)
        with torch.no_grad():
            ours.weight.copy_(torch.tensor(scale))
            close(layer(x), ours(torch.tensor(x)).numpy(), 1e-6)
    mine, theirs = RMSNormalization(axis=[1, 2]), keras.layers.RMSNormalization(axis=[1, 2])
    close(mine(x), numpy_of(theirs(x)), 1e-6)
    few = RMSNormalization(dtype="bfloat16")(x)
    assert keras.backend.standardize_dtype(few.dtype) == "bfloat16"


def gradients() -> None:
    """Of inputs, scale and directions, 1e-5: of the sum of squares of what comes out, weighted."""
    weights, grid = RNG.standard_normal(X.shape).astype("float32"), RNG.random((40, 2)) * 9
    ours = [make_norm(16), ours_of("yarn", axes=2, layout="mixed")]
    x = torch.tensor(X, requires_grad=True)
    (ours[1].rotate(ours[0](x), torch.tensor(grid)) * torch.tensor(weights)).sum().backward()
    layers = [RMSNormalization(), layer_of("yarn", axes=2, layout="mixed")]
    for layer in layers:
        layer.build(X.shape)

    def loss(inputs: Any) -> Any:
        return ops.sum(ops.multiply(layers[1](layers[0](inputs), positions=grid), weights))

    found = _gradients(loss, [layer.trainable_variables[0] for layer in layers])
    wanted = [x.grad, ours[0].weight.grad, ours[1].directions.grad]
    for one, other in zip(found, wanted, strict=True):
        scale = max(1.0, float(other.abs().max()))
        close(one / scale, other.numpy() / scale, 1e-5)


def _gradients(loss: Any, variables: list[Any]) -> list[np.ndarray]:
    """Of `loss(X)` by X and the variables, by the backend's own means."""
    backend = keras.backend.backend()
    if backend == "torch":
        x = torch.tensor(X, requires_grad=True)
        loss(x).backward()
        return [each.grad.numpy() for each in (x, *(variable.value for variable in variables))]
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            result = loss(x)
        return [each.numpy() for each in tape.gradient(result, [x, *(variable.value for variable in variables)])]
    import jax

    def pure(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values[1:], strict=True))):
            return loss(values[0])

    return [np.asarray(each) for each in jax.grad(pure)([X, *(variable.value for variable in variables)])]


def compiled() -> None:
    """By the backend's compiler, as `fit` and `predict` use it: what eager gives, positions as data included."""
    inputs = keras.Input((40, 2, 16)), keras.Input((40,))
    layer = layer_of("dynamic")
    model = keras.Model(inputs, layer(RMSNormalization()(inputs[0]), positions=inputs[1]))
    reals = np.sort(RNG.random((2, 40)) * 90).astype("float32")
    normed = make_norm(16)(torch.tensor(X)).detach().numpy()
    close(model.predict_on_batch([X, reals]), expected(ours_of("dynamic"), normed, reals), 2e-6)
    if keras.backend.backend() == "torch":  # whose `predict` is eager
        step = torch.compile(lambda x: layer(x, start_index=5), backend="aot_eager")
        close(step(torch.tensor(X)), expected(ours_of("dynamic"), X, np.arange(5, 45)), 1e-6)


def saved_and_loaded() -> None:
    inputs = keras.Input((40, 2, 16))
    layer = layer_of("longrope", axes=2, layout="mixed", num_heads=2, short_factor=FACTORS[:4], long_factor=FACTORS[4:])
    model = keras.Model(inputs, layer(RMSNormalization(unit_offset=True, share=0.5)(inputs)))
    layer.directions.assign(RNG.random((2, 2, 8)))
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        read = keras.saving.load_model(f"{folder}/model.keras")
    close(read(X), numpy_of(model(X)), 0.0)


def refusals() -> None:
    for settings, told in (
        ({"rope_type": "yern"}, "did you mean"),
        ({"rope_type": "llama3", "scaling_factor": 8.0}, "needs low_freq_factor"),
        ({"rope_type": "linear", "low_freq_factor": 1.0}, "low_freq_factor=1.0"),
        ({"rope_type": "yarn", "beta_fast": 1, "beta_slow": 32}, "beta_fast=1"),
        ({"axes": 2, "layout": "axail"}, "did you mean .axial"),
        ({"layout": "mixed"}, "without axes"),
        ({"max_wavelength": 0}, "max_wavelength=0"),
        ({"max_wavelength": -1e4, "denominator_dim": 32}, "max_wavelength=-10000.0"),
        ({"max_wavelength": float("nan")}, "max_wavelength=nan"),
    ):
        with pytest.raises(ValueError, match=told):
            RotaryEmbedding(**settings)
    for settings, told in (
        ({"axes": 9}, "axes=9 and head_dim=16"),
        ({"axes": 2, "layout": "mixed", "num_heads": 0}, "num_heads=0"),
        ({"rope_type": "dynamic", "scaling_factor": 2.0, "rotary_dim": 2}, "4 features or more"),
    ):
        with pytest.raises(ValueError, match=told):
            RotaryEmbedding(**settings).build(X.shape)
    for positions in (np.arange(39), np.zeros((3, 40)), np.zeros((2, 1, 40))):
        with pytest.raises(ValueError, match=r"shape \[.*\] for 2 sequences of 40 tokens"):
            RotaryEmbedding()(X, positions=positions)
    with pytest.raises(ValueError, match="sequence_lengths of the shape"):
        layer_of("dynamic")(X, sequence_lengths=np.arange(39))
    RotaryEmbedding()(X, positions=np.zeros((1, 40)))
    config = {
        "vocab_size": 9, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
        "architectures": ["LlamaForCausalLM"],
    }  # fmt: skip
    model = LlamaCausalLM(config)
    for ids, told in (([[1, 9]], "from 1 to 9"), ([[-1, 2]], "from -1 to 2"), ([[0.5, 1.0]], "float64")):
        with pytest.raises(ValueError, match=told):
            model(np.array(ids))
    for ids, told in (
        ([], "one text"),
        ([[1, 2], [3, 4]], r"shape \[2, 2\]"),
        (5, "one text"),
        ([1, 9], "from 1 to 9"),
    ):
        with pytest.raises(ValueError, match=told):
            model.generate(ids, 2)
    with pytest.raises(ValueError, match="positions of the shape"):
        model(np.array([[1, 2, 3]]), positions=np.arange(2))


def _torch_logits(model: LlamaForCausalLM, ids: list[int], positions: Any = None) -> np.ndarray:
    positions = torch.arange(len(ids)) if positions is None else torch.tensor(positions)
    attention = DenseAttention(1, model.config.layer_windows)
    with torch.no_grad():
        return model.compute_logits(model(torch.tensor(ids), positions, attention)).numpy()


def _torch_model(path: Path) -> LlamaForCausalLM:
    model = LlamaForCausalLM(load_config(path), ReferenceKernels())
    load_weights(model, path, dtype=torch.float32)
    return model


def llamas() -> None:
    """Switches of the family, on tiny random models that our own saving wrote: logits 1e-5."""
    base = {
        "vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    }  # fmt: skip
    llama3 = {"rope_type": "llama3", **KINDS["llama3"]}
    ids = RNG.integers(0, 90, 30).tolist()
    for said in (
        {"model_type": "llama", "attention_bias": True, "mlp_bias": True, "rope_scaling": llama3},
        {"model_type": "mistral", "sliding_window": 7},
        {"model_type": "qwen3", "tie_word_embeddings": True, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        {"model_type": "pagoda", "norm": "rms_norm_1p", "norm_placement": "pre"},
    ):
        config = ModelConfig.from_dict({**base, **said})
        model = LlamaForCausalLM(config, ReferenceKernels())
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(1 + 0.2 * noise if "norm" in name else 0.1 * noise)
        with tempfile.TemporaryDirectory() as folder:
            save_checkpoint(model, config, folder)
            logits = _torch_logits(model, ids)
            assert 0.5 < np.abs(logits).max() < 10
            close(load_model(folder)(np.array([ids]))[0], logits, 1e-5)
            few = load_model(folder, dtype="bfloat16")(np.array([ids]))[0]
            assert keras.backend.standardize_dtype(few.dtype) == "bfloat16"
            close(ops.cast(few, "float32"), logits, 0.3)  # bf16 keeps 8 bits


def other_networks() -> None:
    for field, value in (("norm", "layer_norm"), ("norm_placement", "post"), ("hidden_act", "gelu")):
        with pytest.raises(ValueError, match=f"{field}='{value}'"):
            LlamaCausalLM(ModelConfig(**{field: value}))


def checkpoint(path: str = "builtin", first: str = "1e-4", num_tokens: int = 8) -> None:
    """A model that was trained: logits 1e-4, greedy text equal, and reals moved by any number 1e-5 at most.

    first: of the first token, on which models rest what attention they have left: its states may be hundreds of times
        as large as others', and keep so many digits fewer
    """
    model = load_model(path)
    file = Path(load_model.__code__.co_filename).parents[1] / "builtin" if path == "builtin" else Path(path)
    ours = _torch_model(file)
    ids = [5, 210, 77, 301, 42, 9, 123, 250, 31, 64, 17, 288]
    found, logits = numpy_of(model(np.array([ids]))[0]), _torch_logits(ours, ids)
    close(found[1:], logits[1:], 1e-4)
    close(found[:1], logits[:1], float(first))
    text = list(ids)
    for _ in range(num_tokens):
        text.append(int(_torch_logits(ours, text)[-1].argmax()))
    assert model.generate(ids, num_tokens, stop_ids=[]) == text[len(ids) :]
    with pytest.raises(ValueError, match="one text"):
        model.generate([], num_tokens)
    reals = np.sort(RNG.random(len(ids)) * 30)
    still = numpy_of(model(np.array([ids]), positions=reals))
    close(model(np.array([ids]), positions=reals + 123456.789), still, 1e-5)
    close(_torch_logits(ours, ids, reals + 123456.789), _torch_logits(ours, ids, reals), 1e-5)
    with tempfile.TemporaryDirectory() as folder:
        model.save_weights(f"{folder}/model.weights.h5")
        other = LlamaCausalLM.from_config(model.get_config())
        other.build()
        other.load_weights(f"{folder}/model.weights.h5")
    close(other(np.array([ids]), positions=reals), still, 0.0)


def kerashub() -> None:
    """KerasHub's layer is ours for "linear" and "yarn". Elsewhere it is wrong (0.32), and this says in what:

    its "dynamic" divides every frequency by one number, whatever the length, where NTK changes the base, so that fast
    pairs keep their angles; a type that it does not know is none, in silence.
    """
    import keras_hub

    theirs, half = keras_hub.layers.RotaryEmbedding, np.arange(8, dtype="float32")
    positions = np.arange(40.0, dtype="float32") * 3.7
    for settings in ({}, {"scaling_factor": 4.0}, {"scaling_factor": 4.0, "rope_type": "yarn", **ORIGINAL}):
        close(
            RotaryEmbedding(**settings)(X, positions=positions),
            numpy_of(theirs(**settings)(X, positions=positions)),
            2e-5,
        )

    def angles(layer: Any, position: float) -> np.ndarray:
        """What a token alone at `position` is turned by, modulo a turn."""
        ones = np.concatenate([np.ones(8), np.zeros(8)]).astype("float32")[None, None, None]
        turned = numpy_of(layer(ones, positions=np.array([position], "float32")))[0, 0, 0]
        return np.arctan2(turned[8:], turned[:8])

    frequencies = 10000.0 ** (-half / 8)
    said = {"scaling_factor": 4.0, "rope_type": "dynamic", **ORIGINAL}
    divided = angles(theirs(**said), 1.0)
    close(divided, frequencies / 4 ** (16 / 14), 1e-6)  # position 1 is within the trained length: nothing should change
    close(angles(RotaryEmbedding(**said), 1.0), frequencies, 1e-6)
    base = 10000.0 * (4 * 100 / 32 - 3) ** (16 / 14)  # and at a length of 100 the base should
    close(angles(RotaryEmbedding(**said), 99.0), np.angle(np.exp(1j * 99 * base ** (-half / 8))), 2e-5)
    close(angles(theirs(rope_type="llama3", scaling_factor=8.0), 1.0), frequencies, 1e-6)
    close(angles(theirs(rope_type="yern", scaling_factor=8.0), 1.0), frequencies, 1e-6)


if __name__ == "__main__":
    check, *arguments = sys.argv[2:]
    torch.set_num_threads(1)
    for name in check.split(","):
        globals()[name](*arguments)
        print(name, flush=True)
