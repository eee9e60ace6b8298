"""Bugs around the update rule: clipping, scaling, accumulation, decay, averages, schedules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from manual import optimizers, schedules
from manual.optimizers import Optimizer, as_float32
from manual.optimizers.base import norm

Options = tuple[tuple[str, Any], ...]
EACH, ALL, ELEMENT = (("clipnorm", 0.05),), (("global_clipnorm", 0.05),), (("clipvalue", 0.01),)
TWO: Options = (("gradient_accumulation_steps", 2),)
DECAY: Options = (("weight_decay", 0.05),)
AVERAGE: Options = (("use_ema", True), ("ema_momentum", 0.8), ("ema_overwrite_frequency", 2))


def in_processing() -> Iterator[Bug]:
    """Give everything around a rule with one decision taken otherwise."""
    yield from _clipping()
    yield from _accumulation()
    yield from _decay()
    yield from _averages()
    yield from _schedules()


def _bug(
    method: str,
    function: Function,
    options: Options,
    phase: str,
    cause: str,
    step: int = 1,
    optimizer: str = "SGD",
    owner: type = Optimizer,
    where: str = "",
) -> Bug:
    told = ", ".join(f"{key} {value}" for key, value in options)
    name = f"{optimizer} ({told}): {cause or 'trap'}"
    causes = (cause,) if cause else ()
    return Bug(
        name, owner, method, function, phase, where, causes,
        step=step, optimizer=optimizer, options=options,
    )  # fmt: skip


def _clipping() -> Iterator[Bug]:
    def parts(way: Function) -> Function:
        def clipped(self: Any, g: Any, tensors: Any) -> Any:
            bound = self.clipnorm or self.global_clipnorm or self.clipvalue
            return np.concatenate([way(g[one.place], bound, g) for one in tensors])

        return clipped

    by = {
        "each": lambda g, c, whole: g * c / np.maximum(norm(g), c),
        "all": lambda g, c, whole: g * c / np.maximum(norm(whole), c),
        "element": lambda g, c, whole: np.maximum(np.minimum(g, c), -c),
        "none": lambda g, c, whole: g,
    }
    squared = parts(lambda g, c, whole: g * c / np.maximum((g * g).sum(), c))
    smaller = parts(lambda g, c, whole: g * c / np.minimum(norm(g), c))
    bare = parts(lambda g, c, whole: g / np.maximum(norm(g), c))
    mean = parts(lambda g, c, whole: g * c / np.maximum(np.sqrt((g * g).mean()), c))
    absolute = parts(lambda g, c, whole: g * c / np.maximum(np.abs(g).sum(), c))
    cases: list[tuple[Options, Function, str]] = [
        (EACH, parts(by["none"]), "the gradient is not clipped"),
        (ALL, parts(by["none"]), "the gradient is not clipped"),
        (ELEMENT, parts(by["none"]), "the gradient is not clipped"),
        (EACH, parts(by["all"]), "the norm of all weights' gradients is used"),
        (ALL, parts(by["each"]), "each weight is clipped by its own norm"),
        (EACH, parts(by["element"]), "every element is clipped instead of the norm"),
        (ALL, parts(by["element"]), "every element is clipped instead of the norm"),
        (ELEMENT, parts(by["each"]), "the norm is clipped instead of every element"),
        (EACH, squared, "the norm isn't rooted"),
        (EACH, smaller, "the smaller of norm and bound divides"),
        (EACH, bare, "the gradient is divided by its norm, but not multiplied"),
        (EACH, mean, "the norm is a root of a mean"),
        (EACH, absolute, "the norm is the sum of the absolute values"),
        (ELEMENT, parts(lambda g, c, whole: np.minimum(g, c)), "only what is above the bound"),
    ]
    for options, function, cause in cases:
        for optimizer in ("SGD", "Adam"):
            yield _bug("clipped", function, options, "processed gradient", cause, 1, optimizer)
    loose: Options = (("clipnorm", 50.0),)
    always = parts(lambda g, c, whole: g * c / norm(g))
    cause = "the gradient is scaled to the bound even where its norm is below"
    yield _bug("clipped", always, loose, "processed gradient", cause)

    right: Function = Optimizer.processed

    def unscaled(self: Any, g: Any, slots: Any, tensors: Any, step: Any) -> Any:
        return self.clipped(g, tensors)

    def twice(self: Any, g: Any, slots: Any, tensors: Any, step: Any) -> Any:
        return right(self, g / self.loss_scale_factor, slots, tensors, step)

    def late(self: Any, g: Any, slots: Any, tensors: Any, step: Any) -> Any:
        return self.clipped(g, tensors) / self.loss_scale_factor

    scaled: Options = (("loss_scale_factor", 1000.0),)
    for function, options, cause in (
        (unscaled, scaled, "the loss scale is left in the gradient"),
        (twice, scaled, "the loss scale is taken out twice"),
        (late, (*scaled, *EACH), "the loss scale is taken out after clipping"),
    ):
        yield _bug("processed", function, options, "processed gradient", cause)

    def rolled(self: Any, g: Any, tensors: Any) -> Any:
        clipped = by["each"](g, self.clipnorm, g)
        return np.concatenate([clipped[1:], clipped[:1]])

    yield _bug("clipped", rolled, EACH, "processed gradient", "")


def _accumulation() -> Iterator[Bug]:
    def made(
        share: float | None = None,
        keep: bool = False,
        off: int = 0,
        add: float = 1.0,
        early: bool = False,
        overwrite: bool = False,
        last: float = 1.0,
    ) -> Function:
        def processed(self: Any, g: Any, slots: Any, tensors: Any, step: Any) -> Any:
            k, total = self.gradient_accumulation_steps, slots["gradient_accumulator"]
            if early:
                g = self.clipped(g, tensors)
            if (step.iterations + 1 + off) % k:
                total *= 0.0 if overwrite else 1.0
                total += g * add
                return None
            mean = (g * last + total) / (k if share is None else share)
            total *= 1.0 if keep else 0.0
            return mean if early else self.clipped(mean, tensors)

        return processed

    three: Options = (("gradient_accumulation_steps", 3),)
    slot, weight = "optimizer slot", "weight"
    cases: list[tuple[Options, Function, str, str, int, str]] = [
        (TWO, made(share=1.0), weight, "the sum of the accumulated gradients is used", 2, "SGD"),
        (TWO, made(share=1.0), slot, "the sum of the accumulated gradients is used", 2, "Adam"),
        (three, made(share=9.0), weight, "the mean of the accumulated gradients is", 3, "SGD"),
        (three, made(share=2.0), slot, "the mean is over k − 1 gradients", 3, "Adam"),
        (TWO, made(keep=True), slot, "the accumulator is not reset after", 2, "SGD"),
        (TWO, made(add=0.5), slot, "the gradient is divided by k already", 1, "SGD"),
        (TWO, made(add=0.0), slot, "the accumulator is not filled", 1, "SGD"),
        (three, made(overwrite=True), slot, "the accumulator is overwritten", 2, "SGD"),
        (TWO, made(off=1), slot, "the weights move at a step that isn't the k-th", 1, "Adam"),
        (TWO, made(last=0.0), weight, "the last gradient is left out", 2, "SGD"),
        ((*TWO, *EACH), made(early=True), slot, "the gradient is clipped before it is", 1, "SGD"),
    ]  # fmt: skip
    for options, function, phase, cause, step, optimizer in cases:
        yield _bug("processed", function, options, phase, cause, step, optimizer)

    def raw_steps(self: Any, w: Any, g: Any, slots: Any, tensors: Any, step: Any) -> None:
        t = float(step.iterations + 1) * (step.t / step.t)
        self.update(w, g, slots, t, step.learning_rate)

    cause = "the step count counts every step instead of every update"
    yield _bug("update_all", raw_steps, three, "weight", cause, 3, "Adam")


def _decay() -> Iterator[Bug]:
    def made(way: Function) -> Function:
        def move(self: Any, w: Any, g: Any, slots: Any, tensors: Any, step: Any) -> None:
            rate = self.weight_decay
            way(self, w, g, slots, step, rate, step.learning_rate)

        return move

    def forgotten(self: Any, w: Any, g: Any, s: Any, step: Any, rate: Any, eta: Any) -> None:
        self.update(w, g, s, step.t, eta)

    def coupled(self: Any, w: Any, g: Any, s: Any, step: Any, rate: Any, eta: Any) -> None:
        self.update(w, g + rate * w, s, step.t, eta)

    def unscaled(self: Any, w: Any, g: Any, s: Any, step: Any, rate: Any, eta: Any) -> None:
        w -= w * rate
        self.update(w, g, s, step.t, eta)

    def twice(self: Any, w: Any, g: Any, s: Any, step: Any, rate: Any, eta: Any) -> None:
        w -= w * rate * eta
        w -= w * rate * eta
        self.update(w, g, s, step.t, eta)

    def after(self: Any, w: Any, g: Any, s: Any, step: Any, rate: Any, eta: Any) -> None:
        self.update(w, g, s, step.t, eta)
        w -= w * rate * eta

    def grows(self: Any, w: Any, g: Any, s: Any, step: Any, rate: Any, eta: Any) -> None:
        w += w * rate * eta
        self.update(w, g, s, step.t, eta)

    cases = (
        (forgotten, "weight", "the weight decay is forgotten"),
        (unscaled, "weight", "the weight decay isn't scaled by the learning rate"),
        (twice, "weight", "the weight decay is applied twice"),
        (after, "weight", "the weight decay comes after the update"),
        (grows, "weight", "the weight decay has the wrong sign"),
    )
    for optimizer in ("SGD", "Adam", "RMSprop", "Adamax"):
        for way, phase, cause in cases:
            yield _bug("move", made(way), DECAY, phase, cause, 1, optimizer)
    cause = "the weight decay is coupled"
    for optimizer in ("Adam", "RMSprop", "Lion", "Adagrad"):
        yield _bug("move", made(coupled), DECAY, "optimizer slot", cause, 1, optimizer)


def _averages() -> Iterator[Bug]:
    right: Function = Optimizer.move

    def reversed_(self: Any, w: Any, g: Any, slots: Any, tensors: Any, step: Any) -> None:
        self.update(w, g, slots, step.t, step.learning_rate)
        average, updates = slots["average"], self.updates(step.iterations)
        mu = 1.0 - self.ema_momentum if updates else 0.0
        average *= mu
        average += w * (1.0 - mu)
        if (updates + 1) % self.ema_overwrite_frequency == 0:
            w[...] = average

    def no_copy(self: Any, w: Any, g: Any, slots: Any, tensors: Any, step: Any) -> None:
        self.update(w, g, slots, step.t, step.learning_rate)
        slots["average"] *= self.ema_momentum
        slots["average"] += w * (1.0 - self.ema_momentum)
        if (step.iterations + 1) % self.ema_overwrite_frequency == 0:
            w[...] = slots["average"]

    def never(self: Any, w: Any, g: Any, slots: Any, tensors: Any, step: Any) -> None:
        before = w * 1.0
        right(self, w, g, slots, tensors, step)
        w[...] = before
        self.update(w, g, {}, step.t, step.learning_rate)

    def always(self: Any, w: Any, g: Any, slots: Any, tensors: Any, step: Any) -> None:
        right(self, w, g, slots, tensors, step)
        w[...] = slots["average"]

    def of_old(self: Any, w: Any, g: Any, slots: Any, tensors: Any, step: Any) -> None:
        mu = self.ema_momentum if step.iterations else 0.0
        slots["average"] *= mu
        slots["average"] += w * (1.0 - mu)
        self.update(w, g, slots, step.t, step.learning_rate)
        if (step.iterations + 1) % self.ema_overwrite_frequency == 0:
            w[...] = slots["average"]

    cases = (
        (reversed_, "optimizer slot", "μ and 1 − μ are swapped in the average", 2),
        (no_copy, "optimizer slot", "the average starts from 0", 1),
        (never, "weight", "the average never takes the weights' place", 2),
        (always, "weight", "the average takes the weights' place at every step", 3),
        (of_old, "optimizer slot", "the average has the weights before the update", 1),
    )
    for function, phase, cause, step in cases:
        yield _bug("move", function, AVERAGE, phase, cause, step)


def _schedules() -> Iterator[Bug]:
    schedule = keras.optimizers.schedules
    kinds = (
        (schedule.ExponentialDecay(0.05, 4, 0.6), schedules.ExponentialDecay),
        (schedule.InverseTimeDecay(0.05, 2, 0.5), schedules.InverseTimeDecay),
        (schedule.PolynomialDecay(0.05, 5, 0.01, power=2.0), schedules.PolynomialDecay),
        (schedule.CosineDecay(0.05, 6), schedules.CosineDecay),
    )
    for asked, owner in kinds:
        right: Function = owner.rate
        for shift, cause, step in (
            (1.0, "the schedule is one step ahead", 1),
            (-1.0, "the schedule is one step behind", 2),
        ):

            def rate(self: Any, steps: Any, shift: float = shift, own: Function = right) -> Any:
                return own(self, np.maximum(steps + shift, 0.0))

            options: Options = (("learning_rate", asked),)
            yield Bug(
                f"{owner.__name__}: {cause}", owner, "rate", rate, "optimizer slot",
                "learning_rate", (cause,), step=step, options=options,
            )  # fmt: skip


def rounding() -> Iterator[Bug]:
    """Give constants that one side rounds to float32: to be told apart in float64 only."""
    right: Function = optimizers.Adam.update

    def exact_power(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        m, v = slots["momentum"], slots["velocity"]
        m += (g - m) * (1.0 - self.beta_1)
        v += (g * g - v) * (1.0 - self.beta_2)
        c1, c2 = 1.0 - as_float32(self.beta_1) ** t, 1.0 - self.beta_2**t
        w -= m * (eta * c2**0.5 / c1) / (np.sqrt(v) + self.epsilon)

    def rounded_moment(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        asked = self.beta_2
        self.beta_2 = as_float32(asked)
        right(self, w, g, slots, t, eta)
        self.beta_2 = asked

    for function, phase, cause in (
        (exact_power, "weight", "Keras rounds β₂ to float32 in β₂ᵗ"),
        (rounded_moment, "optimizer slot", "β₂ is rounded to float32"),
    ):
        bug = _bug("update", function, (), phase, cause, 1, "Adam", optimizers.Adam)
        yield replace(bug, dtypes=("float64",))
