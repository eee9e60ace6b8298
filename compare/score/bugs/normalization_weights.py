"""Bugs in the gradients of γ and β, in the moving averages, and traps in normalization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.normalization import Map, normalized, sequences
from manual.layers import BatchNormalization
from manual.layers.standardization import Standardization


def in_normalization_weights() -> Iterator[Bug]:
    """Give slips in what normalization learns, remembers and does at inference, and traps."""
    yield from _weights()
    yield from _states()
    yield from _traps()
    right: Function = BatchNormalization.forward
    for network in (normalized, sequences):
        yield Bug(
            f"batch normalization ({network.__name__}): the batch's statistics at inference",
            BatchNormalization,
            "forward",
            lambda self, x, *, training=False: right(self, x, training=True),
            "metric",
            "val_loss",
            ("the batch's own statistics are used at inference",),
            step=3,
            network=network,
            held_out=True,
        )


def _weights() -> Iterator[Bug]:
    lines: dict[str, tuple[str, Map, str]] = {
        "dγ without x̂": ("gamma", lambda dy, x, m, r, g: dy, "the normalized input is not m"),
        "dγ with x": ("gamma", lambda dy, x, m, r, g: dy * x, "the input stands for the norm"),
        "dγ with x − μ": ("gamma", lambda dy, x, m, r, g: dy * (x - m), "x̂ is not divided"),
        "dγ with γ": ("gamma", lambda dy, x, m, r, g: dy * (x - m) * r * g, "γ is multiplied in"),
        "dγ of one sample": (
            "gamma",
            lambda dy, x, m, r, g: (dy * (x - m) * r)[:1],
            "only the first sample",
        ),
        "dβ with γ": ("beta", lambda dy, x, m, r, g: dy * g, "γ is multiplied in"),
        "dβ with r": ("beta", lambda dy, x, m, r, g: dy * r, "it is divided by the deviation"),
        "dβ with x̂": ("beta", lambda dy, x, m, r, g: dy * (x - m) * r, "x̂ is multiplied in"),
        "dβ averaged": (
            "beta",
            lambda dy, x, m, r, g: dy / float(len(dy)),
            "a mean stands for the sum over axis 0",
        ),
    }
    right: Function = Standardization.standardize_backward
    for where, network in (("batch", normalized), ("layer", normalized), ("batch", sequences)):
        for slip, (weight, line, cause) in lines.items():

            def backward(
                self: Any,
                dy: Any,
                saved: Any,
                line: Map = line,
                weight: str = weight,
                where: str = where,
            ) -> Any:
                parameter = getattr(self, weight)
                before = parameter.gradient * 1.0
                dx = right(self, dy, saved)
                if self.name == where:
                    x, r, *_, of = saved
                    terms = line(dy, x, of.mean, r, self.gamma.value.reshape(self.spread))
                    total = terms.sum(axis=tuple(range(dy.ndim - 1)))
                    parameter.gradient[...] = before + total
                return dx

            same = {
                "dγ without x̂": (f"this is the gradient of {where}/beta",),
                "dβ with x̂": (f"this is the gradient of {where}/gamma",),
                "dβ averaged": ("the batch mean is taken twice",),
            }.get(slip, ())
            yield Bug(
                f"{where} normalization ({network.__name__}): {slip}",
                Standardization,
                "standardize_backward",
                backward,
                "weight gradient",
                f"{where}/{weight}",
                (cause, *same),
                network=network,
            )


def _states() -> Iterator[Bug]:
    """Each gets the old average, the batch's statistic, the momentum and n."""
    both: dict[str, tuple[Map, str]] = {
        "momentum reversed": (
            lambda old, new, m, n: old * (1.0 - m) + new * m,
            "the momentum is taken for the share of the new",
        ),
        "never updated": (lambda old, new, m, n: old, "the moving average is never updated"),
        "replaced": (lambda old, new, m, n: new, "the batch's statistic replaces"),
        "wrong sign": (
            lambda old, new, m, n: old + (old - new) * (1.0 - m),
            "the average moves away from the batch's statistic",
        ),
        "1 − m forgotten": (lambda old, new, m, n: old * m + new, "1 − momentum is forgotten"),
    }
    variance: dict[str, tuple[Map, str]] = {
        "unbiased": (
            lambda old, new, m, n: old * m + new * (n / (n - 1.0)) * (1.0 - m),
            "the variance is the unbiased one, as in PyTorch",
        ),
        "deviation": (
            lambda old, new, m, n: old * m + np.sqrt(new) * (1.0 - m),
            "the deviation goes into the average",
        ),
        "ε in it": (
            lambda old, new, m, n: old * m + (new + 0.01) * (1.0 - m),
            "ε goes into the average",
        ),
    }
    for name, slips in (("moving_mean", both), ("moving_variance", {**both, **variance})):
        for slip, (line, cause) in slips.items():
            for network in (normalized, sequences):
                if slip == "ε in it" and network is normalized:
                    continue  # its ε isn't 0.01

                def update_state(self: Any, saved: Any, line: Map = line, name: str = name) -> None:
                    *_, of = saved
                    m = self.momentum
                    for one, new in (("moving_mean", of.mean), ("moving_variance", of.variance)):
                        moving = getattr(self, one)
                        rule = line if one == name else _right_average
                        moving.value[...] = rule(
                            moving.value, new.reshape(moving.shape), m, of.count
                        )

                yield Bug(
                    f"batch normalization ({network.__name__}): {name} {slip}",
                    BatchNormalization,
                    "update_state",
                    update_state,
                    "state",
                    f"batch/{name}",
                    (cause,),
                    network=network,
                )


def _right_average(old: Any, new: Any, m: float, n: Any) -> Any:
    return old * m + new * (1.0 - m)


def _traps() -> Iterator[Bug]:
    """Give what has no algebraic cause."""
    right_forward: Function = Standardization.standardize
    right_backward: Function = Standardization.standardize_backward
    right_update: Function = BatchNormalization.update_state

    def one_channel(self: Any, x: Any, of: Any) -> Any:
        y, saved = right_forward(self, x, of)
        if self.name == "batch" and not of.constant:
            y[..., 1:2] = y[..., 1:2] * 1.001
        return y, saved

    def one_sample(self: Any, dy: Any, saved: Any) -> Any:
        dx = right_backward(self, dy, saved)
        if self.name == "layer":
            dx[1:2] = dx[1:2] * (1.0 + 2.0**-10)
        return dx

    def leaking(self: Any, saved: Any) -> None:
        right_update(self, saved)
        self.moving_variance.value[...] = self.moving_variance.value * (1.0 + 2.0**-12)

    traps: tuple[tuple[str, type, str, Function, str, str], ...] = (
        (
            "one channel off by a thousandth",
            Standardization,
            "standardize",
            one_channel,
            "activation",
            "batch",
        ),
        (
            "one sample's gradient off by a thousandth",
            Standardization,
            "standardize_backward",
            one_sample,
            "activation gradient",
            "second",
        ),
        (
            "the moving variance leaks",
            BatchNormalization,
            "update_state",
            leaking,
            "state",
            "batch/moving_variance",
        ),
    )
    for name, owner, method, function, phase, where in traps:
        yield Bug(
            f"trap, normalization: {name}",
            owner,
            method,
            function,
            phase,
            where,
            (),
            network=normalized,
        )
