"""Data in any form that ``fit`` takes: dicts, lists, tensors, with weights for each output."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from counting import compared
from fits import alike, forms, plain
from in_turn import crossed

from compare import BadInput, lockstep
from compare.twins.ends import Ends

generator = np.random.default_rng(0)
LEFT, RIGHT = generator.normal(size=(13, 3)), generator.normal(size=(13, 2))
SIZE, CLASS = generator.normal(size=(13, 2)), generator.integers(0, 3, 13)
SOME, OTHERS = generator.uniform(0.2, 2.0, 13), generator.uniform(0.2, 2.0, 13)
OF_LISTS = ({"left": LEFT, "right": RIGHT}, [SIZE, CLASS])
OF_DICTS = ({"right": RIGHT, "left": LEFT}, {"size": SIZE, "class": CLASS})


@pytest.mark.parametrize(
    ("x", "y"),
    crossed(
        [([RIGHT, LEFT],), ((RIGHT, LEFT),), (OF_LISTS[0],)],
        [[SIZE, CLASS], {"kinds": CLASS, "number": SIZE}],
    ),
)
def test_inputs_and_outputs_by_name_or_in_order(x: Any, y: Any) -> None:
    report = alike(forms, lambda: (x, y), batch_size=5)
    assert report.steps == 3


@pytest.mark.parametrize("weights", [SOME, {"size": SOME, "class": OTHERS}])
def test_a_model_of_dicts_with_weights(weights: Any, eagerly: bool, precision: str) -> None:
    build = partial(forms, "dicts", run_eagerly=eagerly)
    report = alike(build, lambda: OF_DICTS, sample_weight=weights, batch_size=5, epochs=2)
    assert compared(report, "metric") == {"loss": 2, "size_loss": 2, "class_loss": 2}


def test_each_output_has_its_own_weights() -> None:
    """Weights of the wrong output would show: the two differ."""
    losses = []
    for weights in ([SOME, OTHERS], [OTHERS, SOME]):
        keras.utils.set_random_seed(0)
        model = forms()
        report = lockstep(model, *OF_LISTS, sample_weight=weights, batch_size=13)
        assert report.ok, str(report.first)
        losses.append(report.history[0].keras["loss"])
    assert losses[0] != losses[1]


def test_validation_with_weights_in_dicts(eagerly: bool) -> None:
    build = partial(forms, "dicts", run_eagerly=eagerly)
    held_out = (*OF_DICTS, {"size": SOME, "class": OTHERS})
    report = alike(build, lambda: OF_DICTS, batch_size=5, validation_data=held_out)
    names = {"loss", "size_loss", "class_loss"}
    assert set(compared(report, "metric")) == names | {f"val_{name}" for name in names}


@pytest.mark.parametrize(
    "form",
    [
        tf.constant,
        lambda array: np.round(array * 9).astype(np.int64),
        lambda array: np.abs(array * 40).astype(np.uint8),
        lambda array: array > 0,
        lambda array: array.astype(np.float16),
    ],
)
def test_arrays_of_every_kind(form: Any, eagerly: bool) -> None:
    build = partial(plain, run_eagerly=eagerly)
    alike(build, lambda: (form(LEFT), form(SIZE)), batch_size=5)


def test_lists_of_numbers() -> None:
    """They are arrays to the lock-step, as which ``fit`` doesn't take them."""
    keras.utils.set_random_seed(0)
    model = plain()
    report = lockstep(model, LEFT.tolist(), SIZE.tolist(), batch_size=5, shuffle=False)
    assert report.ok, str(report.first)
    keras.utils.set_random_seed(0)
    other = plain()
    other.fit(LEFT, SIZE, batch_size=5, shuffle=False, verbose=0)
    for one, another in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, another)


def test_data_frames(eagerly: bool) -> None:
    build = partial(plain, run_eagerly=eagerly)
    pandas = pytest.importorskip("pandas")
    alike(build, lambda: (pandas.DataFrame(LEFT), pandas.DataFrame(SIZE)), batch_size=5)


def test_an_axis_of_one_is_added_or_taken_away(eagerly: bool) -> None:
    def build() -> keras.Model:
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=eagerly)
        return model

    alike(build, lambda: (LEFT[:, 0], SIZE[:, 0]), batch_size=5)
    alike(partial(plain, run_eagerly=eagerly), lambda: (LEFT[..., None], SIZE), batch_size=5)


@pytest.mark.parametrize(
    ("options", "steps", "told"),
    [
        ({"batch_size": 100}, 1, "batch_size=100"),
        ({}, 1, "batch_size=32"),
        ({"steps_per_epoch": 2}, 2, "steps_per_epoch=2"),
        ({"batch_size": 5, "epochs": 3, "initial_epoch": 1}, 6, "batch_size=5"),
        ({"batch_size": 5, "shuffle": False}, 3, "batch_size=5, shuffle=False"),
    ],
)
def test_sizes_and_numbers(options: dict[str, Any], steps: int, told: str, eagerly: bool) -> None:
    report = alike(partial(plain, run_eagerly=eagerly), lambda: (LEFT, SIZE), **options)
    assert report.steps == steps
    assert report.reproduce == f"compare.lockstep(model, x, y, {told}, steps={{step}})"


@pytest.mark.parametrize("one_hot", [False, True])
def test_weights_of_several_classes(one_hot: bool) -> None:
    y = np.eye(3)[CLASS] if one_hot else CLASS
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    build = partial(plain, 3, "softmax", loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    report = alike(
        build,
        lambda: (LEFT, y),
        class_weight={0: 0.5, 1: 3.0},
        validation_data=(LEFT, y, SOME),
        batch_size=5,
        epochs=2,
    )
    names = {"loss", "accuracy", "weighted_accuracy"}
    assert set(compared(report, "metric")) == names | {f"val_{name}" for name in names}
    assert "class_weight=class_weight" in report.reproduce


@pytest.mark.parametrize(
    "how",
    [{}, {"run_eagerly": True}, pytest.param({"jit_compile": True}, marks=pytest.mark.slow)],
)
def test_validation_split_with_weights(how: dict[str, Any]) -> None:
    build = partial(plain, weighted_metrics=["mae"], **how)
    options = {"sample_weight": SOME, "validation_split": 0.3, "batch_size": 4, "epochs": 2}
    report = alike(build, lambda: (LEFT, SIZE), **options)
    assert set(compared(report, "metric")) == {"loss", "mae", "val_loss", "val_mae"}


def test_validation_of_some_epochs_in_batches_of_its_own() -> None:
    options = {"validation_freq": 2, "validation_batch_size": 4, "epochs": 4, "batch_size": 5}
    report = alike(plain, lambda: (LEFT, SIZE), validation_data=(RIGHT @ LEFT[:2], SIZE), **options)
    assert compared(report, "metric") == {"loss": 4, "val_loss": 2}
    assert [("val_loss" in pair.by_hand) for pair in report.history] == [False, True, False, True]


def test_several_steps_in_one_execution_are_taken_one_by_one() -> None:
    model = plain(steps_per_execution=3)
    report = lockstep(model, LEFT, SIZE, batch_size=4)
    assert report.ok
    assert report.steps == 4
    assert report.notes == ["trained with steps_per_execution=1 in place of 3, to see every step"]
    assert model.steps_per_execution == 3
    alike(partial(plain, steps_per_execution=3), lambda: (LEFT[:12], SIZE[:12]), batch_size=4)


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        ({"left": LEFT, "up": RIGHT}, OF_DICTS[1], "x needs the keys 'left', 'right'."),
        ({**OF_DICTS[0], "up": RIGHT}, OF_DICTS[1], "x needs the keys 'left', 'right'."),
        (OF_DICTS[0], {"size": SIZE}, "y needs the keys 'class', 'size'."),
        (OF_DICTS[0], {"size": SIZE, "kind": CLASS}, "y needs the keys 'class', 'size'."),
        (LEFT, OF_DICTS[1], "x needs one array for each of 'left', 'right', which makes 2."),
        (OF_DICTS[0], SIZE, "y needs one array for each of 'class', 'size', which makes 2."),
        ({"left": LEFT, "right": None}, OF_DICTS[1], "x has nothing for the input 'right'."),
        (OF_DICTS[0], {"size": SIZE, "class": None}, "y has nothing for the output 'class'"),
    ],
)
def test_what_is_called_otherwise(x: Any, y: Any, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        lockstep(forms("dicts"), x, y)
    assert str(caught.value).startswith(told)


def test_weights_that_are_called_otherwise() -> None:
    with pytest.raises(BadInput, match="sample_weight needs the keys 'class', 'size'"):
        lockstep(forms("dicts"), *OF_DICTS, sample_weight={"kind": SOME})
    with pytest.raises(BadInput, match="class_weight needs a single output"):
        lockstep(forms("dicts"), *OF_DICTS, class_weight={0: 1.0})


def test_ends_lay_out_a_batch_in_the_order_of_the_network() -> None:
    ends = Ends(forms("dicts"), "float32")
    assert ends.inputs == ["left", "right"]
    assert ends.outputs == ends.judged == ["class", "size"]
    x, y, weights = ends.laid_out(*OF_DICTS, {"size": SOME, "class": None})
    assert [one.shape for one in x] == [(13, 3), (13, 2)]
    assert [one.dtype.name for one in (*x, *y)] == ["float32"] * 2 + ["int64", "float32"]
    assert weights[0] is None
    np.testing.assert_array_equal(weights[1], SOME.astype(np.float32))


def test_an_output_without_a_loss() -> None:
    def build() -> keras.Model:
        model = forms()
        model.compile("sgd", ["mse", None])
        return model

    alike(build, lambda: ([RIGHT, LEFT], [SIZE, CLASS]), batch_size=5)
    ends = Ends(build(), "float32")
    assert ends.judged == ["number"]
