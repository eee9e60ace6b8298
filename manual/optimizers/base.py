"""What all optimizers have in common: what is done to a gradient before, and to a weight after."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from manual.arrays import Array
from manual.optimizers.dynamic_scale import DynamicScale
from manual.optimizers.scattered import Scattered, Tensor, summed
from manual.registry import NoTwin, from_keras
from manual.schedules import Schedule

Shape = tuple[int, ...]
Slots = MutableMapping[str, Array]

ALL_WEIGHTS = "all weights"
"""In the place of a weight's name: a slot that exists once for all of them."""

BLOCK = 2**14
"""How many weights an element-wise rule moves at a time."""


def tensors_of(shapes: Iterable[tuple[str, Shape]]) -> list[Tensor]:
    """Lay named arrays out one after the other."""
    found, start = [], 0
    for name, shape in shapes:
        stop = start + math.prod(shape)
        found.append(Tensor(name, slice(start, stop), shape))
        start = stop
    return found


class Step(NamedTuple):
    """When an update happens.

    Attributes
    ----------
    iterations : int
        Training steps before this one.
    t : int, or one number with noise
        The number of this update, counted from 1.
    learning_rate : float, or one number with noise
    """

    iterations: int
    t: Any
    learning_rate: Any


PROCESSING = {
    "processed gradient": "g ← g / scale; clipnorm: g · c / max(|g|, c) for each weight; "
    "global_clipnorm: g · c · min(1/|G|, 1/c), with the norm |G| of all; "
    "clipvalue: min(max(g, −c), c)",
    "gradient_accumulator": "A⁺ = A + g; every k-th step: g ← (g + A) / k, A⁺ = 0",
    "average": "w̄⁺ = μ w̄ + (1 − μ) w⁺, and w̄⁺ = w⁺ in the first update",
    "learning_rate": "η of the schedule, after this many steps",
    **DynamicScale.derivation,
    "gradient of a table": "g² = Σ gᵢ², |g| = Σ |gᵢ| over all places where a number occurs, and so "
    "for norms and bounds: each row by itself (the papers: g = Σ gᵢ first)",
}


class Optimizer:
    """A rule for updating weights, and what surrounds every rule.

    One training step is, in Keras's order: take a loss scale out of the gradient; add it up with
    those of the steps before, until it is the turn of an update by their mean; clip it; shrink the
    weights (decay, decoupled from the gradient); apply the rule; average the weights.

    Parameters
    ----------
    learning_rate : float, Schedule or Keras configuration of a schedule
    weight_decay : float, optional
        λ. Keras on TensorFlow rounds it to float32, and applies it before the rule.
    clipnorm, global_clipnorm, clipvalue : float, optional
        The largest norm of each weight's gradient, of all together, or the largest element. One
        of the three.
    use_ema, ema_momentum, ema_overwrite_frequency : bool, float, int
        Keep an average of the weights, and put it in their place every so many updates. In its
        first update (with accumulation: in the steps up to it) the average is a copy.
    loss_scale_factor : float, optional
        What the loss was multiplied by; the gradient is divided by it. Keras can't do that to the
        gradient of a table, and raises a TypeError.
    gradient_accumulation_steps : int, optional
        Update only every k-th step, by the mean of k gradients.

    Attributes
    ----------
    rule_slots : tuple of str
        What the rule remembers per weight, under Keras's names.
    starts : mapping of str to float
        What a slot holds before the first update, where that isn't 0.
    shared : tuple of str
        The slots that exist once for all weights.
    scaling : DynamicScale, optional
        Of the loss, where this optimizer is inside a `manual.optimizers.LossScaleOptimizer`.
    """

    kind: ClassVar[str] = "optimizer"
    derivation: ClassVar[Mapping[str, str]] = {}
    rule_slots: tuple[str, ...] = ()
    starts: Mapping[str, float] = {}
    shared: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.derivation = {**PROCESSING, **cls.derivation}

    def __init__(
        self,
        learning_rate: float | Schedule | Mapping[str, Any] = 0.01,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        if isinstance(learning_rate, Mapping):
            learning_rate = from_keras("schedule", learning_rate, "the optimizer")
        if not isinstance(learning_rate, (int, float, Schedule)):
            raise NoTwin(
                "A learning rate that is a function has no hand-derived twin: give a number or "
                "one of Keras's schedules."
            )
        self.schedule = learning_rate if isinstance(learning_rate, Schedule) else None
        self.learning_rate = self.schedule(0) if self.schedule else float(learning_rate)  # type: ignore[arg-type]
        self.weight_decay = None if weight_decay is None else as_float32(weight_decay)
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.excluded_from_weight_decay: frozenset[str] = frozenset()
        self.scaling: DynamicScale | None = None

    # ------------------------------------------------------------------ the rule

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        """Move the weights ``w`` along the gradient ``g``, in place, slots included.

        Parameters
        ----------
        w, g : arrays, shape (weights,)
        slots : mapping of slot name to array, shape (weights,)
        t : int
            The number of this update, counted from 1.
        learning_rate : float
        """
        raise NotImplementedError

    def update_all(
        self, w: Array, g: Array, slots: Slots, tensors: Sequence[Tensor], step: Step
    ) -> None:
        """Apply the rule to every weight: here, where it goes element by element, to all at once.

        Many weights are taken in blocks, so that what the rule works out on the way stays in the
        cache. A slot that exists once for all of them can't be moved once for each block.
        """
        if w.size <= BLOCK or self.shared or isinstance(g, Scattered):
            self.update(w, g, slots, step.t, step.learning_rate)
            return
        for start in range(0, w.size, BLOCK):
            block = slice(start, start + BLOCK)
            part, own = w[block], {name: slots[name][block] for name in self.rule_slots}
            self.update(part, g[block], own, step.t, step.learning_rate)
            w[block] = part
            for name, array in own.items():
                slots[name][block] = array

    # ------------------------------------------------------------------ one step of training

    def step(self, iterations: int) -> Step:
        """Say when and how fast the weights move after so many steps of training.

        Of these a schedule is told, in Keras too, and not of the updates, which may be fewer.
        """
        rate = self.schedule(iterations) if self.schedule else self.learning_rate
        return Step(iterations, self.updates(iterations) + 1, rate)

    def updates(self, iterations: int) -> int:
        """Return how many updates there were in so many steps of training."""
        return iterations // (self.gradient_accumulation_steps or 1)

    def loss_scale(self, slots: Mapping[str, Array]) -> float:
        """Return what the loss is multiplied by before it is differentiated."""
        if self.scaling is not None:
            return float(slots["dynamic_scale"][0])
        return self.loss_scale_factor or 1.0

    def skips(self, g: Array, slots: Slots) -> bool:
        """Say whether a step is left out, because its scaled gradient isn't finite."""
        if self.scaling is None or bool(np.isfinite(summed(g)).all()):
            return False
        self.scaling.shrink(slots)
        return True

    def apply(
        self, w: Array, g: Array, slots: Slots, tensors: Sequence[Tensor], step: Step
    ) -> None:
        """Take one training step in place, from the gradient of the (scaled) loss.

        Where weights are tables of which rows were looked up, the gradient is ``Scattered``.
        """
        self.move(w, self.processed(g, slots, tensors, step), slots, tensors, step)

    def processed(
        self, g: Array, slots: Slots, tensors: Sequence[Tensor], step: Step
    ) -> Array | None:
        """Return the gradient that the rule gets; None while gradients are still added up."""
        scale = self.loss_scale_factor if self.scaling is None else slots["dynamic_scale"]
        if isinstance(g, Scattered) and scale is not None:
            g = g.each(lambda part: part / scale, tensors)
        elif scale is not None:
            g = g / scale
        k = self.gradient_accumulation_steps
        if k:
            g, total = summed(g), slots["gradient_accumulator"]
            if (step.iterations + 1) % k:
                total += g
                return None
            g = (g + total) / k
            total *= 0.0
        return self.clipped(g, tensors)

    def clipped(self, g: Array, tensors: Sequence[Tensor]) -> Array:
        """Return the gradient within its bounds."""
        scattered = isinstance(g, Scattered)
        if self.clipnorm:
            c = self.clipnorm
            return each(lambda part: part * c / np.maximum(norm(part), c), g, tensors)
        if self.global_clipnorm:
            squares, whole = g * g, summed(g)
            parts = np.concatenate([squares[one.place].sum().reshape(1) for one in tensors])
            with np.errstate(divide="ignore"):
                reciprocal = 1.0 / np.sqrt(parts.sum())
            scale = np.minimum(reciprocal, 1.0 / self.global_clipnorm) * self.global_clipnorm
            return whole * scale
        if self.clipvalue:
            return each(self.within_bounds, g, tensors) if scattered else self.within_bounds(g)
        return g

    def within_bounds(self, g: Array) -> Array:
        """Return the gradient with every element between −c and c."""
        c = self.clipvalue or np.inf
        return np.minimum(np.maximum(g, -c), c)

    def move(
        self, w: Array, g: Array | None, slots: Slots, tensors: Sequence[Tensor], step: Step
    ) -> None:
        """Move the weights in place by a processed gradient, if there is one; average them."""
        if g is not None:
            self.decay(w, tensors, step.learning_rate)
            self.update_all(w, g, slots, tensors, step)
        if self.use_ema:
            average, updates = slots["average"], self.updates(step.iterations)
            # An array, so that 1 − μ is worked out from a μ in the working precision, as in Keras.
            mu = np.ones_like(average[:1]) * (self.ema_momentum if updates else 0.0)
            average *= mu
            average += w * (1.0 - mu)
            every = self.ema_overwrite_frequency
            if every and (updates + 1) % every == 0:
                w[...] = average
        if self.scaling is not None:
            self.scaling.grow(slots)

    def finish(self, w: Array, slots: Slots, tensors: Sequence[Tensor]) -> None:
        """Put the average, if there is one, in the place of the weights: training is over."""
        if self.use_ema:
            w[...] = slots["average"]

    def decay(self, w: Array, tensors: Sequence[Tensor], learning_rate: Any) -> None:
        """Shrink the weights in place, whatever the gradient: weight decay, decoupled from it."""
        if not self.decays:
            return
        rates = {self.decay_rate(tensor) for tensor in tensors}
        if len(rates) == 1:
            (rate,) = rates
            if rate is not None:
                w -= w * rate * learning_rate
            return
        for tensor in tensors:
            rate, part = self.decay_rate(tensor), w[tensor.place]
            if rate is not None:
                w[tensor.place] = part - part * rate * learning_rate

    @property
    def decays(self) -> bool:
        """Whether there are weights that decay."""
        return self.weight_decay is not None

    def decay_rate(self, tensor: Tensor) -> float | None:
        """Return by how much a weight decays; None if it doesn't."""
        return None if tensor.name in self.excluded_from_weight_decay else self.weight_decay

    # ------------------------------------------------------------------ its memory

    @property
    def slot_names(self) -> tuple[str, ...]:
        """All that is remembered, by the rule and by what surrounds it."""
        accumulator = ("gradient_accumulator",) if self.gradient_accumulation_steps else ()
        average = ("average",) if self.use_ema else ()
        scaling = DynamicScale.slots if self.scaling is not None else ()
        return (*self.rule_slots, *accumulator, *average, *scaling)

    def slot_shape(self, slot: str, tensor: Tensor) -> Shape | None:
        """Return the shape of what a slot holds for a weight; None if it holds nothing for it."""
        return tensor.shape

    def layout(self, slot: str, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Say where in its flat array a slot holds what belongs to each weight."""
        if slot in self.shared or slot in DynamicScale.slots:
            return tensors_of([(ALL_WEIGHTS, ())])
        if slot not in self.rule_slots:
            return list(tensors)
        shapes = [(tensor.name, self.slot_shape(slot, tensor)) for tensor in tensors]
        return tensors_of((name, shape) for name, shape in shapes if shape is not None)

    def new_slots(self, w: Array, tensors: Sequence[Tensor]) -> dict[str, Array]:
        """Return the memory before the first update of the weights ``w``."""
        starts = {**self.starts, **(self.scaling.starts if self.scaling is not None else {})}
        return {
            slot: np.full(size_of(self.layout(slot, tensors)), starts.get(slot, 0.0), w.dtype)
            for slot in self.slot_names
        }


class OptimizerPerTensor(Optimizer):
    """A rule that looks at a weight as a whole, at its norm or its rows: applied to each alone."""

    def update_all(
        self, w: Array, g: Array, slots: Slots, tensors: Sequence[Tensor], step: Step
    ) -> None:
        layouts = {
            slot: {one.name: one for one in self.layout(slot, tensors)} for slot in self.rule_slots
        }
        for tensor in tensors:
            part, own = w[tensor.place].reshape(tensor.shape), {}
            for slot, layout in layouts.items():
                if tensor.name in layout:
                    where = layout[tensor.name]
                    own[slot] = slots[slot][where.place].reshape(where.shape)
            scattered = isinstance(g, Scattered)
            slope = g.of(tensor) if scattered else g[tensor.place].reshape(tensor.shape)
            self.update(part, slope, own, step.t, step.learning_rate)
            w[tensor.place] = part.reshape(-1)
            for slot, array in own.items():
                slots[slot][layouts[slot][tensor.name].place] = array.reshape(-1)


def each(function: Callable[[Array], Array], g: Array, tensors: Sequence[Tensor]) -> Array:
    """Change each weight's gradient by itself; of a table, the list of its rows."""
    if isinstance(g, Scattered):
        return g.each(function, tensors)
    return np.concatenate([function(g[tensor.place]) for tensor in tensors])


def norm(array: Array) -> Array:
    """Return the Euclidean norm of all elements."""
    return np.sqrt((array * array).sum())


def size_of(tensors: Sequence[Tensor]) -> int:
    """Return how long a flat array is that holds them all."""
    return tensors[-1].place.stop if tensors else 0


def as_float32(number: float) -> float:
    """Round a hyper-parameter to float32, where Keras on TensorFlow does."""
    return float(np.float32(number))
