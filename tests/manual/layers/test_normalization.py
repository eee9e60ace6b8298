"""Normalization alone: equal to Keras, in training and at inference, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from manual.layers import BatchNormalization, GroupNormalization, Input, LayerNormalization
from manual.layers.batch_normalization import BatchRenormalization
from manual.registry import NoTwin

pytestmark = pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "batch": (lambda: keras.layers.BatchNormalization(), (6, 3)),
    "batch, without β": (lambda: keras.layers.BatchNormalization(center=False), (6, 3)),
    "batch, without γ": (lambda: keras.layers.BatchNormalization(scale=False), (6, 3)),
    "batch, bare": (lambda: keras.layers.BatchNormalization(center=False, scale=False), (6, 3)),
    "batch of images": (lambda: keras.layers.BatchNormalization(epsilon=0.1), (2, 3, 2, 3)),
    "batch, channels first": (lambda: keras.layers.BatchNormalization(axis=1), (2, 3, 2, 2)),
    "batch, momentum": (lambda: keras.layers.BatchNormalization(momentum=0.3), (4, 3)),
    "batch, synchronized": (
        lambda: keras.layers.BatchNormalization(synchronized=True, momentum=0.5),
        (6, 3),
    ),
    "batch, synchronized, channels first": (
        lambda: keras.layers.BatchNormalization(axis=1, synchronized=True),
        (4, 3, 2),
    ),
    "batch, renorm": (lambda: keras.layers.BatchNormalization(renorm=True), (6, 3)),
    "batch, renorm, without γ": (
        lambda: keras.layers.BatchNormalization(
            renorm=True, scale=False, momentum=0.3, renorm_momentum=0.6
        ),
        (2, 3, 3),
    ),
    "batch, renorm, without β": (
        lambda: keras.layers.BatchNormalization(
            axis=1, renorm=True, center=False, renorm_clipping={"rmax": 1.1, "dmax": 0.2}
        ),
        (2, 3, 2, 2),
    ),
    "batch, renorm, bare": (
        lambda: keras.layers.BatchNormalization(
            renorm=True, center=False, scale=False, renorm_clipping={"rmin": 0.8}, epsilon=0.1
        ),
        (6, 3),
    ),
    "batch, renorm, synchronized": (
        lambda: keras.layers.BatchNormalization(renorm=True, synchronized=True),
        (6, 3),
    ),
    "batch, r and d constant": (
        lambda: keras.layers.BatchNormalization(
            renorm=True, renorm_clipping={"rmin": 1.5, "rmax": 1.5, "dmax": 0.0}
        ),
        (6, 3),
    ),
    "batch of one channel": (lambda: keras.layers.BatchNormalization(), (5, 2, 1)),
    "batch of one sample": (lambda: keras.layers.BatchNormalization(), (1, 3)),
    "layer": (lambda: keras.layers.LayerNormalization(), (4, 5)),
    "layer, without β": (lambda: keras.layers.LayerNormalization(center=False), (4, 5)),
    "layer, without γ": (lambda: keras.layers.LayerNormalization(scale=False), (4, 5)),
    "layer of rank 3": (lambda: keras.layers.LayerNormalization(epsilon=1e-5), (2, 3, 4)),
    "layer, two axes": (lambda: keras.layers.LayerNormalization(axis=[1, 2]), (2, 3, 4)),
    "layer, as written": (lambda: keras.layers.LayerNormalization(axis=[1, -1]), (2, 3, 4)),
    "layer, inner axis": (lambda: keras.layers.LayerNormalization(axis=1), (2, 3, 4)),
    "layer, rms": (lambda: keras.layers.LayerNormalization(rms_scaling=True), (3, 4)),
    "layer, rms, axes": (
        lambda: keras.layers.LayerNormalization(axis=[1, 2], rms_scaling=True),
        (2, 3, 4),
    ),
    "group": (lambda: keras.layers.GroupNormalization(2), (3, 4)),
    "group of images": (lambda: keras.layers.GroupNormalization(2), (2, 2, 3, 4)),
    "group, channels first": (lambda: keras.layers.GroupNormalization(2, axis=1), (2, 4, 3)),
    "group, inner axis": (lambda: keras.layers.GroupNormalization(3, axis=-2), (2, 2, 6, 2)),
    "group, instance": (lambda: keras.layers.GroupNormalization(-1, scale=False), (2, 3, 4)),
    "group, without β": (lambda: keras.layers.GroupNormalization(1, center=False), (2, 3, 4)),
    "unit": (lambda: keras.layers.UnitNormalization(), (4, 3)),
    "unit, samples too": (lambda: keras.layers.UnitNormalization(axis=[0, -1]), (2, 3, 4)),
    "unit, two axes": (lambda: keras.layers.UnitNormalization(axis=[1, 2]), (2, 3, 4)),
    "rms": (lambda: keras.layers.RMSNormalization(), (4, 3)),
    "rms, two axes": (lambda: keras.layers.RMSNormalization(axis=[1, 2], epsilon=0.1), (2, 3, 4)),
    "rms, inner axis": (lambda: keras.layers.RMSNormalization(axis=1), (2, 3, 3)),
}

TRAINED_ON = [
    name
    for name in LAYERS
    if name != "batch of one sample"  # there, all are β
    and "renorm" not in name  # where r and d move with the input, and Keras says they don't
]
AT_INFERENCE = [name for name in LAYERS if name.startswith("batch")]  # others know none


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, training: bool, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name], training=training)


@pytest.mark.parametrize(
    ("name", "training"),
    [*((name, True) for name in TRAINED_ON), *((name, False) for name in AT_INFERENCE)],
)
def test_derivative_is_that_of_the_forward_map(
    name: str, training: bool, layer_derivative: Any
) -> None:
    layer_derivative(*LAYERS[name], {"training": training})


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_far_from_zero_the_noise_is_keras_s(
    scale: float, mean: float, hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> None:
    """Where mean ≫ deviation both halves lose the same digits, forwards and backwards."""
    for layer, shape in (
        (keras.layers.BatchNormalization(), (64, 5)),
        (keras.layers.LayerNormalization(), (8, 40)),
        (keras.layers.GroupNormalization(2), (4, 6, 8)),
    ):
        x = (scale * (mean + generator.normal(size=shape))).astype(ruler.precision)
        hold_layer(layer, x, training=True)


@pytest.mark.parametrize("axis", [-1, 1])
def test_masked_time_steps_stay_out_of_the_statistics(axis: int, layer_equals_keras: Any) -> None:
    mask = np.arange(5) < np.array([[5], [3], [1], [2]])
    layer_equals_keras(
        lambda: keras.layers.BatchNormalization(axis=axis, momentum=0.5),
        (4, 5, 3),
        training=True,
        mask=mask,
    )


def test_frozen_it_behaves_as_at_inference(layer_equals_keras: Any) -> None:
    layer_equals_keras(
        lambda: keras.layers.BatchNormalization(trainable=False), (6, 3), training=True
    )


def test_a_batch_by_hand() -> None:
    """Two samples, 1 and 3: mean 2, biased variance 1."""
    layer = BatchNormalization(momentum=0.75, epsilon=0.0)
    layer(Input((1,)))
    y, saved = layer.forward(np.array([[1.0], [3.0]]), training=True)
    np.testing.assert_array_equal(y, [[-1.0], [1.0]])
    layer.update_state(saved)
    np.testing.assert_array_equal(layer.moving_mean.value, [0.5])
    np.testing.assert_array_equal(layer.moving_variance.value, [1.0])
    # A gradient along ones or along x̂ alone does nothing: the output can't follow either.
    np.testing.assert_array_equal(layer.backward(np.ones((2, 1)), saved), np.zeros((2, 1)))
    np.testing.assert_array_equal(layer.backward(y, saved), np.zeros((2, 1)))
    y, saved = layer.forward(np.array([[1.0], [3.0]]))
    np.testing.assert_array_equal(y, [[0.5], [2.5]])


@pytest.mark.parametrize("name", ["UnitNormalization", "RMSNormalization"])
def test_a_vector_of_zeros(name: str, hold_layer: Any, twin_of: Any, ruler: Any) -> None:
    layer = getattr(keras.layers, name)()
    x = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]], ruler.precision)
    with np.errstate(all="ignore"):  # the noise of √0 is looked for
        hold_layer(layer, x)
    by_hand = twin_of(layer, x.shape)
    with np.errstate(all="raise"):  # plain numbers meet no 1/0
        by_hand.backward(x, by_hand.forward(x)[1])


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("mask", [None, np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], bool)])
def test_renormalization_has_the_derivative_with_its_corrections_held(
    scale: bool, center: bool, mask: Any, layer_derivative: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = np.array([[[1.5, 0.75]]]), np.array([[[0.25, -0.5]]])
    monkeypatch.setattr(BatchRenormalization, "corrections", lambda self, of: held)
    options = {"training": True} if mask is None else {"training": True, "mask": mask}
    layer_derivative(
        lambda: keras.layers.BatchNormalization(renorm=True, center=center, scale=scale),
        (3, 3, 2),
        options,
    )


def test_renormalization_far_off_its_averages_gives_other_numbers_unless_they_are_clipped() -> None:
    """What a twin that forgot r and d would give is another result."""
    x = np.array([[1.0], [3.0]])
    plain = BatchNormalization(epsilon=0.0)
    free = BatchRenormalization(epsilon=0.0)
    bound = BatchRenormalization(
        epsilon=0.0, renorm_clipping={"rmin": 1.0, "rmax": 1.0, "dmax": 0.0}
    )
    for layer in (plain, free, bound):
        layer(Input((1,)))
    np.testing.assert_array_equal(plain.forward(x, training=True)[0], [[-1.0], [1.0]])
    free.renorm_mean.value[...], free.renorm_stddev.value[...] = 1.0, 4.0
    np.testing.assert_array_equal(free.forward(x, training=True)[0], [[0.0], [0.5]])
    np.testing.assert_array_equal(bound.forward(x, training=True)[0], [[-1.0], [1.0]])


def test_statistics_over_the_samples_have_no_twin() -> None:
    with pytest.raises(NoTwin, match="over a batch of any size"):
        LayerNormalization(axis=[0, 1])(Input((3,)))


def test_groups_must_be_equal() -> None:
    with pytest.raises(ValueError, match="'g' can't form 4 equal groups of 6 channels"):
        GroupNormalization(4, name="g")(Input((6,)))
