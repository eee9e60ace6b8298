"""What the pages about a step have in common: names, pairs of numbers, and how a row looks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compare.explain.names import Names
from compare.explain.step import Step
from manual.layers import Activation

MOST_SAMPLES = 3
LARGEST_WRITTEN_OUT = 60
"""A network with more weights than this is shown by layers, not by elements."""

Pair = tuple[float, float | None]
"""A number by hand, and Keras's; None where Keras computes none."""


class Page:
    """The numbers of one step under a tutorial's names, each by hand and from Keras."""

    def __init__(self, step: Step, names: Names) -> None:
        self.step, self.names = step, names
        self.network, self.values = step.network, step.run.values
        self.E = names.error
        self.head = self.network.heads[0]
        self._reached: dict[tuple[int, int, int], np.ndarray] = {}

    def symbol(self, name: str, *index: int) -> str:
        place = f"{name}[{','.join(map(str, index))}]"
        return self.names.symbols.get(place, place)

    def called(self, node: int) -> str:
        """Return a node's name; the only input of a network is just that."""
        return "input" if self.network.inputs == [node] else self.network.nodes[node].name

    def node_symbol(self, node: int, unit: int) -> str:
        return self.symbol(self.called(node), unit)

    def activation(self, node: int, sample: int, unit: int) -> tuple[float, float]:
        mine = float(self.values[node][sample, unit])
        name = self.network.nodes[node].name
        theirs = self.step.tape["activation"].get(name)
        return mine, mine if theirs is None else float(theirs[sample, unit])

    def gradient(self, node: int, sample: int, unit: int) -> tuple[float, float] | None:
        mine = self.step.run.gradients[node]
        if mine is None:
            return None
        theirs = self.step.tape["activation gradient"].get(self.network.nodes[node].name)
        value = float(mine[sample, unit])
        return value, value if theirs is None else float(theirs[sample, unit])

    def weight_gradient(self, name: str, index: tuple[int, ...]) -> Pair:
        theirs = self.step.record.gradients.get(name)
        mine = float(self.step.weight_gradients[name][index])
        return mine, None if theirs is None else float(theirs[index])

    def row(self, what: str, pair: Pair) -> str:
        label = what if len(what) <= 38 else f"{what}\n{'':<40}"
        theirs = "–" if pair[1] is None else f"{pair[1]:.10g}"
        return f"  {label:<38} {pair[0]:>18.10g}  {theirs:>18}"

    def title(self) -> Iterator[str]:
        yield self.names.heading
        yield (
            f"loss {type(self.head.loss).__name__}, {type(self.network.optimizer).__name__} with "
            f"learning rate {self.step.record.rate:g}, batch of {self.step.samples}, "
            f"{self.network.precision}"
        )
        yield ""

    def columns(self, what: str) -> str:
        return f"{what:<40} {'by hand':>18}  {'Keras':>18}"

    def users(self, node: int) -> list[int]:
        """Return the nodes that take a node's output."""
        return [index for index, one in enumerate(self.network.nodes) if node in one.inputs]

    def activation_after(self, node: int) -> int | None:
        """Return the activation of a node's units, if there is one and nobody else takes them."""
        users = self.users(node)
        if len(users) != 1 or not isinstance(self.network.nodes[users[0]].layer, Activation):
            return None
        return users[0] if self.values[users[0]].shape == self.values[node].shape else None

    def local(self, after: int, sample: int, unit: int) -> float:
        """Return ∂a/∂z of one unit (for softmax: of the unit with respect to itself)."""
        return float(self.reach(after, sample, unit)[sample, unit])

    def reach(self, node: int, sample: int, unit: int) -> np.ndarray:
        """Return the derivative of one number of a node's output by all that the node takes."""
        key = node, sample, unit
        if key not in self._reached:
            one = np.zeros_like(self.values[node])
            one[sample, unit] = 1.0
            layer = self.network.nodes[node].layer
            self._reached[key] = layer.backward(one, self.step.run.saved[node])
        return self._reached[key]

    def of(self, sample: int) -> str:
        return f" ({sample + 1})" if self.step.samples > 1 else ""
