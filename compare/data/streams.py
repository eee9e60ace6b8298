"""Sources that give one batch after the other: generators, data sets, loaders.

Nothing is drawn from one that ``fit`` alone would not draw, so that it is trained on the same
batches. What can be looked at before it is trained on, is.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compare.data.sources import Batch, Source, Whole, named_batch, split
from compare.errors import BadInput


def source_of(
    x: Any, y: Any, sample_weight: Any, dtype: str, what: str = "", class_weight: Any = None
) -> Source:
    """Return where batches come from, having checked what can be checked now.

    Parameters
    ----------
    x, y, sample_weight
        As ``fit`` takes them.
    dtype : str
        What arrays of numbers will be.
    what : str
        What stands before these names in messages.
    class_weight : mapping, optional
    """
    kind = _kind(x)
    if kind is None:
        if x is None:
            raise BadInput(f"{what}x is missing.")
        if y is None:
            raise BadInput(f"{what}y is missing: the twin learns from pairs of x and y.")
        return Whole(x, y, sample_weight, dtype, what)
    for name, given in (("y", y), ("sample_weight", sample_weight)):
        if given is not None:
            raise BadInput(f"{what}{name} must come with x, in each batch of the {kind.told}.")
    if class_weight and not kind.takes_class_weight:
        raise BadInput(f"class_weight isn't for a {kind.told}: let it give sample weights.")
    return kind(x)


class Stream(Source):
    """What gives one batch after the other."""

    told = "source"
    takes_class_weight = False

    def __init__(self, x: Any) -> None:
        self.x = x

    def show(self, fitting: Callable[[Batch], None]) -> None:
        self.drawn(1, lambda: self.example)

    def drawn(self, number: int, draw: Callable[[], Any]) -> Any:
        """Draw a batch and look at it; keep in mind what is wrong with it.

        TensorFlow calls this, and tells no more of an error than its text.
        """
        try:
            batch = draw()
            if self.look is not None:
                self.look(split(batch, self.told))
        except StopIteration:
            raise
        except BadInput as error:
            self.error = BadInput(f"Batch {number} of the {self.told}: {error}")
            raise self.error from None
        except Exception as error:  # of the user's own code
            told = f"{type(error).__name__}: {error}".rstrip(".")
            self.error = BadInput(f"The {self.told} failed at batch {number}: {told}.")
            raise self.error from error
        return batch


class OfGenerator(Stream):
    """A Python generator. Its first batch is drawn at once, and handed on first of all.

    When it has ended, Keras gives its first two batches again in the epoch that follows.
    """

    told = "generator"

    def __init__(self, x: Iterator[Any]) -> None:
        super().__init__(x)
        try:
            first = self.drawn(1, lambda: next(x))
        except StopIteration:
            raise BadInput("The generator gives no batch.") from None
        if not isinstance(first, tuple):  # which fit asks for
            raise BadInput(
                "The generator must give tuples (x, y), or (x, y, sample_weight). "
                f"Received: {type(first).__name__}."
            )
        self.example = _in_numpy(split(first, self.told))
        self.x = self._batches(first, x)

    def _batches(self, first: Any, others: Iterator[Any]) -> Iterator[Any]:
        number = 1
        batch = self.drawn(number, lambda: first)
        while True:
            yield batch
            number += 1
            try:
                batch = self.drawn(number, lambda: next(others))
            except StopIteration:
                return


class OfPyDataset(Stream):
    """A ``keras.utils.PyDataset``. Its first batch is asked for once, as by ``fit`` alone."""

    told = "PyDataset"
    takes_class_weight = True

    def __init__(self, x: keras.utils.PyDataset) -> None:
        super().__init__(x)
        if x.num_batches == 0:
            raise BadInput("The PyDataset gives no batch.")
        self.endless = x.num_batches is None
        self.x = _Watched(x, self)
        self.example = _in_numpy(split(self.x.first, self.told))


class _Watched(keras.utils.PyDataset):
    """A data set whose batches are looked at on their way."""

    def __init__(self, inner: keras.utils.PyDataset, stream: Stream) -> None:
        super().__init__(inner.workers, inner.use_multiprocessing, inner.max_queue_size)
        self.inner, self.stream = inner, stream
        self.first = stream.drawn(1, lambda: inner[0])
        self._kept = [self.first]

    @property
    def num_batches(self) -> int | None:
        number: int | None = self.inner.num_batches
        return number

    def __getitem__(self, index: int) -> Any:
        kept = self._kept and index == 0
        return self.stream.drawn(index + 1, self._kept.pop if kept else lambda: self.inner[index])

    def on_epoch_begin(self) -> None:
        self.inner.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.inner.on_epoch_end()


class OfDataset(Stream):
    """A ``tf.data.Dataset``. To draw from it could change what it gives next: it tells shapes."""

    told = "tf.data.Dataset"
    takes_class_weight = unseen = True

    def __init__(self, x: tf.data.Dataset) -> None:
        super().__init__(x)
        size = int(x.cardinality())
        if size == 0:
            raise BadInput("The tf.data.Dataset gives no batch.")
        self.endless = size == tf.data.INFINITE_CARDINALITY
        specs = split(x.element_spec, self.told)
        for name, spec in named_batch(specs).items():
            if not isinstance(spec, tf.TensorSpec):
                raise BadInput(f"{name} must be a dense array. Received: {type(spec).__name__}.")
            if not (spec.dtype.is_floating or spec.dtype.is_integer or spec.dtype.is_bool):
                raise BadInput(f"{name} must hold numbers. Received: dtype {spec.dtype.name}.")
            if spec.shape.rank is None or None in tuple(spec.shape)[1:]:
                raise BadInput(
                    f"{name} has the shape {spec.shape}: every size but that of the batch must be "
                    "known, as by ensure_shape."
                )
        self.example = keras.tree.map_structure(zeros_like, specs)


class OfDataLoader(Stream):
    """A torch ``DataLoader``. A first batch is drawn; its random numbers are then drawn again."""

    told = "DataLoader"
    unseen = True

    def __init__(self, x: Any) -> None:
        import torch

        super().__init__(x)
        drawing = x.generator or torch.default_generator
        state = drawing.get_state()
        first = self.drawn(1, lambda: next(iter(x), None))
        drawing.set_state(state)
        if first is None:
            raise BadInput("The DataLoader gives no batch.")
        self.example = _in_numpy(split(first, self.told))


def zeros_like(spec: Any) -> np.ndarray | None:
    """Return an array like a data set's: two samples of it; None where it has nothing."""
    if not isinstance(spec, tf.TensorSpec):
        return None
    shape = (2, *spec.shape[1:]) if spec.shape.rank else ()
    return np.zeros(shape, spec.dtype.as_numpy_dtype)


def _in_numpy(batch: Batch) -> Batch:
    arrays: Batch = keras.tree.map_structure(
        lambda one: one if one is None else np.asarray(one), batch
    )
    return arrays


def _kind(x: Any) -> type[OfGenerator | OfPyDataset | OfDataset | OfDataLoader] | None:
    if isinstance(x, types.GeneratorType):
        return OfGenerator
    if isinstance(x, keras.utils.PyDataset):
        return OfPyDataset
    if isinstance(x, tf.data.Dataset):
        return OfDataset
    loader = any(
        one.__name__ == "DataLoader" and one.__module__.startswith("torch.utils.data")
        for one in type(x).__mro__
    )
    return OfDataLoader if loader else None
