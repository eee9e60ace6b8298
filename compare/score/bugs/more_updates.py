"""More bugs in updates: two slips at once, constraints, and what puts a step together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator, spread
from manual import constraints, optimizers
from manual.network import Network
from manual.optimizers import Optimizer, as_float32

SLOT, WEIGHT = "optimizer slot", "weight"


def in_more_updates() -> Iterator[Bug]:
    """Give slips in Adam, in what Muon leaves to Adam, in constraints, and around them."""
    yield from _adam()
    yield from _muon()
    yield from _velocity()
    yield from _decay()
    yield from _constraints()
    yield from _steps()


def _adam() -> Iterator[Bug]:
    both = "ε stands inside the root; and the bias correction is missing"
    swapped = "β₁ and β₂ are swapped in the bias corrections"
    eps = (("epsilon", 1e-3),)
    cases: list[tuple[Function, tuple[Any, ...], str, str, int]] = [
        (_rule(root=1.0), (), WEIGHT, "the root of 1 − β₂ᵗ is missing in the bias correction", 1),
        (_rule(sign=-1.0), (), WEIGHT, "the bias corrections are upside down", 1),
        (_rule(turned=True), (), WEIGHT, swapped, 1),
        (_rule(centred=True), (), SLOT, "v has (g − m)² instead of g²", 1),
        (_rule(old_v=True), (), WEIGHT, "v of the step before is used", 1),
        (_rule(look=True), (), WEIGHT, "m looks ahead as Nesterov's momentum does", 1),
        (_rule(lost=True), (), SLOT, "the old m is lost", 2),
        (_rule(corrected=False, inside=True), eps, WEIGHT, both, 1),
        (_rule(late=1.0, turned=True), (), WEIGHT, f"{swapped}; and the step count", 1),
    ]  # fmt: skip
    for function, options, phase, cause, step in cases:
        yield Bug(
            f"Adam, further: {cause}", optimizers.Adam, "update", function, phase, "", (cause,),
            step=step, optimizer="Adam", options=options,
        )  # fmt: skip


def _muon() -> Iterator[Bug]:
    right: Function = optimizers.Muon.update

    def without_ratio(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        right(self, w, g, slots, t, eta / self.adam_lr_ratio if "velocity" in slots else eta)

    options = (("epsilon", 1e-3), ("adam_lr_ratio", 0.25), ("adam_weight_decay", 0.1))
    cases: tuple[tuple[type, str, Function, str, str], ...] = (
        (optimizers.Muon, "update", without_ratio, WEIGHT, "adam_lr_ratio is forgotten"),
        (optimizers.Adam, "update", _rule(inside=True), WEIGHT, "ε stands inside the root"),
        (optimizers.Adam, "update", _rule(corrected=False), WEIGHT, "the bias correction is"),
        (optimizers.Adam, "update", _rule(centred=True), SLOT, "v has (g − m)² instead of g²"),
        (optimizers.Muon, "decay_rate", lambda self, tensor: self.weight_decay, WEIGHT,
         "the weight decays at the rate of the weights that go by the other rule"),
    )  # fmt: skip
    for owner, method, function, phase, cause in cases:
        where = "first/bias/velocity" if phase == SLOT else "first/bias"
        yield Bug(
            f"Muon, by Adam: {cause}", owner, method, function, phase, where, (cause,),
            optimizer="Muon", options=options,
        )  # fmt: skip


def _rule(
    *,
    root: float = 0.5,
    sign: float = 1.0,
    turned: bool = False,
    centred: bool = False,
    old_v: bool = False,
    look: bool = False,
    lost: bool = False,
    corrected: bool = True,
    inside: bool = False,
    late: float = 0.0,
) -> Function:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        m, v = slots["momentum"], slots["velocity"]
        before = v * 1.0
        m *= 0.0 if lost else self.beta_1
        m += g * (1.0 - self.beta_1)
        v *= self.beta_2
        v += (1.0 - self.beta_2) * (g - m if centred else g) ** 2
        powers = [as_float32(beta) ** (t + late) for beta in (self.beta_1, self.beta_2)]
        c1, c2 = (1.0 - power for power in (powers[::-1] if turned else powers))
        alpha = eta * (c2**root / c1) ** sign if corrected else eta
        first = self.beta_1 * m + (1.0 - self.beta_1) * g if look else m
        used = before if old_v else v
        below = np.sqrt(used + self.epsilon) if inside else np.sqrt(used) + self.epsilon
        w -= first * alpha / below

    return update


def _velocity() -> Iterator[Bug]:
    def sgd(undamped: bool = False, fades: bool = False) -> Function:
        def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
            m, mu = slots["momentum"], self.momentum
            m *= mu
            m -= eta * g * (mu if fades else 1.0)
            w += (1.0 if undamped else mu) * m - eta * g

        return update

    def outside(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        v, m = slots["velocity"], slots["momentum"]
        v *= self.rho
        v += (1.0 - self.rho) * (g * g)
        m *= self.momentum
        m += g / np.sqrt(v + self.epsilon)
        w -= eta * m

    nesterov = (("momentum", 0.9), ("nesterov", True))
    for owner, function, options, phase, causes in (
        (optimizers.SGD, sgd(undamped=True), nesterov, WEIGHT, ("μ is missing before the velo",)),
        (optimizers.SGD, sgd(fades=True), nesterov, SLOT, ("the momentum fades the new",)),
        (optimizers.RMSprop, outside, nesterov[:1], SLOT,
         ("the learning rate is applied outside the momentum", "the learning rate is forgotten")),
    ):  # fmt: skip
        yield Bug(
            f"{owner.__name__}, further: {causes[0]}", owner, "update", function, phase, "", causes,
            optimizer=owner.__name__, options=options,
        )  # fmt: skip


def _decay() -> Iterator[Bug]:
    right: Function = Optimizer.decay

    def doubled(self: Any, w: Any, tensors: Any, eta: Any) -> None:
        right(self, w, tensors, 2.0 * eta)

    def by_sign(self: Any, w: Any, tensors: Any, eta: Any) -> None:
        w -= np.sign(w) * self.weight_decay * eta

    twice = ("the weight decays by 2 λ", "the weight decay is applied twice")
    for function, causes in (
        (doubled, twice),
        (by_sign, ("the weight decays by λ sign(w), as with L1",)),
    ):
        yield Bug(
            f"weight decay, further: {causes[0]}", Optimizer, "decay", function, WEIGHT, "", causes,
            optimizer="Adam", options=(("weight_decay", 0.05),),
        )  # fmt: skip


def bounded(bug: Choice) -> Planted:
    """Two layers whose kernels are constrained, in two ways, and whose biases aren't."""
    layer, of = keras.layers.Dense, keras.constraints
    limits = of.MinMaxNorm(0.5, 0.8, rate=0.3)
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            layer(5, bug.activation, name="first", kernel_constraint=limits, **spread()),
            layer(3, bug.last, name="last", kernel_constraint="non_neg", **spread()),
        ]
    )
    draw = generator()
    return model, draw.normal(size=(SAMPLES, WIDTH)), draw.normal(size=(SAMPLES, 3))


def _constraints() -> Iterator[Bug]:
    def norms(axis: Any = 0, power: float = 1.0, rate: float = 0.3, **bounds: float) -> Function:
        def apply(self: Any, w: Any) -> None:
            size = np.sqrt((w * w).sum(axis=axis, keepdims=True)) ** power
            low, high = bounds.get("low", self.min_value), bounds.get("high", self.max_value)
            wanted = rate * np.minimum(np.maximum(size, low), high) + (1.0 - rate) * size
            w[...] = w * (wanted / (size + 1e-7))

        return apply

    def mirrored(self: Any, w: Any) -> None:
        np.abs(w, out=w)

    def nothing(self: Any, w: Any) -> None:
        pass

    limits, first = constraints.MinMaxNorm, "first/kernel"
    cases: tuple[tuple[type, Function, str, str], ...] = (
        (limits, nothing, first, "the constraint is forgotten"),
        (limits, norms(axis=1), first, "the norms are taken along the other axis"),
        (limits, norms(axis=(0, 1)), first, "the norm of the whole weight is taken"),
        (limits, norms(power=2.0), first, "the norms aren't rooted"),
        (limits, norms(rate=1.0), first, "rate is forgotten"),
        (limits, norms(rate=0.7), first, "rate and 1 − rate are swapped"),
        (limits, norms(high=1e9), first, "the upper bound is forgotten"),
        (limits, norms(rate=0.47), first, ""),
        (constraints.NonNeg, mirrored, "last/kernel", "negative weights are mirrored"),
    )
    for owner, function, where, cause in cases:
        name = f"{owner.__name__}: {cause or 'trap: another rate'}"
        causes = (cause,) if cause else ()
        yield Bug(name, owner, "apply", function, WEIGHT, where, causes, network=bounded)


def _steps() -> Iterator[Bug]:
    step: Function = Network.train_step
    update: Function = Network.update

    def after(self: Any, x: Any, y: Any, sample_weight: Any = None) -> float:
        step(self, x, y, sample_weight)
        return float(self.loss(self.forward(x, training=True), y, sample_weight)[0])

    def twice(self: Any) -> None:
        update(self)
        update(self)

    def standing(self: Any) -> None:
        update(self)
        self.iterations -= 1

    def afresh(self: Any) -> None:
        self.slots = self.optimizer.new_slots(self.values, self.tensors)
        update(self)

    def early(self: Any) -> None:
        for parameter in self.constrained:
            parameter.constraint.apply(parameter.value)
        left, self.constrained = self.constrained, []
        update(self)
        self.constrained = left

    def from_0(self: Any, w: Any, tensors: Any) -> dict[str, Any]:
        return {slot: np.zeros_like(w) for slot in self.slot_names}

    momentum = (("momentum", 0.9),)
    yield Bug("own step: the loss after the update", Network, "train_step", after, "loss", "total",
              ("the loss is taken after the update",))  # fmt: skip
    yield Bug("own step: two updates", Network, "update", twice, SLOT, "",
              ("the update is made twice in one step",), optimizer="Adam")  # fmt: skip
    yield Bug("own step: the count stands still", Network, "update", standing, "state",
              "iterations", ("the step count isn't moved on",), optimizer="Adam")  # fmt: skip
    yield Bug("own step: the slots are made anew", Network, "update", afresh, SLOT, "",
              ("the memory starts anew at every step", "the momentum is forgotten"), step=2,
              options=momentum)  # fmt: skip
    yield Bug("own step: the constraint comes first", Network, "update", early, WEIGHT,
              "first/kernel", ("the constraint comes before the update",),
              network=bounded)  # fmt: skip
    yield Bug("own step: the accumulator starts from 0", Optimizer, "new_slots", from_0, SLOT,
              "first/kernel/accumulator", ("the slot starts from 0",), step=0,
              optimizer="Adagrad")  # fmt: skip
