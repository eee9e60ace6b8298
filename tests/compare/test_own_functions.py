"""Functions of the user's own among a layer's options: both halves agree; a slip is found."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from compare import Report, lockstep
from manual.functions import RegularizerOfOperations
from manual.operations.elementary import Square

layers, activations = keras.layers, keras.activations
MASKED = (3, 4)


def bent(z: Any) -> Any:
    return ops.square(z) * 0.5 + z


class Gated:
    """A function that Keras can't write down."""

    def __call__(self, z: Any) -> Any:
        return ops.tanh(z) * z


def penalty(w: Any) -> Any:
    return 0.01 * ops.sum(ops.square(w)) + 0.02 * ops.sum(ops.abs(w))


def run(
    made: Callable[[Any], Any],
    shape: tuple[int, ...] = (4,),
    loss: str = "mse",
    *,
    masked: bool = False,
    **options: Any,
) -> Report:
    """Compare two steps of: a dense layer, what is made of it, and what follows a mask."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(5, *shape))
    x[:, -1] *= not masked
    data = keras.Input(shape)
    h = layers.Dense(shape[-1], name="before")(layers.Masking()(data) if masked else data)
    h = made(h)
    if len(shape) > 1:
        h = layers.GlobalAveragePooling1D()(h)  # of the steps that count
    model = keras.Model(data, h)
    model.compile("adam", loss, **options)
    y = np.eye(h.shape[-1])[generator.integers(0, h.shape[-1], 5)]
    return lockstep(model, x, y, batch_size=3, shuffle=False)


def functions_of_many_kinds(h: Any) -> Any:
    for layer in (
        layers.Activation(bent),
        layers.Activation(lambda z: activations.threshold(z, -0.2, 1.0)),
        layers.Lambda(lambda x: activations.mish(x), activity_regularizer="l2"),
        layers.Lambda(lambda x, training=False: x * (2.0 if training else 1.0)),
        layers.Dense(3, functools.partial(activations.gelu, approximate=True)),
        layers.Dense(3, layers.ReLU(max_value=1.5, negative_slope=0.1)),
        layers.SpectralNormalization(layers.Dense(3, ops.erf)),
        layers.Dense(
            3,
            Gated(),
            kernel_initializer=lambda shape, dtype=None: ops.ones(shape, dtype) * 0.3,
            kernel_regularizer=penalty,
            bias_constraint=lambda b: ops.clip(b, -0.005, 0.005),
            activity_regularizer=lambda y: ops.sum(y) * 0.1,
        ),
    ):
        h = layer(h)
    return h


def test_functions_that_are_made_of_operations(precision: str) -> None:
    report = run(functions_of_many_kinds)
    report.raise_if_different()
    assert not report.unverified


def test_the_activations_of_a_recurrent_layer(use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    recurrent = layers.LSTM(3, Gated(), recurrent_activation=lambda z: ops.sigmoid(2.0 * z))
    run(lambda h: recurrent(h)[:, None], MASKED).raise_if_different()


def test_masks_of_functions(precision: str) -> None:
    def told(x: Any, mask: Any = None) -> Any:
        return x * ops.cast(mask, x.dtype)[..., None] + 1.0

    def mask_through(h: Any) -> Any:
        h = layers.Lambda(told, mask=lambda x, mask=None: mask, output_shape=MASKED)(h)
        return layers.Lambda(lambda x: x * 2.0, mask=lambda x, mask=None: mask)(h)

    run(mask_through, MASKED, masked=True).raise_if_different()


def doubled(mask: Any) -> Any:
    return layers.Lambda(lambda x: x * 2.0, mask=mask)


@pytest.mark.parametrize(
    "mask", [lambda x, mask=None: None, lambda x, mask=None: ops.any(x > 0.2, axis=-1)]
)
def test_a_function_that_makes_a_mask(mask: Any, use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    run(doubled(mask), MASKED, masked=True).raise_if_different()


@pytest.mark.parametrize(
    "kind", [layers.Activation, layers.Lambda, functools.partial(layers.Dense, 3)]
)
def test_logits_within_a_function(kind: Any, use_precision: Callable[[str], None]) -> None:
    """Far out, a loss of the probabilities would be another: they are clipped."""
    use_precision("float64")
    report = run(kind(lambda z: ops.softmax(z * 60.0)), loss="categorical_crossentropy")
    report.raise_if_different()
    assert any(name.endswith("/logits") for _, name, _ in report.quantities)


def test_a_slip_in_one_is_found(monkeypatch: Any, use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    monkeypatch.setattr(Square, "dx1", lambda self, dy, y, x: dy * x)
    report = run(layers.Dense(3, bent, name="mine"))
    assert report.first is not None
    assert report.first.phase == "activation gradient"
    assert report.first.name == "mine/pre_activation"


def test_a_slip_in_a_penalty_is_found(
    monkeypatch: Any, use_precision: Callable[[str], None]
) -> None:
    use_precision("float64")
    own = RegularizerOfOperations.backward
    monkeypatch.setattr(RegularizerOfOperations, "backward", lambda self, w: own(self, w) * 2.0)
    report = run(layers.Dense(3, kernel_regularizer=penalty, name="mine"))
    assert report.first is not None
    assert (report.first.phase, report.first.name) == ("weight gradient", "mine/kernel")


def test_an_object_for_an_option_that_all_layers_have(use_precision: Callable[[str], None]) -> None:
    """Keras itself can't write down such a layer, although nothing of it is unknown."""
    use_precision("float64")
    penalty = keras.regularizers.L2(0.1)
    run(layers.Identity(activity_regularizer=penalty)).raise_if_different()


def test_what_is_not_made_of_operations_is_carried(use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    import tensorflow as tf

    report = run(layers.Lambda(tf.square, name="mine"), MASKED, masked=True)
    report.raise_if_different()
    assert report.unverified == ["mine"]
