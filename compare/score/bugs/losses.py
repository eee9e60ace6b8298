"""Bugs in losses and in their derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import FACTORS, Bug, Function
from manual import activations, losses

LOSSES: dict[str, tuple[type[losses.Loss], str]] = {
    "mse": (losses.MeanSquaredError, "linear"),
    "mae": (losses.MeanAbsoluteError, "linear"),
    "binary_crossentropy": (losses.BinaryCrossentropy, "sigmoid"),
    "categorical_crossentropy": (losses.CategoricalCrossentropy, "softmax"),
}


def in_losses() -> Iterator[Bug]:
    """Give slips in each loss's derivative, and in its mean."""
    for name, (owner, last) in LOSSES.items():
        right: Function = owner.values_gradient
        where = "last" if last == "linear" else "last/pre_activation"
        slips: dict[str, tuple[Function, tuple[str, ...]]] = {
            "mean missing": (
                lambda s, dv, saved, right=right: right(s, dv, saved) * float(len(dv)),
                ("the batch mean is missing",),
            ),
            "mean twice": (
                lambda s, dv, saved, right=right: right(s, dv, saved) / float(len(dv)),
                ("the batch mean is taken twice",),
            ),
            **{
                f"times {factor:g}": (
                    lambda s, dv, saved, right=right, factor=factor: right(s, dv, saved) * factor,
                    (cause,),
                )
                for factor, cause in FACTORS.items()
            },
        }
        slips["half squared"] = (
            lambda s, dv, saved: dv[..., None] * _difference(saved),
            ("this is the derivative of ½ (p − y)²", FACTORS[2.0], FACTORS[0.5]),
        )
        if name != "mae":
            slips["absolute"] = (
                lambda s, dv, saved: dv[..., None] * np.sign(_difference(saved)),
                ("this is the derivative of |p − y|",),
            )
        if name != "mse":
            slips["squared"] = (
                lambda s, dv, saved: dv[..., None] * (2.0 * _difference(saved)),
                ("this is the derivative of (p − y)²", "this is the derivative of ½ (p − y)²"),
            )
        if last == "softmax":
            slips["softmax twice"] = (
                lambda s, dv, saved: (
                    dv[..., None] * (activations.softmax(activations.softmax(saved[1])) - saved[0])
                ),
                ("this is the derivative of a cross-entropy with softmax applied twice",),
            )
            slips["target forgotten"] = (
                lambda s, dv, saved: dv[..., None] * activations.softmax(saved[1]),
                ("this is the derivative of the cross-entropy's softmax without",),
            )
        for slip, (function, causes) in slips.items():
            yield Bug(
                f"{name}: {slip}",
                owner,
                "values_gradient",
                function,
                "activation gradient",
                where,
                causes,
                last=last,
                loss=name,
            )
        yield Bug(
            f"{name}: the last batch averaged as a full one",
            losses.Loss,
            "_divisor",
            lambda self, weighted, share: 8.0,
            "loss",
            "total",
            ("the last, small batch is averaged with the full batch size",),
            step=3,
            last=last,
            loss=name,
        )


def _difference(saved: Any) -> Any:
    return saved[1] - saved[0] if isinstance(saved, tuple) else saved
