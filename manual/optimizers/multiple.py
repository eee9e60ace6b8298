"""Several optimizers side by side, each for some of the weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.optimizers.base import ALL_WEIGHTS, Optimizer, Slots, Step, Tensor, size_of, tensors_of
from manual.optimizers.dynamic_scale import DynamicScale
from manual.optimizers.scattered import Scattered
from manual.registry import from_keras, twin_of


@twin_of("MultiOptimizer")
class MultiOptimizer(Optimizer):
    """Each weight is moved by one of several optimizers, which know nothing of each other.

    Norms, averages, accumulated gradients and learning rates are those of each optimizer's own
    weights. What one has once for all of its weights is named after its place, "all weights 2".

    Parameters
    ----------
    optimizer_map : Keras configuration of an OptimizerMap
        Optimizers by a weight's name, or by a regular expression that the whole name has to match,
        and one for all other weights.
    loss_scale_factor : float, optional
        In the place of that of each optimizer.
    """

    derivation = {"weight": "w⁺ = by the rule of the optimizer that the weight's name is mapped to"}

    def __init__(
        self, optimizer_map: Mapping[str, Any], loss_scale_factor: float | None = None
    ) -> None:
        given = optimizer_map.get("config", optimizer_map)
        self.patterns = list(given["optimizer_map"])
        configs = [*given["optimizer_map"].values(), given["default_optimizer"]]
        self.rules: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor)
        self.rules = [from_keras("optimizer", config) for config in configs]
        for rule in self.rules:
            rule.loss_scale_factor = loss_scale_factor

    def rule_of(self, name: str) -> int:
        """Return the place of the optimizer that moves a weight."""
        if name in self.patterns:
            return self.patterns.index(name)
        found = [i for i, one in enumerate(self.patterns) if re.fullmatch(one, name)]
        if len(found) > 1:
            raise ValueError(f"The weight {name!r} is mapped to several optimizers.")
        return found[0] if found else len(self.patterns)

    # ------------------------------------------------------------------ what each has for itself

    @property
    def learning_rate(self) -> Any:
        """The rates of all optimizers."""
        return [rule.learning_rate for rule in self.rules]

    @learning_rate.setter
    def learning_rate(self, rates: Any) -> None:
        for rule, rate in zip(self.rules, np.broadcast_to(rates, len(self.rules)), strict=True):
            rule.learning_rate = float(rate)  # a NumPy number would widen float32

    @property
    def schedules(self) -> list[Any]:
        return [rule.schedule for rule in self.rules]

    @property
    def schedule(self) -> Any:
        """None: there are as many as optimizers."""
        return None

    @schedule.setter
    def schedule(self, schedule: Any) -> None:
        for rule in self.rules:
            rule.schedule = schedule

    @property
    def excluded_from_weight_decay(self) -> frozenset[str]:
        return self.rules[0].excluded_from_weight_decay

    @excluded_from_weight_decay.setter
    def excluded_from_weight_decay(self, names: frozenset[str]) -> None:
        for rule in self.rules:
            rule.excluded_from_weight_decay = names

    # ------------------------------------------------------------------ one step of training

    def step(self, iterations: int) -> Step:
        rates = [rule.step(iterations).learning_rate for rule in self.rules]
        return Step(iterations, iterations + 1, rates)

    def processed(self, g: Any, slots: Slots, tensors: Sequence[Tensor], step: Step) -> Any:
        """Return what each of the optimizers makes of its part of the gradient."""
        if self.scaling is not None:
            scale = slots["dynamic_scale"]
            scattered = isinstance(g, Scattered)
            g = g.each(lambda part: part / scale, tensors) if scattered else g / scale
        found: list[Any] = [None] * len(self.rules)
        for i, rule, own in self._parts(tensors):
            part = self._gradient_of(g, own)
            with self._slots_of(i, slots, tensors) as mine:
                found[i] = rule.processed(part, mine, tensors_like(own), step)
        return found

    def move(self, w: Array, g: Any, slots: Slots, tensors: Sequence[Tensor], step: Step) -> None:
        for i, rule, own in self._parts(tensors):
            part = np.concatenate([w[one.place] for one in own])
            t = step.t * 0.0 + (rule.updates(step.iterations) + 1.0)
            with self._slots_of(i, slots, tensors) as mine:
                now = Step(step.iterations, t, step.learning_rate[i])
                rule.move(part, g[i], mine, tensors_like(own), now)
            for one, moved in zip(own, tensors_like(own), strict=True):
                w[one.place] = part[moved.place]
        if self.scaling is not None:
            self.scaling.grow(slots)

    def finish(self, w: Array, slots: Slots, tensors: Sequence[Tensor]) -> None:
        for i, rule, own in self._parts(tensors):
            part = np.concatenate([w[one.place] for one in own])
            with self._slots_of(i, slots, tensors) as mine:
                rule.finish(part, mine, tensors_like(own))
            for one, moved in zip(own, tensors_like(own), strict=True):
                w[one.place] = part[moved.place]

    def _parts(self, tensors: Sequence[Tensor]) -> Iterator[tuple[int, Optimizer, list[Tensor]]]:
        for i, rule in enumerate(self.rules):
            own = [one for one in tensors if self.rule_of(one.name) == i]
            if own:
                yield i, rule, own

    def _gradient_of(self, g: Any, own: Sequence[Tensor]) -> Any:
        total = g.total if isinstance(g, Scattered) else g
        part = np.concatenate([total[one.place] for one in own])
        if not isinstance(g, Scattered):
            return part
        tables = {
            one.name: (one, g.tables[one.name][1])
            for one in tensors_like(own)
            if one.name in g.tables
        }
        return Scattered(part, tables) if tables else part

    # ------------------------------------------------------------------ its memory

    @property
    def slot_names(self) -> tuple[str, ...]:
        own = dict.fromkeys(slot for rule in self.rules for slot in rule.slot_names)
        return (*own, *(DynamicScale.slots if self.scaling is not None else ()))

    def layout(self, slot: str, tensors: Sequence[Tensor]) -> list[Tensor]:
        if slot in DynamicScale.slots:
            return super().layout(slot, tensors)
        return [one for _, part in self._layouts(slot, tensors) for one in part]

    def _layouts(self, slot: str, tensors: Sequence[Tensor]) -> list[tuple[int, list[Tensor]]]:
        """Say what each optimizer has in a slot, and where it lies in the flat array of all."""
        found, start = [], 0
        for i, rule, own in self._parts(tensors):
            if slot in rule.slot_names:
                mine = rule.layout(slot, tensors_like(own))
                found.append((i, [self._moved(one, start, i) for one in mine]))
                start += size_of(mine)
        return found

    @staticmethod
    def _moved(tensor: Tensor, by: int, i: int) -> Tensor:
        name = f"{ALL_WEIGHTS} {i + 1}" if tensor.name == ALL_WEIGHTS else tensor.name
        place = slice(tensor.place.start + by, tensor.place.stop + by)
        return Tensor(name, place, tensor.shape)

    @contextmanager
    def _slots_of(
        self, i: int, slots: Slots, tensors: Sequence[Tensor]
    ) -> Iterator[dict[str, Array]]:
        """Give copies of what one optimizer remembers, and put back what becomes of them."""
        wheres = {slot: dict(self._layouts(slot, tensors)).get(i) for slot in slots}
        places = {
            slot: slice(where[0].place.start, where[-1].place.stop)
            for slot, where in wheres.items()
            if where
        }
        mine = {slot: np.copy(slots[slot][place]) for slot, place in places.items()}
        yield mine
        for slot, place in places.items():
            slots[slot][place] = mine[slot]

    def new_slots(self, w: Array, tensors: Sequence[Tensor]) -> dict[str, Array]:
        found: dict[str, list[Array]] = {slot: [] for slot in self.slot_names}
        for _, rule, own in self._parts(tensors):
            part = np.concatenate([w[one.place] for one in own])
            for slot, array in rule.new_slots(part, tensors_like(own)).items():
                found[slot].append(array)
        if self.scaling is not None:
            for slot in DynamicScale.slots:
                found[slot].append(np.full(1, self.scaling.starts.get(slot, 0.0), w.dtype))
        return {slot: np.concatenate(arrays) for slot, arrays in found.items() if arrays}


def tensors_like(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Lay some of the weights out one after the other."""
    return tensors_of((one.name, one.shape) for one in tensors)
