"""An optimizer of Keras and its twin side by side, on the same weights and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from compare.rounding.noise import Noisy
from keras_models import naming
from manual.optimizers import Optimizer, Step, tensors_of
from manual.registry import from_keras

STEPS = 4
SHAPES = {
    "layer/kernel": (3, 4),
    "layer/bias": (4,),
    "tall/kernel": (5, 2),
    "conv/kernel": (2, 3, 2),
}
Arrays = Mapping[str, np.ndarray]


def flat(arrays: Arrays, names: list[str]) -> np.ndarray:
    return np.concatenate([np.ravel(arrays[name]) for name in names])


@dataclass
class Taken:
    """A step that Keras has taken: its gradients, and weights and slots before and after it."""

    iterations: int
    gradients: dict[str, np.ndarray]
    before: tuple[Arrays, dict[str, Arrays]]
    after: tuple[Arrays, dict[str, Arrays]]


class SideBySide:
    """Keras's optimizer on variables of all shapes, and the twin of its configuration."""

    tensors = tensors_of(SHAPES.items())
    names = list(SHAPES)

    def __init__(
        self,
        family: str,
        options: Mapping[str, Any],
        ruler: Any,
        generator: np.random.Generator,
        rate: float,
    ) -> None:
        self.ruler, self.generator = ruler, generator
        self.weights = {
            name: keras.Variable(self.drawn(shape), name=name.replace("/", "_"))
            for name, shape in SHAPES.items()
        }
        self.optimizer = getattr(keras.optimizers, family)(learning_rate=rate, **options)
        self.optimizer.build(list(self.weights.values()))
        self.by_hand = self.twin()

    def twin(self, **changed: Any) -> Optimizer:
        """Return the twin of Keras's configuration, or of one with some options changed."""
        config = keras.optimizers.serialize(self.optimizer)
        rate = float(np.asarray(config["config"]["learning_rate"], self.ruler.precision))
        config["config"] |= {"learning_rate": rate, **changed}
        optimizer: Optimizer = from_keras("optimizer", config)
        return optimizer

    def drawn(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.generator.normal(size=shape).astype(self.ruler.precision)

    def gradients(self) -> dict[str, np.ndarray]:
        """Draw gradients of all sizes; some elements are exactly 0."""
        found = {}
        for name, shape in SHAPES.items():
            g = self.generator.normal(size=shape) * 10.0 ** self.generator.uniform(-3, 1, shape)
            g[self.generator.random(shape) < 0.1] = 0.0
            found[name] = g.astype(self.ruler.precision)
        return found

    def state(self) -> tuple[Arrays, dict[str, Arrays]]:
        """Return Keras's weights and slots."""
        model = SimpleNamespace(
            optimizer=self.optimizer, trainable_variables=list(self.weights.values())
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(naming, "trainable_names", lambda model: list(self.weights))
            slots = naming.slots(model)  # type: ignore[arg-type]
        return (
            {name: variable.numpy() for name, variable in self.weights.items()},
            {
                slot: {name: variable.numpy() for name, variable in named.items()}
                for slot, named in slots.items()
            },
        )

    def steps(self, sizes: Any = (1.0,) * STEPS) -> Iterator[Taken]:
        """Let Keras take steps, whose gradients are drawn, and scaled by these sizes."""
        for iterations, size in enumerate(sizes):
            before, gradients = self.state(), self.gradients()
            gradients = {name: g * g.dtype.type(size) for name, g in gradients.items()}
            self.optimizer.apply(
                [keras.ops.convert_to_tensor(g) for g in gradients.values()],
                list(self.weights.values()),
            )
            yield Taken(iterations, gradients, before, self.state())

    def flat_state(
        self, state: tuple[Arrays, dict[str, Arrays]]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return weights and slots as the hand-written half has them."""
        weights, slots = state
        return flat(weights, self.names), {
            slot: flat(named, [one.name for one in self.by_hand.layout(slot, self.tensors)])
            for slot, named in slots.items()
        }

    def again(
        self, taken: Taken, by_hand: Optimizer | None = None
    ) -> tuple[Noisy, dict[str, Noisy]]:
        """Take a step by hand from Keras's own state, on numbers that carry noise."""
        w, slots = self.flat_state(taken.before)
        noisy, memory = self.ruler.exact(w), {k: self.ruler.exact(v) for k, v in slots.items()}
        self.move(by_hand or self.by_hand, noisy, memory, taken)
        return noisy, memory

    def move(self, by_hand: Optimizer, w: Any, slots: dict[str, Any], taken: Taken) -> None:
        """Take a step by hand, in place, from a state that carries noise."""
        exact, g = self.ruler.exact, flat(taken.gradients, self.names)
        t = float(by_hand.updates(taken.iterations) + 1)
        step = Step(taken.iterations, exact(t), exact(by_hand.learning_rate))
        with np.errstate(all="ignore"):
            by_hand.apply(w, exact(g), slots, self.tensors, step)

    def agree(
        self, state: tuple[Arrays, dict[str, Arrays]], w: Noisy, slots: Any, when: str
    ) -> None:
        """Assert that Keras's weights and slots are these."""
        weights, memory = self.flat_state(state)
        assert set(memory) == set(slots)
        self.ruler.agrees(weights, w, f"weights {when}")
        for slot, array in memory.items():
            self.ruler.agrees(array, slots[slot], f"{slot} {when}")


@pytest.fixture
def side_by_side(ruler: Any, generator: np.random.Generator) -> Callable[..., SideBySide]:
    """Return a function that makes both, from the rule's name in Keras and its options."""

    def make(family: str, options: Mapping[str, Any], rate: float = 0.05) -> SideBySide:
        return SideBySide(family, options, ruler, generator, rate)

    return make
