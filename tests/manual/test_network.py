"""A network as a whole: its flat arrays, its training verbs, and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest

from manual.layers import Dense, Input
from manual.network import Network
from manual.optimizers import SGD, Adam, RMSprop

OPTIMIZERS = {
    "SGD": lambda: SGD(0.1, momentum=0.9, nesterov=True),
    "Adam": lambda: Adam(0.01, amsgrad=True),
    "RMSprop": lambda: RMSprop(0.01, momentum=0.9, centered=True),
}


@pytest.fixture
def small(generator: np.random.Generator) -> Any:
    """Return a function that makes a compiled network of two layers."""

    def make(dtype: str = "float64", optimizer: str = "SGD", trainable: bool = True) -> Network:
        x = Input((3,))
        hidden = Dense(4, "tanh", name="hidden", trainable=trainable)
        network = Network(x, Dense(2, name="out")(hidden(x)), dtype=dtype)
        network.compile("mse", OPTIMIZERS[optimizer]())
        return network

    return make


@pytest.fixture
def data(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return generator.normal(size=(10, 3)), generator.normal(size=(10, 2))


# ---------------------------------------------------------------------- flat arrays and weights


def test_parameters_are_views_into_the_flat_arrays(small: Any) -> None:
    network = small()
    assert network.values.shape == network.gradients.shape == (4 * 3 + 4 + 2 * 4 + 2,)
    assert list(network.slices) == ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
    network.values[:] = np.arange(26.0)
    network.gradients[:] = -np.arange(26.0)
    for name, where in network.slices.items():
        parameter = network.parameters[name]
        np.testing.assert_array_equal(parameter.value.ravel(), np.arange(26.0)[where])
        np.testing.assert_array_equal(parameter.gradient.ravel(), -np.arange(26.0)[where])
        assert np.shares_memory(parameter.value, network.values)
        assert np.shares_memory(parameter.gradient, network.gradients)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_keeps_the_views(optimizer: str, small: Any, data: Any) -> None:
    network = small(optimizer=optimizer)
    values, held = network.values, [p.value for p in network.parameters.values()]
    before = values.copy()
    network.train_step(*data)
    assert network.values is values
    assert (values != before).all()
    for parameter, view in zip(network.parameters.values(), held, strict=True):
        assert parameter.value is view
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in held]), values)


def test_weights_by_list_and_by_name(small: Any) -> None:
    network = small()
    weights = [np.full(p.shape, place + 0.5) for place, p in enumerate(network.parameters.values())]
    network.set_weights(weights)
    for got, wanted in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(got, wanted)
    network.set_weights({"out/bias": np.array([7.0, 8.0])})
    np.testing.assert_array_equal(network.values[-2:], [7.0, 8.0])
    np.testing.assert_array_equal(network.get_weights()[0], weights[0])
    network.get_weights()[0][:] = 99.0
    np.testing.assert_array_equal(network.get_weights()[0], weights[0])


def test_wrong_weights_are_refused(small: Any) -> None:
    network = small()
    message = (
        r"The network has 4 weights \(hidden/kernel, hidden/bias, out/kernel, out/bias\)\. "
        r"Received: 3\."
    )
    with pytest.raises(ValueError, match=message):
        network.set_weights(network.get_weights()[:3])
    message = r"The weight 'hidden/kernel' has the shape \(3, 4\)\. Received: \(4, 3\)\."
    with pytest.raises(ValueError, match=message):
        network.set_weights([np.zeros((4, 3)), *network.get_weights()[1:]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_precision_stays_everywhere(dtype: str, optimizer: str, small: Any, data: Any) -> None:
    network = small(dtype, optimizer)
    x, y = (array.astype(dtype) for array in data)
    network.train_step(x, y, np.ones(10, dtype))
    run = network.forward(x)
    loss, upstream = network.loss(run, y)
    network.backward(run, upstream)
    arrays = [*run.values, *run.gradients[1:], network.values, network.gradients, loss]
    arrays += [*network.slots.values(), *upstream.values(), network.predict(x)]
    arrays += network.get_weights()
    assert {array.dtype.name for array in arrays} == {dtype}
    assert len(network.slots) == 3 if optimizer != "SGD" else 1


def test_a_copy_is_independent_and_may_have_another_precision(small: Any, data: Any) -> None:
    network = small("float64", "Adam")
    network.train_step(*data)
    same, narrow = network.copy(), network.copy("float32")
    assert narrow.dtype == np.float32
    for mine, theirs in zip(network.get_weights(), narrow.get_weights(), strict=True):
        np.testing.assert_array_equal(mine.astype(np.float32), theirs)
    assert {slot.dtype.name for slot in narrow.slots.values()} == {"float32"}
    np.testing.assert_array_equal(same.slots["velocity"], network.slots["velocity"])
    before = network.values.copy(), network.slots["velocity"].copy()
    loss = same.train_step(*data)
    assert np.shares_memory(same.parameters["out/bias"].value, same.values)
    np.testing.assert_array_equal(network.values, before[0])
    np.testing.assert_array_equal(network.slots["velocity"], before[1])
    assert network.train_step(*data) == loss
    np.testing.assert_array_equal(network.values, same.values)
    assert network.iterations == same.iterations == 2


# ---------------------------------------------------------------------- training


def test_a_step_returns_the_loss_before_it(small: Any, data: Any) -> None:
    network = small()
    network.optimizer.learning_rate = 1e-3  # small enough to go downhill from anywhere
    before = network.evaluate(*data)
    assert before == np.mean((network.predict(data[0]) - data[1]) ** 2, axis=-1).mean()
    assert network.train_step(*data) == before
    assert network.evaluate(*data) < before


def test_fit_goes_through_the_batches_and_the_smaller_last_one(small: Any, data: Any) -> None:
    x, y = data
    network = small()
    by_steps = network.copy()
    history = network.fit(x, y, batch_size=4, epochs=2, shuffle=False)
    expected = []
    for _ in range(2):
        losses = [
            by_steps.train_step(x[rows], y[rows]) * (rows.stop - rows.start)
            for rows in (slice(0, 4), slice(4, 8), slice(8, 10))
        ]
        expected.append(sum(losses) / 10)
    assert history == expected
    assert network.iterations == 6
    np.testing.assert_array_equal(network.values, by_steps.values)


def test_fit_shuffles_by_its_seed(small: Any, data: Any) -> None:
    network = small()
    runs = []
    for seed, shuffle in [(1, True), (1, True), (2, True), (1, False)]:
        one = network.copy()
        history = one.fit(*data, batch_size=3, epochs=3, seed=seed, shuffle=shuffle)
        runs.append((history, one.values.tolist()))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert runs[0] != runs[3]


def test_fit_tells_each_epoch_and_learns(small: Any, data: Any) -> None:
    told: list[tuple[int, float]] = []
    network = small("float32")
    network.optimizer.learning_rate = 1e-3
    history = network.fit(*data, epochs=20, seed=0, on_epoch=lambda *epoch: told.append(epoch))
    assert told == list(enumerate(history))
    assert all(later < earlier for earlier, later in itertools.pairwise(history))
    assert network.values.dtype == np.float32


def test_predict_and_evaluate_change_nothing(small: Any, data: Any) -> None:
    network = small(optimizer="Adam")
    network.train_step(*data)
    before = network.values.copy(), network.gradients.copy(), network.iterations
    network.predict(data[0])
    network.evaluate(*data)
    np.testing.assert_array_equal(network.values, before[0])
    np.testing.assert_array_equal(network.gradients, before[1])
    assert network.iterations == before[2]


def test_gradients_do_not_pile_up_over_steps(small: Any, data: Any) -> None:
    network = small()
    network.optimizer.learning_rate = 0.0
    network.train_step(*data)
    once = network.gradients.copy()
    network.train_step(*data)
    np.testing.assert_array_equal(network.gradients, once)


def test_what_is_not_trainable_stays(small: Any, data: Any) -> None:
    network = small(trainable=False)
    before = network.get_weights()
    assert list(network.slices) == ["out/kernel", "out/bias"]
    assert network.values.shape == (2 * 4 + 2,)
    network.fit(*data, epochs=2)
    after = network.get_weights()
    assert [np.array_equal(*pair) for pair in zip(before, after, strict=True)] == [
        True,
        True,
        False,
        False,
    ]


def test_what_is_not_trainable_keeps_keras_order(generator: np.random.Generator) -> None:
    frozen = keras.layers.Dense(4, name="frozen", trainable=False)
    model = keras.Sequential([keras.Input((3,)), frozen, keras.layers.Dense(2, name="free")])
    network = Network.from_config(model.get_config())
    assert list(network.parameters) == [
        f"{layer.name}/{weight.name}" for layer in model.layers for weight in layer.weights
    ]
    assert list(network.slices) == ["free/kernel", "free/bias"]
    assert [weight.trainable for weight in model.weights] == [False, False, True, True]
    weights = [generator.normal(size=weight.shape) for weight in model.weights]
    network.set_weights(weights)
    np.testing.assert_array_equal(network.parameters["frozen/kernel"].value, np.float32(weights[0]))


def test_an_unused_input_is_taken_and_changes_nothing() -> None:
    a, b = Input((2,), name="a"), Input((2,), name="b")
    network = Network([a, b], Dense(1, name="out")(a), dtype="float64")
    network.set_weights([np.array([[2.0], [3.0]]), np.array([0.5])])
    for other in (0.0, np.nan):
        y = network.predict([np.array([[1.0, -1.0]]), np.full((1, 2), other)])
        np.testing.assert_array_equal(y, [[-0.5]])


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("losses", "weights"), [(["mse"], None), (["mse"] * 3, None), (["mse"] * 2, [1.0])]
)
def test_losses_must_match_the_outputs(losses: list[str], weights: Any) -> None:
    x = Input((2,))
    network = Network(x, [Dense(1)(x), Dense(1)(x)])
    message = rf"has 2 outputs\. Received: {len(losses)} losses and .* loss weights\."
    with pytest.raises(ValueError, match=message):
        network.compile(losses, loss_weights=weights)
    network.compile("mse")
    assert [head.weight for head in network.heads] == [1.0, 1.0]


def test_two_layers_of_one_name_are_refused() -> None:
    """Else the weights of the first would silently not be trained; Keras refuses them too."""
    x = Input((2,))
    with pytest.raises(ValueError, match="same"):
        Network(x, Dense(4, name="same")(Dense(3, name="same")(x)))
