"""What can't be compared is refused in one clear sentence, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import manual
from compare import BadInput, lockstep
from compare.twins.twin import twin_network

X, Y = np.arange(24.0).reshape(8, 3) / 24, np.arange(16.0).reshape(8, 2) / 16

Refused = Callable[..., str]


def plain(outputs: int = 2, last: str = "linear", optimizer: Any = "sgd", **options: Any) -> Any:
    model = keras.Sequential(
        [keras.Input((3,), name="given"), keras.layers.Dense(outputs, last, name="out")]
    )
    model.compile(optimizer, **{"loss": "mse", "run_eagerly": True, **options})
    return model


@pytest.fixture
def refused() -> Refused:
    """Return a function that runs what has to be refused, and returns the message."""

    def run(model: Any, x: Any = X, y: Any = Y, **options: Any) -> str:
        built = isinstance(model, keras.Model) and model.built
        before = model.get_weights() if built else []
        with pytest.raises(BadInput) as caught:
            lockstep(model, x, y, **{"batch_size": 4, **options})
        if built:
            for one, other in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
            assert "train_step" not in model.__dict__
        message = str(caught.value)
        assert message.rstrip().endswith((".", ")", "]"))
        return message

    return run


# ---------------------------------------------------------------------- the data


def changed(array: np.ndarray, index: tuple[int, ...], value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_numbers_that_are_not_finite(odd: float, refused: Refused) -> None:
    message = refused(plain(), x=changed(X, (5, 1), odd))
    assert message.startswith(f"x[5, 1] is {odd}: 1 of 24 values are not finite.")
    assert "Remove or replace them before training." in message
    assert refused(plain(), y=changed(Y, (0, 1), odd)).startswith(f"y[0, 1] is {odd}: 1 of 16")
    weights = changed(np.ones(8), (3,), odd)
    assert refused(plain(), sample_weight=weights).startswith(f"sample_weight[3] is {odd}")


def test_numbers_beyond_the_range_of_the_working_precision(refused: Refused) -> None:
    assert "x[5, 1] is inf" in refused(plain(), x=changed(X, (5, 1), 1e39))


def test_rows_of_different_lengths(refused: Refused) -> None:
    message = refused(plain(), x=[[[1.0, 2.0], [3.0]]])
    assert message == "x can't be made an array: its rows have different lengths."


@pytest.mark.parametrize("odd", [np.array(["a"] * 8), np.ones((8, 3), complex), object()])
def test_what_is_no_number(odd: Any, refused: Refused) -> None:
    assert refused(plain(), x=odd).startswith("x must hold numbers. Received: dtype ")


@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_no_samples(shape: tuple[int, ...], refused: Refused) -> None:
    message = refused(plain(), x=np.zeros(shape))
    assert message == f"x holds no samples. Received: shape {shape}."


def test_lengths_that_differ(refused: Refused) -> None:
    assert refused(plain(), y=Y[:7]) == (
        "Every array needs one row per sample. Received: x 8, y 7 rows."
    )
    assert "sample_weight 5" in refused(plain(), sample_weight=np.ones(5))


def test_two_inputs_of_different_lengths(refused: Refused) -> None:
    """Both lengths are told, although both belong to x."""
    left, right = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([left, right], keras.layers.Dense(2)(keras.layers.Add()([left, right])))
    model.compile("sgd", "mse", run_eagerly=True)
    message = refused(model, x=[X, X[:6]])
    assert "8" in message
    assert "6" in message


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "8"])
def test_batch_sizes(batch_size: Any, refused: Refused) -> None:
    message = refused(plain(), batch_size=batch_size)
    assert message == f"batch_size must be at least 1. Received: {batch_size}."


@pytest.mark.parametrize("name", ["epochs", "steps", "steps_per_epoch", "validation_steps"])
def test_lengths_of_training(name: str, refused: Refused) -> None:
    assert refused(plain(), **{name: 0}) == f"{name} must be at least 1. Received: 0."


def test_a_first_epoch_that_lies_behind_the_last(refused: Refused) -> None:
    message = refused(plain(), initial_epoch=2, epochs=2)
    assert message == "initial_epoch must lie below epochs=2. Received: 2."


def test_shapes_the_model_has_no_room_for(refused: Refused) -> None:
    assert refused(plain(), x=X[:, :2]) == (
        "The input 'given' takes samples of shape (3,). Received: (2,)."
    )
    assert refused(plain(), y=Y[:, :1]) == (
        "The output 'out' has the shape (2,), so that y needs samples of shape (2,). "
        "Received: (1,)."
    )
    assert "shape () or (1,)" in refused(plain(1), y=Y)
    assert refused(plain(), x=[X, X]) == (
        "x needs one array for each of 'given', which makes 1. Received: 2 arrays."
    )


@pytest.mark.parametrize("labels", [[0, 1, 2], [-1, 0, 1], [0.0, 0.5, 1.0]])
def test_class_numbers(labels: list[float], refused: Refused) -> None:
    model = plain(2, "softmax", loss="sparse_categorical_crossentropy")
    y = np.array([*labels, 0, 0, 0, 0, 0])
    assert refused(model, y=y) == (
        "Class numbers must be whole numbers from 0 to 1, one less than the network's 2 outputs. "
        f"Received: numbers from {y.min():g} to {y.max():g}."
    )


@pytest.mark.parametrize("name", ["x", "y"])
def test_data_that_is_missing(name: str, refused: Refused) -> None:
    assert refused(plain(), **{name: None}).startswith(f"{name} is missing")


def test_arrays_that_are_not_dense(refused: Refused) -> None:
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
    assert refused(plain(), x=ragged) == "x must be a dense array. Received: RaggedTensor."


@pytest.mark.parametrize("weights", [[1.0, 2.0], {"a": 1.0}, {0: np.nan}])
def test_weights_of_classes(weights: Any, refused: Refused) -> None:
    message = refused(plain(), class_weight=weights)
    assert (
        message == f"class_weight must give each class number a finite weight. Received: {weights}."
    )


# ---------------------------------------------------------------------- validation and weights


def test_validation_data_is_checked_like_the_rest(refused: Refused) -> None:
    """Keras looks at it only when the first epoch is over: too late."""
    assert "validation x[0, 0] is nan" in refused(
        plain(), validation_data=(changed(X, (0, 0), np.nan), Y)
    )
    assert "3" in refused(plain(), validation_data=(X[:, :2], Y))
    assert "2" in refused(plain(), validation_data=(X, Y[:, :1]))
    assert "7" in refused(plain(), validation_data=(X, Y[:7]))
    model = plain(2, "softmax", loss="sparse_categorical_crossentropy")
    labels = np.zeros(8)
    assert "Class numbers" in refused(model, y=labels, validation_data=(X, labels + 2))


def test_validation_data_that_is_no_pair(refused: Refused) -> None:
    assert "validation" in refused(plain(), validation_data=(X, Y, np.ones(8), 1))


@pytest.mark.parametrize("split", [-0.5, 1.0, 1.5])
def test_validation_splits_that_leave_nothing(split: float, refused: Refused) -> None:
    assert "validation_split" in refused(plain(), validation_split=split)


def test_sample_weights_have_one_number_per_sample(refused: Refused) -> None:
    assert "sample_weight" in refused(plain(), sample_weight=np.ones((8, 3)))


# ---------------------------------------------------------------------- the model


def test_what_is_no_model(refused: Refused) -> None:
    assert refused("model") == "A Keras model is needed. Received: str."


def test_a_model_without_weights(refused: Refused) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.ReLU()], name="fixed")
    model.compile("sgd", "mse")
    assert refused(model) == "The model 'fixed' has no weight that is trained."


def test_a_model_that_is_not_compiled(refused: Refused) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="raw")
    assert refused(model) == (
        "The model 'raw' isn't compiled: call model.compile(optimizer, loss) first."
    )


def test_a_model_without_a_loss(refused: Refused) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", run_eagerly=True)
    assert refused(model) == f"The model {model.name!r} was compiled without a loss."


def test_a_model_that_has_no_room_for_the_data(refused: Refused) -> None:
    model = keras.Sequential([keras.layers.Conv2D(3, 2), keras.layers.Dense(2)], name="shapeless")
    model.compile("sgd", "mse")
    message = refused(model)
    assert message.startswith("The model 'shapeless' can't be built for the data: Input 0")
    assert "expected min_ndim=4, found ndim=2" in message


@pytest.mark.parametrize("name", ["train_step", "compute_loss"])
def test_a_training_step_of_its_own(name: str, refused: Refused) -> None:
    class Own(keras.Sequential):
        pass

    setattr(Own, name, lambda self, *args, **kwargs: getattr(super(Own, self), name)(*args))
    model = Own([keras.Input((3,)), keras.layers.Dense(2)], name="own")
    model.compile("sgd", "mse")
    assert refused(model) == (
        f"The model 'own' has a {name} of its own, of which there is no twin: only what Keras's "
        "own does can be compared."
    )


def test_a_model_on_several_devices(refused: Refused) -> None:
    model = plain()
    model._distribute_strategy = SimpleNamespace(num_replicas_in_sync=2)
    assert refused(model) == (
        f"The model {model.name!r} is spread over several devices: build it on one of them."
    )


def test_weights_in_another_precision(refused: Refused) -> None:
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, name="wide", dtype="float64")]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    message = refused(model)
    assert message.startswith("The layer 'wide' has the dtype policy float64, but Keras")
    assert "floatx(), which is float32: make them the same before building the model." in message


def test_a_layer_without_a_twin(refused: Refused) -> None:
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.RandomFlip(name="flip")]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    message = refused(model, strict=True)
    assert message.startswith("The layer 'RandomFlip' of the layer 'flip' has no")
    assert "Layers that have one: Activation, ActivityRegularization," in message
    assert '@manual.twin_of("RandomFlip")' in message


class OwnOptimizer(keras.optimizers.SGD):
    pass


class OwnSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> Any:
        return 0.1


def _own_loss(y: Any, p: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(y - p) ** 3, axis=-1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"loss": _own_loss}, "The loss '_own_loss'"),
        ({"optimizer": OwnOptimizer()}, "The optimizer 'OwnOptimizer'"),
        ({"optimizer": keras.optimizers.SGD(OwnSchedule())}, "schedule 'OwnSchedule'"),
    ],
)
def test_options_without_a_twin(options: dict[str, Any], told: str, refused: Refused) -> None:
    message = refused(plain(**options), strict=True)
    name = told.split("'")[1]
    assert f"{told} has no hand-derived twin." in message
    assert message.endswith(f'with @manual.twin_of("{name}").')


class Costly(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        self.add_loss(tf.reduce_sum(x))
        return x


def test_a_layer_without_a_twin_that_adds_a_loss(refused: Refused) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), Costly(name="costly")])
    model.compile("sgd", "mse", run_eagerly=True)
    message = refused(model)
    assert message.startswith("The layer 'costly' adds losses of its own (add_loss)")


def test_sizes_that_are_not_known(refused: Refused) -> None:
    x = keras.Input((None, 3), name="any_length")
    model = keras.Model(x, keras.layers.Dense(2)(x), name="open")
    model.compile("sgd", "mse", run_eagerly=True)
    message = refused(model, x=np.zeros((8, 4, 3)), y=np.zeros((8, 5, 2)))
    assert "has the shape (4, 2), so that y needs samples of shape (4, 2)" in message
    message = refused(model, x=np.zeros((8, 4, 2)), y=np.zeros((8, 4, 2)))
    assert message == ("The input 'any_length' takes samples of shape (None, 3). Received: (4, 2).")
    with pytest.raises(BadInput, match="every size but the batch must be known"):
        twin_network(model)


# ---------------------------------------------------------------------- a network by hand


def test_a_network_with_other_weights_than_the_model(refused: Refused) -> None:
    """Nothing in it may be passed over silently because its name is another."""
    x = manual.Input((3,))
    network = manual.Network(x, manual.Dense(2, name="other")(x))
    network.compile("mse", "SGD")
    message = refused(plain(), network=network)
    assert "other" in message
    assert "out" in message


def test_a_network_of_another_precision(refused: Refused) -> None:
    x = manual.Input((3,))
    network = manual.Network(x, manual.Dense(2, name="out")(x), dtype="float64")
    network.compile("mse", "SGD")
    assert "float64" in refused(plain(), network=network)
