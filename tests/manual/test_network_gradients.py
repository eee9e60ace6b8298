"""The gradients of whole networks: shared layers, skips, two outputs, fused cross-entropies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from compare.steps.engine import lockstep
from compare.twins.twin import twin_network
from manual.layers import Add, Concatenate, Dense, Input
from manual.network import Network


def branching(precision: str, generator: np.random.Generator) -> tuple[Any, list[Any], list[Any]]:
    """Two inputs, a layer called three times, a skip connection, two outputs, loss weights."""
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    shared = keras.layers.Dense(3, "tanh", name="shared")
    skip = keras.layers.Add(name="skip")([shared(shared(a)), a])
    both = keras.layers.Concatenate(name="both")([skip, shared(b)])
    left = keras.layers.Dense(2, "softmax", name="left")(both)
    right = keras.layers.Dense(1, name="right")(both)
    model = keras.Model([a, b], [left, right])
    model.compile("sgd", ["categorical_crossentropy", "mse"], loss_weights=[0.7, 3.0])
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape))
    x = [generator.normal(size=(5, 3)).astype(precision) for _ in range(2)]
    y = [np.eye(2)[[0, 1, 1, 0, 1]].astype(precision), generator.normal(size=(5, 1))]
    return model, x, [y[0], y[1].astype(precision)]


def test_shared_layers_skips_and_two_outputs_equal_keras(
    ruler: Any, on_tape: Any, generator: np.random.Generator
) -> None:
    """Every gradient of every trainable weight, whole passes on both sides."""
    model, x, y = branching(ruler.precision, generator)
    loss, actual = on_tape(
        lambda: model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True),
        [],
        weights=[variable.value for variable in model.trainable_variables],
    )
    reference = Reference(twin_network(model))
    _, expected = reference.whole(x, y, None)
    ruler.agrees(loss, expected, "loss")
    gradients = reference.gradients()
    assert list(gradients) == [variable.path for variable in model.trainable_variables]
    for gradient, (name, wanted) in zip(actual, gradients.items(), strict=True):
        ruler.agrees(gradient, wanted, name)


def test_the_gradients_of_a_shared_layers_calls_add_up(
    ruler: Any, on_tape: Any, generator: np.random.Generator
) -> None:
    """Each call has its share; two of the three are found not to be the whole."""
    model, x, y = branching(ruler.precision, generator)
    kernel = model.get_layer("shared").kernel
    _, (actual,) = on_tape(
        lambda: model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True),
        [],
        weights=[kernel.value],
    )
    reference = Reference(twin_network(model))
    run, _ = reference.whole(x, y, None)
    reference.clear_gradients()
    places = {node.name: place for place, node in enumerate(reference.network.nodes)}
    agreed = []
    for name in ("shared", "shared@2", "shared@3"):
        place = places[f"{name}/pre_activation"]
        reference.network.nodes[place].layer.backward(run.gradients[place], run.saved[place])
        agreed.append(judge(actual, reference.gradients()["shared/kernel"]).agrees)
    assert agreed == [False, False, True]


def test_the_whole_gradient_is_that_of_the_whole_forward_pass(
    differences: Any, smooth_points: Any
) -> None:
    a, b = Input((2,), name="a"), Input((2,), name="b")
    shared = Dense(2, "tanh", name="shared")
    skip = Add()(shared(shared(a)), a)
    both = Concatenate()(skip, shared(b))
    outputs = [Dense(2, "softmax", name="left")(both), Dense(1, "softplus", name="right")(both)]
    network = Network([a, b], outputs, dtype="float64")
    network.compile(["categorical_crossentropy", "mse"], loss_weights=[0.7, 3.0])
    x, y = [smooth_points(3, 2), smooth_points(3, 2)], [np.eye(2)[[0, 1, 1]], smooth_points(3, 1)]
    # quartered: a saturated tanh would leave little gradient to measure
    weights = [smooth_points(*parameter.shape) / 4 for parameter in network.parameters.values()]

    def forward(points: list[Noisy]) -> tuple[Any, Noisy, Any]:
        for parameter, point in zip(network.parameters.values(), points, strict=True):
            parameter.value = point
            parameter.gradient = differences.exact(np.zeros(point.shape))
        run = network.forward([differences.exact(one) for one in x])
        return run, *network.loss(run, y)

    run, _, upstream = forward([differences.exact(weight) for weight in weights])
    network.backward(run, upstream)
    gradients = [parameter.gradient for parameter in network.parameters.values()]
    differences.agree(lambda points: forward(points)[1], weights, gradients)


PAIRS = {
    "softmax behind binary": ("softmax", "binary_crossentropy", True),
    "sigmoid behind categorical": ("sigmoid", "categorical_crossentropy", True),
    "softmax behind categorical": ("softmax", "categorical_crossentropy", True),
    "sigmoid behind binary": ("sigmoid", "binary_crossentropy", True),
    "tanh behind binary": ("tanh", "binary_crossentropy", False),
    "softmax behind mse": ("softmax", "mse", False),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_cross_entropy_reads_the_logits_that_keras_left_on_the_output(
    pair: str, precision: str, generator: np.random.Generator
) -> None:
    """Even where loss and activation are not a pair; reading probabilities is found to differ.

    Far from 0, and with the least likely class as the wanted one, so that probabilities would have
    been clipped: elsewhere the two ways of a true pair differ by no more than rounding.
    """
    activation, loss, fused = PAIRS[pair]
    layers = [keras.Input((3,)), keras.layers.Dense(3, activation, name="out")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(1e-3), loss, run_eagerly=True)
    for weight in model.weights:
        weight.assign(3.0 * generator.normal(size=weight.shape))
    x = 30.0 * generator.normal(size=(6, 3))
    y = np.eye(3)[model.predict(x, verbose=0).argmin(axis=-1)]
    other = twin_network(model)
    assert other.heads[0].from_logits == fused
    report = lockstep(model, x, y, batch_size=4, shuffle=False)
    assert report.ok, str(report.first)
    assert report.steps == 2
    if fused:
        other.heads = [replace(head, reads=head.output) for head in other.heads]
        other.set_weights(model.get_weights())
        assert not lockstep(model, x, y, batch_size=6, shuffle=False, network=other).ok
