"""Bugs in what a mask does, and in embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.sequences import MASKED, WIDTH, table, words
from compare.score.networks import SAMPLES, Choice, Planted, generator
from manual import losses
from manual.layers import Embedding, Masking
from manual.layers.recurrence import OverTime, Recurrent


def _filled(bug: Choice) -> Planted:
    """Return sequences whose missing steps are filled with another number than 0."""
    model = keras.Sequential(
        [
            keras.Input((3, WIDTH)),
            keras.layers.Masking(-1.0, name="masking"),
            keras.layers.Dense(2, name="last"),
        ]
    )
    draw = generator()
    x = draw.normal(size=(SAMPLES, 3, WIDTH))
    x[::2, 2] = -1.0
    return model, x, draw.normal(size=(SAMPLES, 3, 2))


def with_masks() -> Iterator[Bug]:
    """Give slips in recurrent layers and losses that have a mask, and in what makes one."""
    yield from _around()
    yield from _words()


def _around() -> Iterator[Bug]:
    """Give slips in what a mask does to a recurrent layer, to Masking, and to the loss."""
    right_forward: Function = Recurrent.forward
    right_backward: Function = Recurrent.backward

    def forward(change: Function) -> Function:
        def changed(self: Any, x: Any, *, training: bool = False, mask: Any = None) -> Any:
            return right_forward(self, x, training=training, mask=change(mask))

        return changed

    def unmasked(self: Any, dy: Any, saved: Any) -> Any:
        rows, steps, _, *drops = saved
        return right_backward(self, dy, (rows, steps, None, *drops))

    for slip, change, cause in (
        ("ignored", lambda mask: None, "the mask is ignored"),
        ("inverted", lambda mask: ~mask, "the mask is inverted"),
        (
            "read late",
            lambda mask: np.concatenate([mask[:, :1], mask[:, :-1]], 1),
            "the mask is re",
        ),
    ):
        yield Bug(
            f"LSTM: mask {slip}",
            Recurrent,
            "forward",
            forward(change),
            "activation",
            "memory",
            (cause,),
            network=MASKED,
        )
    yield Bug(
        "LSTM: mask ignored on the way back",
        Recurrent,
        "backward",
        unmasked,
        "activation gradient",
        "below",
        ("the mask is ignored on the way back",),
        network=MASKED,
    )
    yield Bug(
        "LSTM: mask lost on the way to the loss",
        OverTime,
        "compute_mask",
        lambda self, x, mask: None,
        "loss",
        "total",
        ("the mask is ignored",),
        network=MASKED,
    )
    yield Bug(
        "Masking: masked steps handed on",
        Masking,
        "forward",
        lambda self, x, *, training=False: (x, self.compute_mask(x, None)[..., None]),
        "activation",
        "masking",
        ("the masked steps are not set to 0",),
        network=_filled,
    )
    right_loss: Function = losses.Loss.forward

    def over_all(self: Any, y: Any, p: Any, *, mask: Any = None, **options: Any) -> Any:
        value, (inner, dv, given) = right_loss(self, y, p, mask=mask, **options)
        share = float(mask.sum()) / mask.size
        return value * share, (inner, dv * share, given)

    def without(self: Any, y: Any, p: Any, *, mask: Any = None, **options: Any) -> Any:
        value, _ = right_loss(self, y, p, mask=mask, **options)
        return value, right_loss(self, y, p, **options)[1]

    for slip, function, phase, where, cause in (
        ("mean over all steps", over_all, "loss", "total", "the mean is taken over all steps"),
        (
            "mask ignored in its gradient",
            without,
            "activation gradient",
            "last",
            "the mask is ignored in the loss",
        ),
    ):
        yield Bug(
            f"loss: {slip}",
            losses.Loss,
            "forward",
            function,
            phase,
            where,
            (cause,),
            network=MASKED,
        )


def _words() -> Iterator[Bug]:
    """Give slips in Embedding."""
    right: Function = Embedding.backward

    def overwritten(self: Any, dy: Any, saved: Any) -> Any:
        numbers, x = saved
        for index, row in zip(numbers.reshape(-1), dy.reshape(-1, WIDTH), strict=True):
            self.embeddings.gradient[index] = row
        return x * 0.0

    def off_by_one(self: Any, x: Any, *, training: bool = False) -> Any:
        numbers = (x.astype(np.intp) + 1) % self.input_dim
        return self.embeddings.value[numbers], (x.astype(np.intp), x)

    def shifted(self: Any, dy: Any, saved: Any) -> Any:
        return right(self, dy, ((saved[0] + 1) % self.input_dim, saved[1]))

    def no_padding(self: Any, dy: Any, saved: Any) -> Any:
        return right(self, dy * (saved[0] != 0)[..., None], saved)

    def unmasked(self: Any, x: Any, mask: Any) -> None:
        return None

    gradient = ("weight gradient", "words/embeddings")
    for slip, method, function, place, cause, network in (
        (
            "overwritten",
            "backward",
            overwritten,
            gradient,
            "the gradient of an index that c",
            words,
        ),
        ("forward off by one", "forward", off_by_one, ("activation", "words"), "the index", words),
        ("off by one", "backward", shifted, gradient, "the index is one too large", words),
        (
            "times √d",
            "forward",
            lambda self, x, *, training=False: (
                self.embeddings.value[x.astype(np.intp)] * float(np.sqrt(WIDTH)),
                (x.astype(np.intp), x),
            ),
            ("activation", "words"),
            "the vectors are multiplied by √d",
            words,
        ),
        ("padding untrained", "backward", no_padding, gradient, "the padding's row is n", table),
        (
            "no mask",
            "compute_mask",
            unmasked,
            ("activation", "memory"),
            "the mask is ignored",
            words,
        ),
    ):
        yield Bug(
            f"Embedding: {slip}", Embedding, method, function, *place, (cause,), network=network
        )
