"""Batches that come one by one: data sets, generators, loaders, and what can go wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

numbers = np.random.default_rng(0)
X, Y, W = numbers.normal(size=(13, 3)), numbers.normal(size=(13, 2)), numbers.uniform(0.2, 2, 13)
CLASS = numbers.integers(0, 3, 13)
NAN = np.where(np.arange(39).reshape(13, 3) == 16, np.nan, X)
IN_DICTS = ({"left": X, "right": X[:, :2]}, {"size": Y, "class": CLASS})


def cut(*parts: Any, sizes: tuple[int, ...] = (5, 3, 5)) -> Iterator[tuple[Any, ...]]:
    start = 0
    for size in sizes:
        rows = slice(start, start + size)
        yield tuple(keras.tree.map_structure(lambda one, r=rows: one[r], part) for part in parts)
        start += size


def for_ever(*parts: Any) -> Iterator[tuple[Any, ...]]:
    while True:
        yield from cut(*parts)


class Cut(keras.utils.PyDataset):
    """The same batches, by their numbers."""

    def __init__(self, *parts: Any, length: int | None = 3, **options: Any) -> None:
        super().__init__(**options)
        self.batches, self.length, self.asked = list(cut(*parts)), length, 0

    @property
    def num_batches(self) -> int | None:
        return self.length

    def __getitem__(self, index: int) -> Any:
        self.asked += 1
        return self.batches[index % 3]


def data_set(*parts: Any, batch: int = 5) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(parts).shuffle(13, seed=3).batch(batch)


def loader(*parts: Any) -> Any:
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    tensors = data.TensorDataset(*(torch.tensor(part) for part in parts))
    return data.DataLoader(tensors, batch_size=5, shuffle=True)


@pytest.mark.parametrize(
    ("source", "parts"), crossed([(data_set,), (cut,), (Cut,), (loader,)], [(X, Y), (X, Y, W)])
)
def test_every_kind_of_source(source: Callable[..., Any], parts: Any) -> None:
    report = alike(plain, lambda: (source(*parts),))
    assert report.steps == 3
    assert report.reproduce == "compare.lockstep(model, x, steps={step})"


@pytest.mark.parametrize(
    ("source", "how"),
    crossed([(data_set,), (Cut,)], [{}, {"jit_compile": True}, {"run_eagerly": True}]),
)
def test_validation_in_the_same_kind(source: Any, how: dict[str, Any], precision: str) -> None:
    build = partial(plain, metrics=["mae"], **how)
    report = alike(
        build, lambda: (source(X, Y),), epochs=2, validation_data=lambda: source(X, Y, W)
    )
    assert compared(report, "metric") == dict.fromkeys(["loss", "mae", "val_loss", "val_mae"], 2)


@pytest.mark.parametrize("source", [data_set, Cut])
def test_batches_of_dicts(source: Any) -> None:
    weights = {"size": W, "class": W[::-1]}
    report = alike(partial(forms, "dicts"), lambda: (source(*IN_DICTS, weights),), epochs=2)
    assert report.steps == 6


@pytest.mark.parametrize("source", [data_set, Cut])
def test_weights_of_classes(source: Any, eagerly: bool) -> None:
    loss = "sparse_categorical_crossentropy"
    build = partial(plain, 3, "softmax", loss, run_eagerly=eagerly)
    alike(build, lambda: (source(X, CLASS),), class_weight={0: 0.5, 1: 3.0, 2: 1.0})


ENDLESS = [lambda *parts: data_set(*parts).repeat(), for_ever, partial(Cut, length=None)]


@pytest.mark.parametrize("source", ENDLESS)
def test_sources_that_never_end(source: Any) -> None:
    held_out = {"validation_data": lambda: source(X, Y), "validation_steps": 2}
    report = alike(plain, lambda: (source(X, Y),), epochs=2, steps_per_epoch=4, **held_out)
    assert report.steps == 8
    assert "steps_per_epoch=4" in report.reproduce


@pytest.mark.slow
@pytest.mark.parametrize("source", ENDLESS)
def test_arrays_validated_by_what_never_ends(source: Any) -> None:
    held_out = {"validation_data": lambda: source(X, Y), "validation_steps": 2}
    alike(plain, lambda: (X, Y), **held_out)


def test_a_data_set_of_another_precision(use_precision: Any) -> None:
    use_precision("float64")
    alike(plain, lambda: (data_set(X.astype(np.float32), Y.astype(np.float32)),))
    use_precision("float32")
    alike(plain, lambda: (data_set(X, Y),))


def test_a_generator_that_runs_out() -> None:
    """The step that finds no batch moves the random state on, and Keras gives two batches anew."""
    report = alike(plain, lambda: (cut(X, Y),), epochs=3, steps_per_epoch=3)
    assert report.steps == 5
    assert report.notes == ["the data ran out after 5 of 9 steps"]


def test_a_mean_of_one_batch_too_many() -> None:
    """Keras counts the step that finds no batch, in the means of several outputs' losses."""
    report = lockstep(forms("dicts"), cut(*IN_DICTS))
    assert not report.ok
    wrong = {key[1] for key, largest in report.quantities.items() if largest.disagreed}
    assert wrong == {"size_loss", "class_loss"}
    assert report.first is not None
    assert "the step that found no more data is counted as a batch" in str(report.first)
    assert lockstep(forms("dicts"), Cut(*IN_DICTS)).ok


def test_nothing_is_asked_for_twice() -> None:
    """A data set that draws at random would go on otherwise."""
    asked = []
    for train in (lambda model, x: model.fit(x, verbose=0), lockstep):
        data = Cut(X, Y)
        train(plain(), data)
        asked.append(data.asked)
    assert asked[0] == asked[1]


# ---------------------------------------------------------------------- what is refused


def refused(x: Any, *others: Any, trained: int = 0, **options: Any) -> str:
    model = plain()
    before = model.get_weights()
    with pytest.raises(BadInput) as caught:
        lockstep(model, x, *others, **options)
    after = model.get_weights()
    same = all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert same is not bool(trained)
    assert "train_step" not in vars(model)
    assert "test_step" not in vars(model)
    return str(caught.value)


def later(batch: Any) -> Iterator[Any]:
    """Give three good batches, then this."""
    yield from cut(X, Y)
    yield batch


def failing(good: int) -> Iterator[Any]:
    for number, batch in enumerate(cut(X, Y)):
        if number == good:
            raise OSError("the disk is full.")
        yield batch


PAIRS = "must give tuples (x, y), or (x, y, sample_weight). Received:"


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (3, f"The generator {PAIRS} int."),
        ([X, Y], f"The generator {PAIRS} list."),
        ((X,), "The generator must give pairs (x, y), or (x, y, sample_weight). Received: tuple"),
        ((X, Y[:4]), "Batch 1 of the generator: Every array needs one row per sample."),
        ((X[:, :2], Y), "The input 'given' takes samples of shape (3,). Received: (2,)."),
        ((X, Y[:, :1]), "Batch 1 of the generator: The output 'out' has the shape (2,)"),
        ((NAN, Y), "Batch 1 of the generator: x[5, 1] is nan: 1 of 39 values are not finite."),
        ((X.astype(str), Y), "Batch 1 of the generator: x must hold numbers."),
    ],
)
def test_generators_whose_first_batch_is_nonsense(x: Any, told: str) -> None:
    assert refused(iter_of(x)).startswith(told)


def iter_of(*batches: Any) -> Iterator[Any]:
    yield from batches


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (7, "Batch 4 of the generator: The generator must give pairs"),
        ((X[:, :2], Y), "Batch 4 of the generator: The input 'given' takes samples of shape (3,)."),
        ((NAN, Y), "Batch 4 of the generator: x[5, 1] is nan: 1 of 39 values are not finite."),
    ],
)
def test_generators_that_give_nonsense_later(batch: Any, told: str) -> None:
    assert refused(later(batch), trained=3).startswith(told)


def test_sources_that_fail() -> None:
    told = "The generator failed at batch {}: OSError: the disk is full."
    assert refused(failing(0)) == told.format(1)
    assert refused(failing(1)) == told.format(2)
    assert refused(failing(2), trained=2) == told.format(3)

    class Failing(Cut):
        def __getitem__(self, index: int) -> Any:
            raise KeyError("file")

    assert refused(Failing(X, Y)) == "The PyDataset failed at batch 1: KeyError: 'file'."
    signature = tuple(tf.TensorSpec((None, size), tf.float64) for size in (3, 2))
    data = tf.data.Dataset.from_generator(lambda: failing(0), output_signature=signature)
    assert refused(data) == "Keras's fit failed at step 1: OSError: the disk is full."


def test_sources_that_give_nothing() -> None:
    assert refused(iter_of()) == "The generator gives no batch."
    assert refused(Cut(X, Y, length=0)) == "The PyDataset gives no batch."
    assert refused(data_set(X, Y).take(0)) == "The tf.data.Dataset gives no batch."
    assert refused(data_set(X, Y).filter(lambda x, y: False)) == "The data gave no batch."


def test_sources_without_an_end() -> None:
    message = "The data never ends: say how much of it to take, by {}."
    assert refused(data_set(X, Y).repeat()) == message.format("steps_per_epoch")
    assert refused(Cut(X, Y, length=None)) == message.format("steps_per_epoch")
    held_out = {"validation_data": data_set(X, Y).repeat()}
    assert refused(X, Y, **held_out) == message.format("validation_steps")
    assert lockstep(plain(), data_set(X, Y).repeat(), steps=4).steps == 4


def test_data_sets_are_looked_at_as_far_as_they_tell() -> None:
    message = refused(tf.data.Dataset.from_tensor_slices((X, Y)))
    assert message == "The input 'given' takes samples of shape (3,). Received: ()."
    assert refused(data_set(X)).startswith("The tf.data.Dataset must give pairs (x, y)")
    assert refused(data_set(X.astype(str), Y)) == "x must hold numbers. Received: dtype string."
    ragged = tf.data.Dataset.from_tensor_slices((tf.ragged.constant([[1.0]]), Y[:1])).batch(1)
    assert refused(ragged) == "x must be a dense array. Received: RaggedTensorSpec."
    loose = data_set(X, Y).map(lambda x, y: (tf.py_function(lambda a: a, [x], tf.float64), y))
    assert refused(loose).startswith("x has the shape <unknown>: every size but that of the batch")


def test_numbers_that_show_only_in_training() -> None:
    whole = data_set(NAN, Y, batch=13)
    told = refused(whole, trained=1)
    assert told.startswith("The batch of step 1: x[")
    assert "is nan: 1 of 39 values are not finite" in told
    told = refused(X, Y, validation_data=whole, trained=1)
    assert told.startswith("Batch 1 of the validation: x[")
    model = plain(3, "softmax", "sparse_categorical_crossentropy")
    with pytest.raises(BadInput, match="Keras's fit failed at step 1: Received a label value of"):
        lockstep(model, data_set(X, CLASS + 3))


def test_what_must_come_in_batches() -> None:
    assert refused(data_set(X, Y), Y) == (
        "y must come with x, in each batch of the tf.data.Dataset."
    )
    assert refused(cut(X, Y), sample_weight=W) == (
        "sample_weight must come with x, in each batch of the generator."
    )
    assert refused(cut(X, Y), class_weight={0: 1.0}).startswith(
        "class_weight isn't for a generator"
    )
    assert refused(data_set(X, Y), validation_split=0.2) == (
        "validation_split is for arrays: give validation_data instead."
    )


def test_mistakes_of_callbacks_stay_what_they_are() -> None:
    def fail(epoch: int, logs: Any) -> None:
        raise ZeroDivisionError

    callback = keras.callbacks.LambdaCallback(on_epoch_end=fail)
    with pytest.raises(ZeroDivisionError):
        lockstep(plain(), cut(X, Y), callbacks=[callback])
