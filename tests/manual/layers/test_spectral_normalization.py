"""SpectralNormalization: as Keras divides the kernel, alone and in fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import Dense, Input, SpectralNormalization
from manual.registry import NoTwin

layers = keras.layers


def wrapped(layer: Any, **options: Any) -> Callable[[], Any]:
    return lambda: layers.SpectralNormalization(layer(), **options)


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Dense": (wrapped(lambda: layers.Dense(4)), (5, 3)),
    "Dense, activation": (wrapped(lambda: layers.Dense(4, "tanh")), (5, 3)),
    "Dense, no bias, 3 times": (
        wrapped(lambda: layers.Dense(4, use_bias=False), power_iterations=3),
        (2, 5, 3),
    ),
    "Conv2D": (wrapped(lambda: layers.Conv2D(3, 2, padding="same")), (2, 3, 3, 2)),
    "Conv1DTranspose": (wrapped(lambda: layers.Conv1DTranspose(3, 2)), (2, 3, 2)),
    "DepthwiseConv2D": (wrapped(lambda: layers.DepthwiseConv2D(2)), (2, 3, 3, 2)),
    "EinsumDense": (wrapped(lambda: layers.EinsumDense("ab,bc->ac", 4)), (5, 3)),
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, training: bool, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name], training=training)


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


def test_of_a_kernel_of_zeros(ruler: Any, twin_of: Any, loaded: Any) -> None:
    layer = LAYERS["Dense"][0]()
    by_hand = twin_of(layer, (2, 3))
    u = np.ones((1, 4), ruler.precision)
    weights = [np.zeros((3, 4), ruler.precision), u, np.ones(4, ruler.precision)]
    layer.set_weights(weights)
    loaded(by_hand, weights, ruler.exact)
    x = np.ones((2, 3), ruler.precision)
    with np.errstate(all="ignore"):
        y, saved = by_hand.forward(ruler.exact(x), training=True)
    ruler.agrees(layer(x, training=True), y, "output")
    by_hand.update_state(saved)
    np.testing.assert_array_equal(by_hand.vector_u.value.value, u)
    np.testing.assert_array_equal(layer.vector_u, u)


def model() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    y = layers.SpectralNormalization(layers.Conv2D(3, 2, kernel_regularizer="l2"))(inputs)
    y = layers.Flatten()(y)
    y = layers.SpectralNormalization(layers.Dense(4, "tanh"), power_iterations=2)(y)
    return keras.Model(inputs, layers.Dense(2)(y))


def run(**options: Any) -> Any:
    draw = np.random.default_rng(4)
    built = model()
    built.compile(options.pop("optimizer", "adam"), "mse")
    x, y = draw.normal(size=(12, 4, 4, 2)), draw.normal(size=(12, 2))
    return lockstep(built, x, y, batch_size=4, epochs=4, **options)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_in_fit(optimizer: str, precision: str) -> None:
    report = run(optimizer=optimizer)
    report.raise_if_different()


def test_called_several_times_or_frozen(precision: str) -> None:
    """Each call normalizes what the one before it left, of a frozen kernel too.

    Told that it isn't trainable, the wrapper is in vain: that is up to the layer within.
    """
    twice = layers.SpectralNormalization(layers.Dense(3, kernel_regularizer="l2"), name="sn")
    frozen = layers.SpectralNormalization(layers.Dense(3, trainable=False))
    trained = layers.SpectralNormalization(layers.Dense(3), trainable=False)
    inputs = keras.Input((3,))
    built = keras.Model(inputs, trained(frozen(twice(layers.Dense(3, "tanh")(twice(inputs))))))
    built.compile("adam", "mse")
    draw = np.random.default_rng(2)
    before = frozen.layer.kernel.numpy()
    report = lockstep(built, draw.normal(size=(6, 3)), draw.normal(size=(6, 3)), batch_size=3)
    report.raise_if_different()
    assert ("state", f"{frozen.name}/kernel", "model.fit") in report.quantities
    assert not np.array_equal(frozen.layer.kernel.numpy(), before)


def test_a_gradient_led_through_sigma_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    own = SpectralNormalization.backward

    def through(self: Any, dy: Any, saved: Any) -> Any:
        before = self.kernel.gradient * 1.0
        dx = own(self, dy, saved)
        added = self.kernel.gradient - before
        self.kernel.gradient = before + added * 0.5
        return dx

    monkeypatch.setattr(SpectralNormalization, "backward", through)
    first = run().first
    assert first.phase == "weight gradient"
    assert first.name.endswith("/kernel")


def test_an_update_from_the_old_kernel_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_u(self: Any, saved: Any) -> None:
        self.vector_u.value[...] = saved[1]

    monkeypatch.setattr(SpectralNormalization, "update_state", only_u)
    first = run().first
    assert first.phase == "weight"
    assert first.name.endswith("/kernel")


def test_by_arithmetic() -> None:
    layer = SpectralNormalization(
        {"class_name": "Dense", "config": {"name": "d", "units": 2, "use_bias": False}}
    )
    layer(Input((2,)))
    layer.kernel.value = np.array([[0.0, 4.0], [0.0, 3.0]])  # one singular value: 5
    layer.vector_u.value = np.array([[1.0, 1.0]])
    y, saved = layer.forward(np.array([[1.0, 1.0]]), training=True)
    np.testing.assert_array_equal(y, [[0.0, 1.4]])
    layer.update_state(saved)
    np.testing.assert_array_equal(layer.vector_u.value, [[0.0, 1.0]])


def test_what_has_no_twin_is_refused() -> None:
    def config(**options: Any) -> Any:
        inner = layers.Dense(2, name="inner", **options)
        return layers.SpectralNormalization(inner, name="sn").get_config()

    without = layers.SpectralNormalization(layers.Flatten(), name="sn").get_config()
    with pytest.raises(NoTwin, match="layer 'sn': the layer within has no kernel"):
        SpectralNormalization.from_config(without)(Input((3,)))
    with pytest.raises(NoTwin, match="layer 'sn': the activity_regularizer"):
        SpectralNormalization.from_config(config(activity_regularizer="l2"))
    assert Dense(2).activity_regularizer is None
