"""Whole models as their users write them, in both precisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

L, ops = keras.layers, keras.ops
N = 6
MODELS: dict[str, tuple[Callable[[], Any], bool]] = {}


def whole(function: Callable[[], Any]) -> Callable[[], Any]:
    MODELS[function.__name__] = function, False
    return function


def slow(function: Callable[[], Any]) -> Callable[[], Any]:
    MODELS[function.__name__] = function, True
    return function


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=(N, *shape))


def words(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, count, (N, *shape))


def compiled(inputs: Any, outputs: Any, loss: Any = "mse", **options: Any) -> keras.Model:
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss, **options)
    return model


@pytest.fixture(params=["float32", "float64"])
def precision(request: Any) -> Iterator[str]:
    before = keras.config.floatx()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(before)


@whole
def positions_by_operations() -> Any:
    """Whole numbers that operations make are exact: they can be looked up."""
    x = keras.Input((5,), dtype="int32")
    place = ops.cumsum(ops.ones_like(x), axis=1) - 1
    h = L.Embedding(9, 4)(x) + L.Embedding(5, 4)(place)
    return compiled(x, L.Dense(1)(L.GlobalAveragePooling1D()(h))), words(9, 5), numbers(1)


@whole
def attention_with_a_mask_of_its_own() -> Any:
    x, mask = keras.Input((4, 6)), keras.Input((4, 4), dtype="bool")
    a = L.MultiHeadAttention(2, 3)(x, x, attention_mask=mask)
    data = [numbers(4, 6), numbers(4, 4) < 1.0]
    return compiled([x, mask], L.Dense(1)(a)), data, numbers(4, 1)


@whole
def attention_that_shows_its_weights() -> Any:
    x = keras.Input((4, 6))
    a, weights = L.MultiHeadAttention(2, 3, dropout=0.2)(x, x, return_attention_scores=True)
    model = compiled(x, [L.Dense(1)(a), weights], ["mse", "mse"])
    return model, numbers(4, 6), [numbers(4, 1), numbers(2, 4, 4)]


@whole
def numpy_numbers_widen_operations() -> Any:
    """A number of NumPy's makes a float32 model compute in float64 from there on."""
    x = keras.Input((4, 6))
    q, k = L.Dense(6)(x), L.Dense(6)(x)
    scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / np.sqrt(6)
    return compiled(x, L.Dense(1)(ops.matmul(ops.softmax(scores), x))), numbers(4, 6), numbers(4, 1)


@whole
def variational_autoencoder() -> Any:
    """The models that it is made of begin at the same input, and its output is one of them."""
    x, noise, z = keras.Input((6,)), keras.Input((2,)), keras.Input((2,))
    encoder = keras.Model(x, [L.Dense(2, name="mu")(x), L.Dense(2, name="lv")(x)], name="encoder")
    decoder = keras.Model(z, L.Dense(6)(L.Dense(4, "relu")(z)), name="decoder")
    mu, lv = encoder(x)
    decoded = decoder(mu + ops.exp(lv / 2) * noise)
    divergence = -0.5 * ops.sum(1 + lv - ops.square(mu) - ops.exp(lv), axis=-1, keepdims=True)
    model = compiled([x, noise], [decoded, divergence], ["mse", "mae"], loss_weights=[1, 0.1])
    return model, [numbers(6), numbers(2)], [numbers(6), np.zeros((N, 1))]


@whole
def model_at_every_step() -> Any:
    parts = [keras.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dropout(0.3), L.Dense(2)]
    x = keras.Input((3, 4))
    return compiled(x, L.TimeDistributed(keras.Sequential(parts))(x)), numbers(3, 4), numbers(3, 2)


@slow
def regularized_functional_at_every_step() -> Any:
    z, x = keras.Input((4,)), keras.Input((3, 4))
    within = L.Dense(4, "relu", kernel_regularizer="l2", kernel_constraint="max_norm")(z)
    model = keras.Model(z, L.Dense(2)(within + z))
    return compiled(x, L.LSTM(2)(L.TimeDistributed(model)(x))), numbers(3, 4), numbers(2)


@whole
def whole_numbers_as_data() -> Any:
    x = keras.Input((5, 5, 1), dtype="uint8")
    h = L.Conv2D(2, 3, activation="relu")(L.Rescaling(1 / 127.5, -1)(x))
    model = compiled(x, L.Dense(3, "softmax")(L.Flatten()(h)), "sparse_categorical_crossentropy")
    return model, words(256, 5, 5, 1).astype("uint8"), words(3)


@whole
def tied_table() -> Any:
    x = keras.Input((4,), dtype="int32")
    table = L.ReversibleEmbedding(9, 4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return (
        compiled(x, table(L.Dense(4, "tanh")(table(x)), reverse=True), loss),
        words(9, 4),
        words(9, 4),
    )


@whole
def steps_of_any_number() -> Any:
    x = keras.Input((None, 4))
    h = L.Dense(4)(x)
    return (
        compiled(x, L.Dense(1)(h - ops.mean(h, axis=1, keepdims=True))),
        numbers(5, 4),
        numbers(5, 1),
    )


class Scaled(L.Layer):
    """As users write them: no configuration, no names of weights, layers within."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.dense = units, L.Dense(units, "tanh")

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        self.scale = self.add_weight(shape=(self.units,), initializer="ones")

    def call(self, x: Any) -> Any:
        return self.dense(x) * self.scale


@whole
def layers_of_the_users_own() -> Any:
    x = keras.Input((4,))
    return compiled(x, L.Dense(1)(Scaled(3)(Scaled(4)(x)))), numbers(4), numbers(1)


@slow
def layer_of_two_inputs_without_a_twin() -> Any:
    class Sampling(L.Layer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.seed = keras.random.SeedGenerator(3)

        def call(self, x: Any) -> Any:
            mean, spread = x
            return mean + spread * keras.random.normal(
                ops.shape(mean), seed=self.seed, dtype=mean.dtype
            )

    x = keras.Input((4,))
    return (
        compiled(x, L.Dense(1)(Sampling()([L.Dense(3)(x), L.Dense(3)(x)]))),
        numbers(4),
        numbers(1),
    )


@whole
def whole_numbers_by_hashing() -> Any:
    x = keras.Input((1,), dtype="int32")
    h = L.Flatten()(L.Embedding(5, 2)(L.Hashing(5)(x)))
    return compiled(x, L.Dense(1)(h)), words(50, 1), numbers(1)


@whole
def output_judged_twice() -> Any:
    x = keras.Input((4,))
    out = L.Dense(2)(x)
    return compiled(x, [out, out], ["mse", "mae"]), numbers(4), [numbers(2), numbers(2)]


@slow
def output_that_is_an_input() -> Any:
    x = keras.Input((4,))
    return compiled(x, [x, L.Dense(2)(x)], ["mse", "mse"]), numbers(4), [numbers(4), numbers(2)]


@slow
def experts() -> Any:
    x = keras.Input((5,))
    best, where = ops.top_k(L.Dense(4)(x), 2)
    chosen = ops.one_hot(where, 4, dtype=x.dtype) * ops.expand_dims(ops.softmax(best), -1)
    all_of_them = ops.stack([L.Dense(3)(x) for _ in range(4)], axis=1)
    y = ops.einsum("be,bed->bd", ops.sum(chosen, 1), all_of_them)
    return compiled(x, L.Dense(1)(y)), numbers(5), numbers(1)


@slow
def triplet() -> Any:
    encoder = keras.Sequential([keras.Input((5,)), L.Dense(3, "tanh"), L.UnitNormalization()])
    inputs = [keras.Input((5,)) for _ in range(3)]
    anchor, same, other = map(encoder, inputs)
    near, far = (ops.sum(ops.square(anchor - one), -1, keepdims=True) for one in (same, other))
    model = compiled(inputs, ops.maximum(near - far + 0.2, 0.0), "mae")
    return model, [numbers(5), numbers(5) + 1, numbers(5)[::-1].copy()], np.zeros((N, 1))


@slow
def squeeze_and_excite() -> Any:
    x = keras.Input((5, 5, 4))
    h = L.DepthwiseConv2D(3, padding="same")(L.Conv2D(6, 1, activation="swish")(x))
    s = L.Conv2D(2, 1, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(h))
    h = L.Conv2D(4, 1)(L.multiply([h, L.Conv2D(6, 1, activation="hard_sigmoid")(s)]))
    h = L.BatchNormalization()(L.add([h, x]))
    return compiled(x, L.Dense(2)(L.GlobalAveragePooling2D()(h))), numbers(5, 5, 4), numbers(2)


@slow
def unet() -> Any:
    x = keras.Input((8, 8, 1))
    a = L.ReLU()(L.BatchNormalization()(L.Conv2D(3, 3, padding="same")(x)))
    b = L.Conv2D(4, 3, padding="same", activation="relu")(L.MaxPooling2D()(a))
    joined = L.concatenate([a, L.Conv2DTranspose(3, 2, strides=2)(b)])
    y = L.Conv2D(1, 1, activation="sigmoid")(joined)
    return compiled(x, y, keras.losses.Dice()), numbers(8, 8, 1), 1.0 * (numbers(8, 8, 1) > 0)


@slow
def encoder_and_decoder() -> Any:
    e, d = keras.Input((5,), dtype="int32"), keras.Input((4,), dtype="int32")
    steps, *state = L.LSTM(4, return_sequences=True, return_state=True)(
        L.Embedding(9, 4, mask_zero=True)(e)
    )
    told = L.LSTM(4, return_sequences=True)(
        L.Embedding(9, 4, mask_zero=True)(d), initial_state=state
    )
    joined = L.Concatenate()([told, L.Attention()([told, steps])])
    y = L.TimeDistributed(L.Dense(9, "softmax"))(joined)
    e_words, d_words = words(9, 5), words(9, 4)
    e_words[:, 0] = d_words[:, 0] = 1
    e_words[:, 4] = d_words[:2, 3] = 0
    return compiled([e, d], y, "sparse_categorical_crossentropy"), [e_words, d_words], words(9, 4)


@slow
def stacked_cells() -> Any:
    x = keras.Input((4, 3))
    h = L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)(x)
    return compiled(x, L.Dense(1)(L.RNN(L.SimpleRNNCell(2))(h))), numbers(4, 3), numbers(1)


@slow
def frozen_base() -> Any:
    base = keras.Sequential(
        [keras.Input((6, 6, 3)), L.Conv2D(3, 3), L.BatchNormalization(), L.Conv2D(2, 3)]
    )
    base.layers[0].trainable = base.layers[1].trainable = False
    x = keras.Input((6, 6, 3))
    return (
        compiled(x, L.Dense(2)(L.Flatten()(base(x, training=False)))),
        numbers(6, 6, 3),
        numbers(2),
    )


@slow
def compiled_by_xla() -> Any:
    x = keras.Input((5, 8))
    h = L.LayerNormalization()(L.MultiHeadAttention(2, 4)(x, x) + x)
    return compiled(x, L.Dense(1)(h), jit_compile=True), numbers(5, 8), numbers(5, 1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if is_slow else [])
        for name, (_, is_slow) in MODELS.items()
    ],
)
def test_a_whole_model(name: str, precision: str, lockstep: Any) -> None:
    keras.utils.set_random_seed(1)
    model, x, y = MODELS[name][0]()
    report = lockstep(model, x, y, batch_size=4, epochs=1).check()
    assert report.steps == 2
    by_keras = {"layer_of_two_inputs_without_a_twin", "whole_numbers_by_hashing"}
    assert bool(report.unverified) == (name in by_keras)
