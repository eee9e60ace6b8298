"""What the pages about a step have in common: names, pairs of numbers, and how a row looks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compare.cases.base import Case, Run
from compare.explain.step import Step
from manual.layers import Activation

MOST_SAMPLES = 3


class Page:
    """The numbers of one step under the tutorial's names, each by hand and from Keras."""

    def __init__(self, case: Case, run: Run, step: Step, number: int) -> None:
        self.case, self.settings, self.step, self.number = case, run, step, number
        self.network, self.values = step.network, step.run.values
        self.E = case.error
        self.head = self.network.heads[0]

    def symbol(self, name: str, *index: int) -> str:
        place = f"{name}[{','.join(map(str, index))}]"
        return self.case.symbols.get(place, place)

    def node_symbol(self, node: int, unit: int) -> str:
        name = "input" if self.network.nodes[node].is_input else self.network.nodes[node].name
        return self.symbol(name, unit)

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

    def weight_gradient(self, name: str, index: tuple[int, ...]) -> tuple[float, float]:
        theirs = self.step.record.gradients.get(name)
        mine = float(self.step.weight_gradients[name][index])
        return mine, mine if theirs is None else float(theirs[index])

    def row(self, what: str, pair: tuple[float, float]) -> str:
        label = what if len(what) <= 38 else f"{what}\n{'':<40}"
        return f"  {label:<38} {pair[0]:>18.10g}  {pair[1]:>18.10g}"

    def title(self) -> Iterator[str]:
        record = self.step.record
        yield f"{self.case.name}, step {self.number}: {self.case.title}"
        yield (
            f"loss {type(self.head.loss).__name__}, {self.settings.optimizer} with learning rate "
            f"{record.learning_rate:g}, batch of {len(record.x)}, {self.settings.dtype}"
        )
        yield ""

    def columns(self, what: str) -> str:
        return f"{what:<40} {'by hand':>18}  {'Keras':>18}"

    def activation_after(self, node: int) -> int | None:
        for index, other in enumerate(self.network.nodes):
            if node in other.inputs and isinstance(other.layer, Activation):
                return index
        return None

    def local(self, after: int, sample: int, unit: int) -> float:
        """Return ∂a/∂z of one unit (for softmax: of the unit with respect to itself)."""
        layer = self.network.nodes[after].layer
        z = self.values[self.network.nodes[after].inputs[0]]
        one = np.zeros_like(z)
        one[sample, unit] = 1.0
        return float(layer.backward(one, (z, self.values[after]))[sample, unit])

    def of(self, sample: int) -> str:
        return f" ({sample + 1})" if len(self.step.record.x) > 1 else ""
