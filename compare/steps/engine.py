"""The lock-step: both halves train, and after every step each number is held against its twin."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from compare.data.arrays import check_class_weight
from compare.data.sources import Batch, Source, Whole, check_batch
from compare.data.streams import source_of
from compare.errors import BadInput, check_backend
from compare.findings.report import Report
from compare.steps.fitting import one_step_at_a_time, told_in_a_sentence
from compare.steps.following import EpochEnd, Follower, OtherWay
from compare.steps.pairing import Pair, build
from compare.steps.witness import Witness
from compare.twins.twin import array_dtype, check_model
from keras_models.recorder import Recorder
from keras_models.stepper import Stepper
from manual.network import Network

DEFAULT_BATCH_SIZE = 32
"""What ``fit`` cuts arrays into."""


def lockstep(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    steps: int | None = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    shuffle: bool = True,
    validation_data: Any = None,
    validation_split: float = 0.0,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int = 1,
    strict: bool = False,
    network: Network | None = None,
    stepper: Stepper | None = None,
    other_ways: Mapping[str, OtherWay] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    on_step: Callable[[Report], None] | None = None,
    witness: Witness | None = None,
    label: str | None = None,
    report: Report | None = None,
) -> Report:
    """Train a Keras model and its hand-written twin in lock-step, and compare every step.

    The model is trained by its own ``fit``, exactly as it would be alone, and takes what ``fit``
    takes. What each batch did is taken from inside the running ``fit``; a ``GradientTape`` step on
    a copy adds every activation and activation gradient. Each map of the hand-written half is then
    run on Keras's own inputs.

    Parameters
    ----------
    model : keras.Model
        Compiled. Sequential, Functional, or subclassed if its ``call`` only calls layers and
        Keras's operations. It is trained.
    x, y : arrays, nested as the model takes them
        Or ``x`` alone: a ``tf.data.Dataset``, ``keras.utils.PyDataset``, generator or torch
        ``DataLoader`` that gives ``(x, y)`` or ``(x, y, sample_weight)``.
    batch_size : int, optional
        32 by default, where ``x`` doesn't come in batches.
    epochs : int
    steps : int, optional
        Stop after this many batches.
    sample_weight : arrays, optional
    class_weight : mapping of class to float, optional
        As in ``fit``, which makes a weight for each sample of it.
    shuffle : bool
        As in ``fit``.
    validation_data : (x, y), (x, y, sample_weight), or what gives such batches, optional
    validation_split : float
        The last part of the data, kept for validation, as in ``fit``.
    initial_epoch, steps_per_epoch, validation_steps, validation_batch_size, validation_freq : int
        As in ``fit``.
    strict : bool
        Refuse layers that have no twin. Else Keras itself carries them, everything around them is
        verified, and the report says which they were.
    network : manual.Network, optional
        A network written by hand, with its own weights, instead of the twin that is built from
        the model's configuration.
    stepper : keras_models.Stepper, optional
        One that was already made of this model, to spare making another.
    other_ways : mapping of str to callable, optional
        Further ways of computing the weights' gradients, each compared at every step.
    callbacks : sequence of keras.callbacks.Callback, optional
        Handed to ``fit`` after the comparison's own.
    on_step : callable, optional
        Called with the growing report after every step.
    witness : Witness, optional
        Is shown all that was compared: a `Film`, say, which makes a page of it.
    label : str, optional
        What the report is called; the model's name by default.
    report : Report, optional
        One to fill, so that it can be read after an interruption.

    Returns
    -------
    Report
        With ``.ok``, ``.findings``, ``.first``, ``.raise_if_different()`` and ``.to_json()``.

    Raises
    ------
    BadInput
        If the model, its settings or the data can't be compared, in one sentence.

    Examples
    --------
    >>> report = compare.lockstep(model, x, y, batch_size=32, epochs=2)  # doctest: +SKIP
    >>> report.raise_if_different()  # doctest: +SKIP
    """
    check_backend(keras.backend.backend())
    check_model(model)
    dtype = array_dtype(model)
    for name, value in (
        ("epochs", epochs),
        ("steps", steps),
        ("batch_size", batch_size),
        ("steps_per_epoch", steps_per_epoch),
        ("validation_steps", validation_steps),
        ("validation_batch_size", validation_batch_size),
    ):
        if value is not None and (not isinstance(value, (int, np.integer)) or value < 1):
            raise BadInput(f"{name} must be at least 1. Received: {value}.")
    if not 0 <= initial_epoch < epochs:
        raise BadInput(f"initial_epoch must lie below epochs={epochs}. Received: {initial_epoch}.")
    source = source_of(x, y, sample_weight, dtype, class_weight=class_weight)
    check_class_weight(class_weight, source.example)
    held_out = _held_out(validation_data, validation_split, source, dtype)
    for data, ends_after, told in (
        (source, steps or steps_per_epoch, "steps_per_epoch"),
        (held_out, validation_steps, "validation_steps"),
    ):
        if data is not None and data.endless and ends_after is None:
            raise BadInput(f"The data never ends: say how much of it to take, by {told}.")

    build(model, source.example[0])
    drawing = random.getstate()  # what fit shuffles a PyDataset by, and copies of layers draw from
    pair = Pair(model, source.example, strict=strict, network=network)

    def look(batch: Batch) -> None:
        check_batch(batch, dtype)
        pair.check(batch)

    size = batch_size or DEFAULT_BATCH_SIZE
    for data, of_batch in ((source, size), (held_out, validation_batch_size or size)):
        if data is not None:
            data.look = look
            data.show(partial(pair.check, size=of_batch))
    report = Report("", dtype) if report is None else report
    pair.introduce(report, label)
    whole = isinstance(source, Whole)
    if not report.reproduce:
        report.reproduce = _reproduce(
            batch_size or DEFAULT_BATCH_SIZE if whole and not steps_per_epoch else batch_size,
            whole=whole,
            sample_weight=sample_weight is not None,
            class_weight=bool(class_weight),
            shuffle=shuffle,
            steps_per_epoch=steps_per_epoch,
        )
    full = min(batch_size or DEFAULT_BATCH_SIZE, source.samples) if source.samples else 0
    follower = Follower(pair, report, stepper=stepper, batch_size=full, other_ways=other_ways)
    follower.steps, follower.on_step = steps, on_step
    follower.show_to(witness)
    follower.look = look if source.unseen else None
    follower.look_held_out = look if held_out is not None and held_out.unseen else None
    recorder = Recorder(
        follower.step,
        follower.validation if held_out is not None or validation_split else None,
        None if pair.graph is model else pair.graph,
        beside=follower.beside,
    )
    random.setstate(drawing)
    with one_step_at_a_time(model, report), told_in_a_sentence(follower, source, held_out):
        try:
            model.fit(
                source.x,
                source.y,
                sample_weight=source.sample_weight,
                class_weight=dict(class_weight) if class_weight else None,
                batch_size=batch_size,
                epochs=epochs,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                shuffle=shuffle and (whole or isinstance(x, keras.utils.PyDataset)),
                validation_split=validation_split,
                validation_data=_for_fit(held_out),
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
                verbose=0,
                callbacks=[recorder, EpochEnd(follower), *(callbacks or [])],
            )
        finally:
            recorder.restore()
    wanted = (epochs - initial_epoch) * (steps_per_epoch or 0)
    if report.steps < wanted and not model.stop_training:
        report.notes.append(f"the data ran out after {report.steps} of {wanted} steps")
    return report


def _held_out(given: Any, split: float, source: Source, dtype: str) -> Source | None:
    """Return where the batches of validations come from, if they don't come from the data."""
    if given is None:
        if split and source.samples is None:
            raise BadInput("validation_split is for arrays: give validation_data instead.")
        kept = int(np.floor((source.samples or 1) * (1.0 - split)))
        if split and not 0 < kept < (source.samples or 1):
            raise BadInput(
                f"validation_split must leave samples on both sides of the {source.samples} there "
                f"are. Received: {split}."
            )
        return None
    if not isinstance(given, (list, tuple)):
        held_out = source_of(given, None, None, dtype, "validation ")
        if isinstance(held_out, Whole):
            given = ()
        else:
            return held_out
    if not 2 <= len(given) <= 3:
        raise BadInput(
            "validation_data must be (x, y) or (x, y, sample_weight), or give such batches."
        )
    x, y, sample_weight = (*given, None)[:3]
    return source_of(x, y, sample_weight, dtype, "validation ")


def _for_fit(held_out: Source | None) -> Any:
    if held_out is None or not isinstance(held_out, Whole):
        return None if held_out is None else held_out.x
    weights = () if held_out.sample_weight is None else (held_out.sample_weight,)
    return held_out.x, held_out.y, *weights


def _reproduce(batch_size: int | None, *, whole: bool, **options: Any) -> str:
    """Return the call that gives the same again, up to a step."""
    told = ["model", "x", "y"] if whole else ["model", "x"]
    told += [] if batch_size is None else [f"batch_size={batch_size}"]
    for name, value in options.items():
        if name == "shuffle":
            told += [] if value else ["shuffle=False"]
        elif value is True:
            told.append(f"{name}={name}")
        elif value:
            told.append(f"{name}={value}")
    return f"compare.lockstep({', '.join(told)}, steps={{step}})"
