"""Images in other sizes: equal to Keras, the transposed map on the way back, and by arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare import lockstep
from compare.rounding.noise import SINGLE, Noisy
from manual.interpolation import KERNELS, Resize, weights
from manual.layers import CenterCrop, Resizing, UpSampling2D

CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "larger, the same size": (
        lambda: keras.layers.UpSampling2D(1, interpolation="bilinear"),
        (2, 3, 2, 2),
    ),
    "larger, channels first": (
        lambda: keras.layers.UpSampling2D(
            (2, 3), interpolation="bicubic", data_format="channels_first"
        ),
        (2, 3, 2, 4),
    ),
    "resized, channels first": (
        lambda: keras.layers.Resizing(5, 3, data_format="channels_first"),
        (2, 3, 2, 4),
    ),
    "resized, nearest": (lambda: keras.layers.Resizing(5, 3, "nearest"), (2, 3, 7, 2)),
    "resized, cropped": (
        lambda: keras.layers.Resizing(4, 3, crop_to_aspect_ratio=True),
        (2, 4, 7, 2),
    ),
    "resized, cropped above": (
        lambda: keras.layers.Resizing(3, 4, crop_to_aspect_ratio=True),
        (2, 8, 5, 2),
    ),
    "resized, padded": (
        lambda: keras.layers.Resizing(4, 6, pad_to_aspect_ratio=True, fill_value=0.3),
        (2, 5, 3, 2),
    ),
    "resized, padded above": (
        lambda: keras.layers.Resizing(4, 3, "bicubic", pad_to_aspect_ratio=True),
        (2, 3, 7, 2),
    ),
    "resized, as it was": (lambda: keras.layers.Resizing(4, 3), (2, 4, 3, 2)),
    "cropped": (lambda: keras.layers.CenterCrop(3, 2), (2, 6, 5, 2)),
    "cropped, channels first": (
        lambda: keras.layers.CenterCrop(2, 2, data_format="channels_first"),
        (2, 3, 5, 4),
    ),
    "cropped, too small": (lambda: keras.layers.CenterCrop(4, 3), (2, 3, 5, 2)),
    **{
        f"larger, {how}": (
            lambda how=how: keras.layers.UpSampling2D((3, 2), interpolation=how),  # type: ignore[misc]
            (2, 4, 3, 2),
        )
        for how in KERNELS
    },
    **{
        f"resized, {how}": (
            lambda how=how: keras.layers.Resizing(5, 4, how),  # type: ignore[misc]
            (2, 3, 7, 2),
        )
        for how in KERNELS
    },
    **{
        f"resized, {how}, antialias": (
            lambda how=how: keras.layers.Resizing(3, 4, how, antialias=True),  # type: ignore[misc]
            (2, 11, 7, 2),
        )
        for how in KERNELS
    },
}
ONLY_SINGLE = [name for name in CASES if "lanczos" in name or "antialias" in name]
"""TensorFlow can't differentiate these in float64; nor does CenterCrop give float64 back."""
ONLY_SINGLE.append("cropped, too small")


@pytest.mark.parametrize("name", CASES)
def test_equals_keras(name: str, precision: str, layer_equals_keras: Any) -> None:
    if name in ONLY_SINGLE and precision == "float64":
        pytest.skip("Keras has no gradient of this in float64")
    layer_equals_keras(*CASES[name])


@pytest.mark.parametrize("name", ONLY_SINGLE[:-1])
def test_forward_equals_keras_in_either_precision(
    name: str, ruler: Any, twin_of: Any, generator: np.random.Generator
) -> None:
    make, shape = CASES[name]
    layer = make()
    x = generator.normal(size=shape).astype(ruler.precision)
    by_hand = twin_of(layer, shape)
    ruler.agrees(layer(tf.constant(x)), by_hand.forward(ruler.exact(x))[0], name)


@pytest.mark.parametrize("name", CASES)
def test_backward_is_the_transposed_map(
    name: str, twin_of: Any, generator: np.random.Generator
) -> None:
    """Where nothing is put around the image, dy · f(x) = f′(dy) · x; in float32, as all of it."""
    make, shape = CASES[name]
    by_hand = twin_of(make(), shape)
    x = Noisy(generator.normal(size=shape), unit=SINGLE)
    y, saved = by_hand.forward(x)
    dy = generator.normal(size=y.shape)
    dx = by_hand.backward(Noisy(dy, unit=SINGLE), saved)
    zero = by_hand.forward(Noisy(np.zeros(shape), unit=SINGLE))[0]
    difference = ((y - zero) * dy).sum() - (dx * x.value).sum()
    assert abs(difference.value) <= 8 * SINGLE * difference.noise


def test_weights_by_arithmetic() -> None:
    np.testing.assert_array_equal(
        weights("bilinear", 2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    )
    np.testing.assert_array_equal(weights("nearest", 2, 3), [[1, 0], [0, 1], [0, 1]])
    # Keys: f(¼) = 3/2·1/64 − 5/2·1/16 + 1 = 0.8671875, f(¾) = 0.2265625,
    # f(5/4) = −0.0703125; f(7/4) = −0.0234375. The first pixel lacks one left neighbour.
    inner = np.array([-0.0234375, 0.2265625, 0.8671875, -0.0703125])
    np.testing.assert_array_equal(weights("bicubic", 4, 8)[4], inner)
    np.testing.assert_allclose(
        weights("bicubic", 4, 8)[1, :3],
        np.array([0.8671875, 0.2265625, -0.0234375]) / 1.0703125,
        rtol=2.0**-24,  # of one quotient in float32
    )


@pytest.mark.parametrize("how", KERNELS)
def test_one_colour_stays_one_colour(how: str) -> None:
    for antialias in (False, True):
        found = weights(how, 7, 3, antialias)
        rounded = np.abs(found).sum(axis=1, keepdims=True) * 2.0**-24  # a quotient for each weight
        # … by a sum of float32 numbers, one rounding for each of its terms
        rounded = rounded * (1 + np.count_nonzero(found, axis=1, keepdims=True))
        assert (np.abs(found.sum(axis=1, keepdims=True) - 1) <= rounded).all()


def test_in_float64_the_numbers_are_those_of_float32(generator: np.random.Generator) -> None:
    x = generator.normal(size=(1, 3, 3, 1))
    resize = Resize("bilinear", (3, 3), (6, 6), 1)
    y = resize.forward(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, resize.forward(x.astype(np.float32)))
    noise = resize.forward(Noisy(x, unit=2.0**-53)).noise * 2.0**-53
    assert (noise > SINGLE * np.abs(y) / 2).all()  # what float32 costs, and no less
    assert np.isfinite(noise).all()


@pytest.mark.parametrize(
    ("slip", "layer"),
    [
        (lambda W: W[::-1], Resizing(3, 4, "bicubic")),
        (lambda W: W * 1.001, UpSampling2D(2, interpolation="lanczos3")),
        (lambda W: np.roll(W, 1, axis=0), CenterCrop(4, 3)),
    ],
    ids=["upside down", "a little too large", "half a pixel off"],
)
def test_a_slip_in_the_weights_shows(
    slip: Any, layer: Any, ruler: Any, generator: np.random.Generator, monkeypatch: Any
) -> None:
    x = generator.normal(size=(2, 3, 7, 2)).astype(ruler.precision)
    right, _ = layer.forward(x)
    monkeypatch.setattr("manual.interpolation.weights", lambda *given: slip(weights(*given)))
    wrong, _ = layer.forward(ruler.exact(x))
    with pytest.raises(AssertionError, match="slip"):
        ruler.agrees(right, wrong, "slip")


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.CenterCrop(6, 3),
        lambda: keras.layers.Resizing(5, 7, "bicubic"),
        lambda: keras.layers.UpSampling2D(2, interpolation="bilinear"),
    ],
)
def test_in_fit(layer: Any, precision: str, generator: np.random.Generator) -> None:
    """CenterCrop hands on float32 whatever the policy, so that its gradient is rounded as well."""
    inputs = keras.Input((5, 4, 2))
    images = layer()(keras.layers.Dense(2)(inputs))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(images))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    x, y = generator.normal(size=(8, 5, 4, 2)), generator.normal(size=(8, 2))
    lockstep(model, x, y, batch_size=4).raise_if_different()
