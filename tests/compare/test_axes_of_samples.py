"""Weights for each sample of a batch, sizes that a model leaves open: both halves agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from compare import BadInput, Report, lockstep

layers = keras.layers


def run(data: Any, h: Any, *, batch_size: int = 4, **of_whole_numbers: int) -> Report:
    generator = np.random.default_rng(0)
    sizes = [size or 3 for size in data.shape[1:]]
    x = generator.normal(size=(8, *sizes))
    if of_whole_numbers:
        x = generator.integers(0, of_whole_numbers["below"], (8, *sizes))
    model = keras.Model(data, h)
    model.compile("adam", "mse")
    return lockstep(model, x, generator.normal(size=(8, *h.shape[1:])), batch_size=batch_size)


def test_normalization_along_the_samples(precision: str) -> None:
    data = keras.Input((3,), batch_size=4)
    h = layers.BatchNormalization(axis=0, momentum=0.5)(layers.Dense(3)(data))
    h = layers.LayerNormalization(axis=0)(layers.Dense(2)(h))
    report = run(data, h)
    report.raise_if_different()
    assert not report.unverified


def test_groups_of_samples_are_refused(use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    data = keras.Input((3,), batch_size=4)
    h = layers.GroupNormalization(groups=2, axis=0, name="mine")(layers.Dense(3)(data))
    with pytest.raises(BadInput, match=r"'mine'"):
        run(data, h)


def test_functions_of_open_sizes(use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    data = keras.Input((None, 3))
    h = layers.Dense(4, lambda z: ops.tanh(z) * z)(data)
    h = layers.Lambda(lambda x: ops.softmax(2.0 * x, axis=1))(h)
    report = run(data, layers.Lambda(lambda x: ops.mean(x, axis=1))(h))
    report.raise_if_different()
    assert not report.unverified


def test_a_generator_for_a_seed(use_precision: Callable[[str], None]) -> None:
    """Keras takes one where nothing is drawn."""
    use_precision("float64")
    data = keras.Input((4,))
    draws = keras.random.SeedGenerator(7)
    run(data, layers.AlphaDropout(0.0, seed=draws)(layers.Dense(3)(data))).raise_if_different()


def test_an_ellipsis_for_no_axes(use_precision: Callable[[str], None]) -> None:
    use_precision("float64")
    data = keras.Input((2, 4))
    h = layers.EinsumDense("...abc,cd->...abd", (2, 3), bias_axes="d")(data)
    run(data, h).raise_if_different()


def test_a_scale_that_spreads_over_further_axes(use_precision: Callable[[str], None]) -> None:
    """Keras says that such an output has the shape of the input, and makes more of it."""
    use_precision("float64")
    data = keras.Input((2, 3, 1))
    with pytest.raises(BadInput, match="makes more of an input of shape"):
        h = layers.RMSNormalization(axis=1, name="rms")(data)
        model = keras.Model(data, h)
        model.compile("sgd", "mse")
        lockstep(model, np.ones((4, 2, 3, 1)), np.ones((4, 2, 3, 2)), strict=True)


@pytest.mark.parametrize(
    "options", [{"dtype": "mixed_bfloat16"}, {"activity_regularizer": "l2"}], ids=str
)
def test_what_surrounds_a_table(
    options: dict[str, Any], use_precision: Callable[[str], None]
) -> None:
    """A gradient comes back to a table in its precision; the way back costs as the way there."""
    use_precision("float32")
    data = keras.Input((3,), dtype="int32")
    table = layers.ReversibleEmbedding(5, 4, **options)
    h = layers.Dense(4, "tanh")(table(data))
    run(data, table(h, reverse=True), below=5).raise_if_different()
